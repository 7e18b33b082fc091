"""Machines that move between two real hosts while their guests count."""

from __future__ import annotations

import itertools
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import libvirt
import pytest
from vhal_libvirt.migration import nvram

from tests.testbed import wait_until
from vhal.driver import MIGRATION, Context, MigrationPolicy, Offer, Progress, Ticket
from vhal.errors import (
    InvalidState,
    MigrationFailed,
    MigrationInDoubt,
    OperationAborted,
    OperationTimeout,
    Unsupported,
)
from vhal.spec import FrozenDict, MachineInfo, MachineSpec, MachineState

if TYPE_CHECKING:
    # The fixture's class is in conftest.py, which pytest loads but nobody can import.
    World = Any

SLOW: dict[str, Any] = {"bandwidth": "8MiB"}


def policy(world: World, data: str = "auto", **fields: Any) -> MigrationPolicy:
    """Return a policy for a move from a to b."""
    options: dict[str, Any] = {"data": data}
    if data == "tcp":
        options["peer"] = f"libvirt+tcp://{world.lab.hosts[1].ip}/system?plaintext=yes"
        fields["allow_plaintext"] = True
    return MigrationPolicy(**{"options": {"libvirt": options}, **fields})


@pytest.mark.parametrize(("route", "data"), list(itertools.product(["peer-to-peer", "managed"], ["unix", "tcp"])))
def test_the_count_goes_on(world: World, route: str, data: str) -> None:
    disk = world.disk(f"{route}-{data}.qcow2")
    machine = world.running(world.spec(disks=(disk,)))
    console = world.console(world.a, machine.id)
    before = console.listen_for(1)
    reports: list[Progress] = []
    sent = world.move(
        world.a, world.b, machine.id, policy(world, data, route=route), Context(120, on_progress=reports.append)
    )
    console.close()
    arrived = world.b.inspect(machine.id)
    assert (arrived.epoch, arrived.spec, arrived.managed) == (2, machine.spec, True)
    assert sent.downtime_s is not None
    assert sent.setup_s is not None
    assert sent.elapsed_s is not None
    assert sent.transferred > 1 << 20
    assert sent.iterations >= 1
    assert all(report.phase == "transfer" for report in reports)
    console = world.console(world.b, machine.id)
    # The count is kept in the guest's memory: had it booted again, it would begin again.
    assert before < console.listen_for(2)
    console.close()
    wait_until(lambda: world.b.ready(machine.id), deadline=20, what="the agent's channel on the other side")
    assert not list(world.lab.hosts[1].folder.glob(f"vhal-{machine.id[:8]}*.sock"))


def test_there_and_back(world: World) -> None:
    machine = world.running()
    world.move(world.a, world.b, machine.id)
    world.move(world.b, world.a, machine.id)
    assert world.a.inspect(machine.id).epoch == 3


def test_more_at_once_than_a_daemon_takes_of_one_connection(world: World) -> None:
    # Five, by its default; and the lab's gives up on a client of which it reads nothing for four seconds.
    machines = [world.running() for _ in range(6)]
    slow = MigrationPolicy(**SLOW)
    with ThreadPoolExecutor(len(machines)) as pool:
        moves = [pool.submit(world.move, world.a, world.b, machine.id, slow) for machine in machines]
    assert all(move.result().elapsed_s > 4 for move in moves)  # else it would prove nothing
    assert {machine.id for machine in world.b.machines()} >= {machine.id for machine in machines}


def test_a_paused_machine_stays_paused(world: World) -> None:
    machine = world.running()
    world.a.pause(machine.id, Context())
    world.move(world.a, world.b, machine.id)
    assert world.b.inspect(machine.id).state is MachineState.PAUSED
    console = world.console(world.b, machine.id)
    world.b.resume(machine.id, Context())
    console.listen_for(1)
    console.close()


def test_a_stopped_machine_moves(world: World) -> None:
    disk = world.disk("stopped.qcow2")
    machine = world.a.create(world.spec(disks=(disk,)), Context())
    world.move(world.a, world.b, machine.id)
    arrived = world.b.inspect(machine.id)
    assert (arrived.state, arrived.epoch, arrived.spec) == (MachineState.STOPPED, 2, machine.spec)
    assert (world.lab.shared / "stopped.qcow2").exists()
    world.b.start(machine.id, Context())


def test_strict(world: World) -> None:
    machine = world.running()
    chosen = MigrationPolicy(options={"libvirt": {"strict": True}})
    giving, taking = world.a.provides(MIGRATION), world.b.provides(MIGRATION)
    offer = giving.offer(machine.id, chosen)
    ticket = taking.prepare(offer, chosen, Context())
    sent = giving.transfer(offer, ticket, chosen, Context(60))
    assert sent.downtime_s is not None
    assert world.a.machines() == []
    assert world.b.inspect(machine.id).state is not MachineState.RUNNING
    taking.commit(ticket, Context())
    assert world.b.inspect(machine.id).state is MachineState.RUNNING


@pytest.mark.parametrize(
    "fields",
    [
        {"auto_converge": True},
        {"parallel": 2},
        {"post_copy": True, "max_downtime_s": 0.01, "bandwidth": "32MiB"},
        {"max_downtime_s": 1.0, "bandwidth": "256MiB"},
        {"live": False},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_ways_to_converge(world: World, fields: dict[str, Any]) -> None:
    # One that doesn't converge by itself comes to post-copy.
    machine = world.running(world.spec(dirty_mib=48, dirty_mib_s=48) if "post_copy" in fields else None)
    world.move(world.a, world.b, machine.id, MigrationPolicy(**fields))
    console = world.console(world.b, machine.id)
    console.listen_for(1)
    console.close()


def test_offers_and_tickets_survive_json(world: World) -> None:
    machine = world.running()
    chosen = MigrationPolicy()
    giving, taking = world.a.provides(MIGRATION), world.b.provides(MIGRATION)
    offer = Offer.model_validate_json(giving.offer(machine.id, chosen).model_dump_json())
    assert taking.examine(offer, chosen)
    ticket = Ticket.model_validate_json(taking.prepare(offer, chosen, Context()).model_dump_json())
    giving.transfer(offer, ticket, chosen, Context(60))
    for _ in range(2):
        assert taking.commit(ticket, Context()).state is MachineState.RUNNING
        giving.release(offer, Context())
    with pytest.raises(InvalidState):
        taking.cancel(ticket, Context())
    assert world.b.inspect(machine.id).state is MachineState.RUNNING


def begun(world: World, machine: MachineInfo, chosen: MigrationPolicy) -> tuple[Any, Any, Offer, Ticket]:
    giving, taking = world.a.provides(MIGRATION), world.b.provides(MIGRATION)
    offer = giving.offer(machine.id, chosen)
    return giving, taking, offer, taking.prepare(offer, chosen, Context())


def assert_nothing_happened(world: World, machine: MachineInfo) -> None:
    assert world.a.inspect(machine.id).state is MachineState.RUNNING
    wait_until(lambda: not world.b.machines(), deadline=20, what="the destination to be empty")
    console = world.console(world.a, machine.id)
    console.listen_for(1)
    console.close()


@pytest.mark.parametrize("route", ["peer-to-peer", "managed"])
def test_an_abort_half_way(world: World, route: str) -> None:
    machine = world.running()
    chosen = MigrationPolicy(route=route, **SLOW)
    giving, taking, offer, ticket = begun(world, machine, chosen)
    ctx = Context(120, on_progress=lambda progress: ctx.abort() if progress.done else None)
    with pytest.raises(OperationAborted):
        giving.transfer(offer, ticket, chosen, ctx)
    for _ in range(2):
        taking.cancel(ticket, Context())
        giving.resume(offer, Context())
    assert_nothing_happened(world, machine)
    world.move(world.a, world.b, machine.id)


def test_a_deadline_half_way(world: World) -> None:
    machine = world.running()
    chosen = MigrationPolicy(**SLOW)
    giving, taking, offer, ticket = begun(world, machine, chosen)
    with pytest.raises(OperationTimeout):
        giving.transfer(offer, ticket, chosen, Context(1.0))
    taking.cancel(ticket, Context())
    giving.resume(offer, Context())
    assert_nothing_happened(world, machine)


def test_an_interrupt_half_way(world: World) -> None:
    machine = world.running()
    chosen = MigrationPolicy(**SLOW)
    giving, taking, offer, ticket = begun(world, machine, chosen)

    def interrupt(progress: Progress) -> None:
        if progress.done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        giving.transfer(offer, ticket, chosen, Context(120, on_progress=interrupt))
    assert not [thread for thread in threading.enumerate() if thread.name == "vhal-libvirt-transfer"]
    taking.cancel(ticket, Context())
    assert_nothing_happened(world, machine)


def test_without_certificates_memory_doesnt_leave_in_the_clear(world: World) -> None:
    machine = world.running()
    chosen = policy(world, "tcp").replace(allow_plaintext=False)
    giving, taking, offer, ticket = begun(world, machine, chosen)
    with pytest.raises(Exception, match="credentials") as caught:
        giving.transfer(offer, ticket, chosen, Context(60))
    assert isinstance(world.a.translate(caught.value), Unsupported)
    taking.cancel(ticket, Context())
    giving.resume(offer, Context())
    assert_nothing_happened(world, machine)


def test_auto_goes_managed_when_the_peer_cant_be_reached(world: World) -> None:
    machine = world.running()
    unreachable = {"libvirt": {"peer": "libvirt+unix:///system?socket=/nonexistent/socket"}}
    world.move(world.a, world.b, machine.id, MigrationPolicy(options=unreachable))
    with pytest.raises(Exception, match="nonexistent"):
        world.move(world.b, world.a, machine.id, MigrationPolicy(route="peer-to-peer", options=unreachable))
    assert world.b.inspect(machine.id).state is MachineState.RUNNING


def test_steps_that_may_not_do_anything(world: World) -> None:
    machine = world.running()
    chosen = MigrationPolicy()
    giving, taking, offer, ticket = begun(world, machine, chosen)
    with pytest.raises(MigrationFailed):
        taking.commit(ticket, Context())
    with pytest.raises(MigrationInDoubt):
        giving.release(offer, Context())
    taking.cancel(ticket, Context())
    giving.resume(offer, Context())
    # Neither the machine of another life nor a paused one that never left is taken for a leftover.
    world.a.pause(machine.id, Context())
    with pytest.raises(MigrationInDoubt):
        giving.release(offer, Context())
    giving.resume(offer, Context())
    assert world.a.inspect(machine.id).state is MachineState.PAUSED


def test_a_saved_machine_isnt_offered(world: World) -> None:
    machine = world.running()
    world.a.save(machine.id, Context(60))
    with pytest.raises(InvalidState):
        world.a.provides(MIGRATION).offer(machine.id, MigrationPolicy())


def examined(world: World, offer: Offer, chosen: MigrationPolicy | None = None) -> list[str]:
    answer = world.b.provides(MIGRATION).examine(offer, chosen or MigrationPolicy())
    assert all(blocker.remedy for blocker in answer.blockers)
    return [blocker.code for blocker in answer.blockers]


@pytest.fixture
def offer(world: World) -> Offer:
    machine = world.a.create(world.spec(disks=(world.disk("offered.qcow2"),)), Context())
    world.a.start(machine.id, Context())
    found: Offer = world.a.provides(MIGRATION).offer(machine.id, MigrationPolicy())
    return found


def changed(offer: Offer, **cargo: Any) -> Offer:
    return offer.replace(payload=FrozenDict({**offer.payload, **cargo}))


def test_preflight_says_yes(world: World, offer: Offer) -> None:
    assert examined(world, offer) == []


def test_preflight_same_host(world: World, offer: Offer) -> None:
    assert examined(world, offer.replace(host_uuid=world.b.host_id)) == ["same-host"]


def test_preflight_name_and_id(world: World, offer: Offer) -> None:
    world.b.create(MachineSpec(name=offer.machine.name, memory="32MiB"), Context())
    assert examined(world, offer) == ["name-taken"]
    other = world.b.inspect(offer.machine.name)
    assert examined(world, offer.replace(machine=offer.machine.model_copy(update={"id": other.id}))) == [
        "already-there"
    ]


def test_preflight_engine(world: World, offer: Offer) -> None:
    assert examined(world, changed(offer, arch="s390x", cpu=None)) == ["engine-mismatch"]
    assert examined(world, changed(offer, machine="pc-q35-99.0", cpu=None)) == ["machine-type-unknown"]


def test_preflight_processor(world: World, offer: Offer) -> None:
    cpu = "<cpu mode='custom' match='exact'><model>Icelake-Server</model></cpu>"
    assert examined(world, changed(offer, cpu=cpu)) == ["cpu-mismatch"]


def test_preflight_memory(world: World, offer: Offer) -> None:
    heavy = offer.replace(machine=offer.machine.model_copy(update={"memory": 1 << 50}))
    assert examined(world, heavy) == ["memory"]


def test_preflight_files(world: World, offer: Offer) -> None:
    assert examined(world, changed(offer, boot_files=["/nonexistent/vmlinuz"])) == ["file-missing"]
    (world.lab.shared / "offered.qcow2").rename(world.lab.shared / "away.qcow2")
    assert examined(world, offer) == ["file-missing"]


def test_preflight_wires(world: World, offer: Offer) -> None:
    assert examined(world, changed(offer, bridges=["nowhere"])) == ["bridge-missing"]
    assert examined(world, changed(offer, networks=["nowhere"])) == ["network-missing"]


def test_preflight_policy(world: World, offer: Offer) -> None:
    both = MigrationPolicy(post_copy=True, parallel=2)
    assert examined(world, offer, both) == ["post-copy-parallel"]
    socket = MigrationPolicy(options={"libvirt": {"data": "unix"}})
    assert examined(world, changed(offer, local=False), socket) == ["data-socket"]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"shared": False}, "disk-not-shared"),
        ({"cache": "writeback"}, "unsafe-cache"),
        ({"cache": "writethrough"}, "unsafe-cache"),
    ],
)
def test_preflight_disks(world: World, fields: dict[str, Any], code: str) -> None:
    machine = world.a.create(world.spec(disks=(world.disk("disks.qcow2", **fields),)), Context())
    world.a.start(machine.id, Context())
    offer = world.a.provides(MIGRATION).offer(machine.id, MigrationPolicy())
    assert examined(world, offer) == [code]
    assert examined(world, offer, MigrationPolicy(allow_unsafe=True)) == []


def test_a_read_only_disk_needs_no_promise(world: World) -> None:
    disk = world.disk("iso.img", "raw", shared=False, read_only=True)
    machine = world.running(world.spec(disks=(disk,)))
    world.move(world.a, world.b, machine.id)


def test_a_machine_of_somebody_else_moves(world: World) -> None:
    machine = world.running()
    dom = world.a._machine(machine.id)
    dom.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, None, "vhal", "urn:vhal:machine:1", 3)
    assert not world.a.inspect(machine.id).managed
    world.move(world.a, world.b, machine.id)
    arrived = world.b.inspect(machine.id)
    assert (arrived.managed, arrived.epoch) == (False, 2)


def test_no_write_is_lost(world: World) -> None:
    # It writes all of 32 MiB within two seconds, over several passes, and looks each time whether all of it is there.
    machine = world.running(world.spec(dirty_mib=32, dirty_mib_s=16))
    sent = world.move(world.a, world.b, machine.id, MigrationPolicy(bandwidth="40MiB"))
    assert sent.iterations > 2
    console = world.console(world.b, machine.id)
    console.listen_for(25)
    assert b"lost a write" not in console.heard
    console.close()


def test_a_machine_whose_writes_would_be_lost_is_refused(world: World) -> None:
    machine = world.running()
    offer = world.a.provides(MIGRATION).offer(machine.id, MigrationPolicy())
    assert offer.payload["loses_writes"] is False
    other = changed(offer, loses_writes=True)
    assert examined(world, other) == ["writes-lost"]
    assert examined(world, other, MigrationPolicy(allow_unsafe=True)) == []
    assert examined(world, other, MigrationPolicy(live=False)) == []
    assert examined(world, other.replace(state=MachineState.PAUSED)) == []
    dom = world.a._machine(machine.id)
    dom.destroy()
    plain = dom.XMLDesc(0).split("<qemu:commandline>")[0] + "</domain>"
    world.a._connection.get().defineXML(plain)
    dom.create()
    unmade = world.a.provides(MIGRATION).offer(machine.id, MigrationPolicy())
    assert unmade.payload["loses_writes"] is (world.a._connection.get().getVersion() < 9_000_000)


def test_a_move_that_isnt_live_is_judged_as_one(world: World) -> None:
    disk = world.disk("cold.qcow2", cache="writeback")
    machine = world.a.create(world.spec(disks=(disk,)), Context())
    world.a.start(machine.id, Context())
    cold = MigrationPolicy(live=False)
    giving = world.a.provides(MIGRATION)
    offer = changed(
        giving.offer(machine.id, cold),
        held="devices",
        cpu="<cpu mode='custom' match='exact'><model>Icelake-Server</model></cpu>",
    )
    assert set(examined(world, offer)) == {"cpu-mismatch", "host-devices", "unsafe-cache"}
    assert examined(world, offer, cold) == []
    # It is started again afterwards, so there must be room; one that was stopped before needs none.
    heavy = offer.replace(machine=offer.machine.model_copy(update={"memory": 1 << 50}))
    assert examined(world, heavy, cold) == ["memory"]
    assert examined(world, heavy.replace(state=MachineState.STOPPED)) == []
    kept = changed(offer, firmware=["a TPM", "UEFI variables"], held=None, cpu=None)
    assert examined(world, kept, cold) == ["firmware-state"]
    assert examined(world, kept.replace(state=MachineState.STOPPED)) == ["firmware-state"]
    assert examined(world, kept, MigrationPolicy(allow_unsafe=True)) == []


def test_a_machine_with_a_device_of_its_host_is_offered(world: World) -> None:
    machine = world.a.create(world.spec(), Context())
    conn = world.a._connection.get()
    xml = world.a._machine(machine.id).XMLDesc(0)
    address = "<address domain='0' bus='9' slot='0' function='0'/>"
    device = f"<hostdev mode='subsystem' type='pci'><source>{address}</source></hostdev>"
    conn.defineXML(xml.replace("</devices>", f"{device}</devices>"))
    assert world.a.can(MIGRATION, machine)
    offer = world.a.provides(MIGRATION).offer(machine.id, MigrationPolicy())
    assert offer.payload["held"] == "devices"
    assert examined(world, offer) == []
    assert examined(world, offer.replace(state=MachineState.RUNNING)) == ["host-devices"]


def test_the_firmwares_variables_that_a_cancelled_move_left(world: World) -> None:
    conn = world.b._connection.get()
    path = world.lab.shared / "m_VARS.fd"
    assert nvram.absent(conn, None) is None
    assert nvram.absent(conn, str(path)) == str(path)
    path.write_bytes(b"variables")
    assert nvram.absent(conn, str(path)) is None  # it may be the source's
    nvram.remove(conn, None)
    assert path.exists()
    user = world.b.create(world.spec(), Context())
    xml = world.b._machine(user.id).XMLDesc(0)
    own = f"<os><loader readonly='yes' type='pflash'>/bios.fd</loader><nvram>{path}</nvram>"
    conn.defineXML(xml.replace("<os>", own))
    nvram.remove(conn, str(path))
    assert path.exists()
    conn.defineXML(xml)
    for _ in range(2):
        nvram.remove(conn, str(path))
        assert not path.exists()


def test_a_cancelled_move_removes_no_file_that_was_there(world: World) -> None:
    machine = world.running()
    giving, taking = world.a.provides(MIGRATION), world.b.provides(MIGRATION)
    path = world.lab.shared / "there_VARS.fd"
    path.write_bytes(b"variables")
    offer = changed(giving.offer(machine.id, MigrationPolicy()), nvram=str(path))
    taking.cancel(taking.prepare(offer, MigrationPolicy(), Context()), Context())
    assert path.exists()
    path.unlink()
    ticket = taking.prepare(offer, MigrationPolicy(), Context())
    path.write_bytes(b"variables")
    taking.cancel(ticket, Context())
    assert not path.exists()


def test_a_broken_post_copy_is_left_alone(world: World) -> None:
    # It writes more than fits into the downtime, so that there is something left to fetch after the first pass.
    machine = world.running(world.spec(dirty_mib=48, dirty_mib_s=48))
    chosen = MigrationPolicy(post_copy=True, max_downtime_s=0.01, **SLOW)
    giving, taking, offer, ticket = begun(world, machine, chosen)
    source = world.a._machine(machine.id)
    source.migrateSetMaxSpeed(8, libvirt.VIR_DOMAIN_MIGRATE_MAX_SPEED_POSTCOPY)
    broken: list[bool] = []

    def breaking(progress: Progress) -> None:
        if broken or source.state() != [libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_POSTCOPY]:
            return
        if world.b._machine(machine.id).state() == [libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_RUNNING_POSTCOPY]:
            source.abortJobFlags(libvirt.VIR_DOMAIN_ABORT_JOB_POSTCOPY)
            broken.append(True)

    with pytest.raises((libvirt.libvirtError, MigrationInDoubt)):
        giving.transfer(offer, ticket, chosen, Context(60, on_progress=breaking))
    assert broken
    assert source.state() == [libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_POSTCOPY_FAILED]
    steps: list[Callable[[], object]] = [
        lambda: taking.commit(ticket, Context()),
        lambda: taking.cancel(ticket, Context()),
        lambda: giving.release(offer, Context()),
        lambda: giving.resume(offer, Context()),
    ]
    for step in steps:
        with pytest.raises(MigrationInDoubt) as caught:
            step()
        assert "neither copy" in (caught.value.hint or "")
    assert source.isActive()
    assert world.b._machine(machine.id).isActive()
    # Either daemon may now wait for ever for the other one's half, and then lets nobody remove the machine.
    for host in world.lab.hosts:
        host.signal_daemon(signal.SIGKILL)
        host.start_daemon()


def test_the_downtime_is_forgotten_by_a_machine_that_stays(world: World) -> None:
    machine = world.running()
    dom = world.a._machine(machine.id)
    before = dom.migrateGetMaxDowntime(0)
    chosen = MigrationPolicy(max_downtime_s=7.0, **SLOW)
    giving, taking, offer, ticket = begun(world, machine, chosen)
    during: list[int] = []

    def abort(progress: Progress) -> None:
        if progress.done:
            during.append(dom.migrateGetMaxDowntime(0))
            ctx.abort()

    ctx = Context(60, on_progress=abort)
    with pytest.raises(OperationAborted):
        giving.transfer(offer, ticket, chosen, ctx)
    assert during[0] == 7000
    assert dom.migrateGetMaxDowntime(0) == before
    taking.cancel(ticket, Context())
