"""Daemons that die, and what the driver makes of it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import libvirt
import pytest
from vhal_libvirt import LibvirtDriver
from vhal_libvirt.connection import Notice
from vhal_libvirt.doctor import findings

from tests.testbed import wait_until
from vhal.driver import MIGRATION, Context, HostUrl, MigrationPolicy, StopMode
from vhal.errors import HostUnreachable
from vhal.spec import MachineSpec, MachineState

if TYPE_CHECKING:
    # The fixture's class is in conftest.py, which pytest loads but nobody can import.
    World = Any


def unreachable(driver: LibvirtDriver, call: Callable[[], object]) -> bool:
    """Return whether a call fails since the host can't be reached."""
    with pytest.raises((HostUnreachable, libvirt.libvirtError)) as caught:
        call()
    error = caught.value
    return isinstance(error if isinstance(error, HostUnreachable) else driver.translate(error), HostUnreachable)


def test_a_dead_daemon_and_its_return(
    world: World, events_of: Callable[[LibvirtDriver], list[tuple[str, str]]]
) -> None:
    host = world.lab.hosts[0]
    seen = events_of(world.a)
    machine = world.running()
    host.signal_daemon(signal.SIGKILL)
    assert unreachable(world.a, world.a.machines)
    assert unreachable(world.a, world.a.describe)
    host.start_daemon()
    assert world.a.inspect(machine.id).state is MachineState.RUNNING
    assert [info.id for info in world.a.machines()] == [machine.id]
    seen.clear()
    # A new daemon finds its machines one by one, beside all else. One that is destroyed meanwhile ends without event;
    # what asks the machine's QEMU waits for it.
    world.a.pause(machine.id, Context())
    wait_until(lambda: ("paused", machine.name) in seen, deadline=20, what="an event over the new connection")
    world.a.stop(machine.id, StopMode.FORCED, Context())
    wait_until(lambda: ("stopped", machine.name) in seen, deadline=20, what="an event of its end")
    world.a.delete(machine.id, Context())


def test_who_only_listens_goes_on_hearing_after_the_daemons_return(
    world: World, events_of: Callable[[LibvirtDriver], list[tuple[str, str]]]
) -> None:
    host = world.lab.hosts[0]
    seen = events_of(world.a)
    reopened: list[Notice] = []
    cancel = world.a._connection.listen(reopened.append)
    host.signal_daemon(signal.SIGKILL)
    host.start_daemon()
    wait_until(lambda: "closed" in [notice.topic for notice in reopened], deadline=60, what="the new connection")
    cancel()
    other = libvirt.open(host.native_uri)
    other.defineXML("<domain type='qemu'><name>quiet</name><memory>1024</memory><os><type>hvm</type></os></domain>")
    other.lookupByName("quiet").undefine()
    other.close()
    wait_until(lambda: ("deleted", "quiet") in seen, deadline=20, what="an event that nobody here caused")
    assert seen == [("created", "quiet"), ("deleted", "quiet")]


def test_nobody_reopens_what_was_closed(world: World) -> None:
    host = world.lab.hosts[0]
    driver = LibvirtDriver.open(HostUrl.parse(host.url))
    host.signal_daemon(signal.SIGKILL)
    driver.close()
    host.start_daemon()
    wait_until(lambda: world.a._connection._open is not None, deadline=60, what="the other driver's new connection")
    assert driver._connection._open is None
    with pytest.raises(HostUnreachable):
        driver.machines()


def test_a_call_in_flight(world: World) -> None:
    machine = world.a.create(MachineSpec(name="deaf", memory="32MiB"), Context())
    world.a.start(machine.id, Context())
    failed: list[bool] = []
    ctx = Context(120)

    def stop() -> None:
        failed.append(unreachable(world.a, lambda: world.a.stop(machine.id, StopMode.GRACEFUL, ctx)))

    waiting = threading.Thread(target=stop)
    waiting.start()
    world.lab.hosts[0].signal_daemon(signal.SIGKILL)
    waiting.join(60)
    world.lab.hosts[0].start_daemon()
    assert failed == [True]
    assert world.a.inspect(machine.id).state is MachineState.RUNNING


def sockets(world: World) -> list[Path]:
    """What the destination listened on for memory; a move that is left in doubt, in another test, leaves its own."""
    return sorted(world.lab.hosts[1].folder.glob("vhal-*.sock"))


@pytest.mark.parametrize("route", ["peer-to-peer", "managed"])
@pytest.mark.parametrize("victim", [0, 1], ids=["source", "destination"])
def test_a_daemon_that_dies_while_memory_moves(world: World, route: str, victim: int) -> None:
    machine = world.running()
    before = sockets(world)
    chosen = MigrationPolicy(route=route, bandwidth="8MiB")
    giving, taking = world.a.provides(MIGRATION), world.b.provides(MIGRATION)
    offer = giving.offer(machine.id, chosen)
    ticket = taking.prepare(offer, chosen, Context())
    host = world.lab.hosts[victim]
    killed: list[bool] = []

    def kill(progress: Any) -> None:
        if progress.done and not killed:
            killed.append(True)
            host.signal_daemon(signal.SIGKILL)

    with pytest.raises(Exception, match=r"."):
        giving.transfer(offer, ticket, chosen, Context(120, on_progress=kill))
    assert killed
    host.start_daemon()
    taking.cancel(ticket, Context())
    giving.resume(offer, Context())
    assert world.a.inspect(machine.id).state is MachineState.RUNNING
    wait_until(lambda: not world.b.machines(), deadline=20, what="the destination to be empty")
    console = world.console(world.a, machine.id)
    console.listen_for(1)
    console.close()
    assert sockets(world) == before
    world.move(world.a, world.b, machine.id)


def test_the_doctor_never_faints() -> None:
    found = findings()
    assert found
    assert all(finding.ok or finding.remedy for finding in found)
    assert [finding for finding in found if finding.subject == "libvirt-python" and finding.ok]
