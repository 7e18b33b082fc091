"""Engines that die or hang while a machine moves: it runs once, and keeps its memory."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from vhal_containers import orphans
from vhal_containers.api.checkpoints import Checkpoints
from vhal_containers.reach import ReachError

from tests.testbed import wait_until
from vhal.driver import Context, MigrationPolicy
from vhal.errors import HostUnreachable, MigrationFailed, MigrationInDoubt, OperationTimeout
from vhal.spec import MachineState

from .moving import (
    Side,
    World,
    assert_at_home,
    at_freeze,
    counters,
    new_address,
    put_right,
    soon,
    state,
    when_sent,
    world_on,
)

if TYPE_CHECKING:
    # The fixture's class is in the conftest.py above, which pytest loads but nobody can import.
    Engines = Any


DEADLINE_S = 10.0
"""Long enough for what comes before the freeze, on a machine that has much else to do."""


@pytest.fixture
def world(engines: Engines) -> Iterator[World]:
    with world_on(engines) as world:
        yield world


def killed_once_it_runs(side: Side, after_s: float) -> threading.Thread:
    """Kill a host's engine when the counter shows among its processes, or a little later, and start it again."""

    def kill() -> None:
        wait_until(lambda: counters(side) == 1, deadline=60, what="the counter")
        soon(after_s, lambda: side.node.signal_service(signal.SIGKILL)).join()
        side.node.start_service()

    thread = threading.Thread(target=kill)
    thread.start()
    return thread


class TestEngineKilled:
    @pytest.mark.parametrize("after_s", [0.0, 0.08, 0.16, 0.24, 0.32])
    @pytest.mark.parametrize("victim", ["source", "destination"])
    def test_it_runs_once_and_keeps_its_memory(self, world: World, victim: str, after_s: float) -> None:
        ip = new_address()
        machine = world.running(ip=ip, mib=8)
        podman_id = world.a.driver.inventory.find(machine.id).podman_id
        side = world.a if victim == "source" else world.b
        hook = at_freeze if victim == "source" else when_sent
        threads: list[threading.Thread] = []

        def again() -> None:
            side.node.signal_service(signal.SIGKILL)
            side.node.start_service()

        with world.counting(ip) as asker:
            _, nonce = asker.ask()
            with (
                hook(lambda: threads.append(soon(after_s, again))),
                contextlib.suppress(MigrationFailed, MigrationInDoubt),
            ):
                machine.migrate(world.b.host)
            for thread in threads:
                thread.join(60)
            wait_until(lambda: counters(world.a) + counters(world.b) <= 1, deadline=30, what="at most one")
            where = put_right(world, machine)
            assert counters(world.a) + counters(world.b) == 1
            assert counters(where) == 1
            assert asker.ask()[1] == nonce
            assert (world.a.rules(), world.b.rules()) == ("", "")
            (world.b if where is world.a else world.a).assert_nothing_is_left()
            other = world.b if where is world.a else world.a
            here = where.host.machine("mover")
            address_kept = f"requested ip address {ip} is already allocated to container ID {podman_id}"
            try:
                here.migrate(other.host)
            except MigrationFailed as error:
                # podman 4.3 never gives back an address that it gave just before it was killed.
                if victim != "destination" or address_kept not in str(error):
                    raise
            assert asker.ask()[1] == nonce

    @pytest.mark.parametrize("after_s", [0.0, 0.05])
    def test_nobody_hears_of_a_copy_that_is_ended(self, world: World, after_s: float) -> None:
        """What runs at the destination without its engine has the connection too, and its end would close it."""
        ip = new_address()
        machine = world.running(ip=ip, mib=8)
        killed: list[threading.Thread] = []

        def begin() -> None:
            killed.append(killed_once_it_runs(world.b, after_s))

        with world.counting(ip) as asker:
            _, nonce = asker.ask()
            with when_sent(begin), contextlib.suppress(MigrationFailed, MigrationInDoubt):
                machine.migrate(world.b.host)
            killed[0].join(60)
            where = put_right(world, machine)
            assert counters(world.a) + counters(world.b) == counters(where) == 1
            assert asker.ask()[1] == nonce

    @pytest.mark.parametrize("after_s", [0.0, 0.03, 0.06])
    def test_the_source_dies_while_it_brings_the_machine_back(
        self, world: World, after_s: float, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Then it runs, its engine takes it for frozen, and what it was brought back from is used up."""
        self._brought_back_without_engine(world, after_s, monkeypatch)

    def test_its_engine_tidies_up_while_it_is_frozen_once_more(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An engine that was started again takes the network's name away, at any moment; then it is tried again.

        What the runtime says then is said in its place: an engine whose network's name somebody else took away would
        never give the machine's address back.
        """
        network, tries = orphans._network, list[str]()

        @contextlib.contextmanager
        def lost(way: Any, bundle: str, process: str) -> Iterator[None]:
            with network(way, bundle, process):
                tries.append(process)
                if len(tries) == 1:
                    raise ReachError("no such file or directory")
                yield

        monkeypatch.setattr(orphans, "_network", lost)
        self._brought_back_without_engine(world, 0.03, monkeypatch)
        assert len(tries) >= 2

    def _brought_back_without_engine(self, world: World, after_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
        ip = new_address()
        machine = world.running(ip=ip, mib=8)
        killed: list[threading.Thread] = []
        bring_back = Checkpoints.bring_back

        def brings_back(self: Checkpoints, *args: Any, **options: Any) -> None:
            if not killed:
                killed.append(killed_once_it_runs(world.a, after_s))
            bring_back(self, *args, **options)

        def refused(self: Checkpoints, archive: Iterable[bytes], **options: Any) -> str:
            raise MigrationFailed("the destination has no room after all")

        monkeypatch.setattr(Checkpoints, "bring_back", brings_back)
        monkeypatch.setattr(Checkpoints, "restore", refused)
        with world.counting(ip) as asker:
            _, nonce = asker.ask()
            with pytest.raises((MigrationFailed, MigrationInDoubt)):
                machine.migrate(world.b.host)
            killed[0].join(60)
            assert put_right(world, machine) is world.a
            assert asker.ask()[1] == nonce
            assert_at_home(world, machine, asker, nonce)

    def test_the_source_dies_while_it_sends(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        """What it sent ends as if that were all; that it isn't is noticed."""
        ip = new_address()
        machine = world.running(ip=ip, mib=32)
        restore = Checkpoints.restore

        def restored(self: Checkpoints, archive: Iterable[bytes], **options: Any) -> str:
            def pieces() -> Iterator[bytes]:
                for number, piece in enumerate(archive):
                    if number == 1:
                        world.a.node.signal_service(signal.SIGKILL)
                        world.a.node.start_service()
                    yield piece

            return restore(self, pieces(), **options)

        monkeypatch.setattr(Checkpoints, "restore", restored)
        with world.counting(ip) as asker:
            _, nonce = asker.ask()
            with pytest.raises(MigrationFailed, match="before its end"):
                machine.migrate(world.b.host)
            assert_at_home(world, machine, asker, nonce)

    @pytest.mark.parametrize("victim", ["source", "destination"])
    def test_one_that_hangs_ends_at_the_deadline(self, world: World, victim: str) -> None:
        ip = new_address()
        machine = world.running(ip=ip)
        side = world.a if victim == "source" else world.b
        hung: list[bool] = []

        def hang() -> None:
            side.node.signal_service(signal.SIGSTOP)
            hung.append(True)

        with world.counting(ip) as asker:
            _, nonce = asker.ask()
            offer, ticket = world.begun(machine)
            with at_freeze(hang), pytest.raises((OperationTimeout, HostUnreachable)):
                world.a.migration.transfer(offer, ticket, MigrationPolicy(), Context(DEADLINE_S))
            assert hung, "the deadline passed before the freeze"
            assert world.b.rules() == ""
            side.node.signal_service(signal.SIGCONT)
            # What the engine was asked before it hung it does when it goes on, whether anybody still wants it or not.
            wait_until(lambda: state(world.a, machine) is MachineState.SAVED, deadline=60, what="the frozen machine")
            if victim == "destination":
                # It had all of it, and carries on: who looked meanwhile was told nothing, and touched nothing.
                wait_until(lambda: state(world.b, machine) is MachineState.RUNNING, deadline=60, what="its arrival")
                assert state(world.a, machine) is MachineState.SAVED
                world.b.migration.commit(ticket, Context(60))
                world.a.migration.release(offer, Context(60))
                assert asker.ask()[1] == nonce
                return
            world.b.migration.cancel(ticket, Context(60))
            world.a.migration.resume(offer, Context(60))
            assert_at_home(world, machine, asker, nonce)
