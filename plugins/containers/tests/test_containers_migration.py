"""Machines that move between two real engines while they count, with one connection held all the time."""

from __future__ import annotations

import json
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from vhal_containers.address import Address
from vhal_containers.api import ApiError
from vhal_containers.migration import network

from tests.testbed import wait_until
from vhal.driver import Context, EventKind, MigrationPolicy, Offer, Progress, Ticket
from vhal.errors import (
    InvalidState,
    MigrationFailed,
    MigrationInDoubt,
    MigrationRefused,
    OperationAborted,
    Unsupported,
)
from vhal.spec import Cpus, MachineState, Mount
from vhal.watch import EventStream

from .moving import LAN, Watch, World, new_address, world_on

if TYPE_CHECKING:
    # The fixture's class is in the conftest.py above, which pytest loads but nobody can import.
    Engines = Any

MIB = 1 << 20
OPTIONS = "containers"


@pytest.fixture
def world(engines: Engines) -> Iterator[World]:
    with world_on(engines) as world:
        yield world


def test_the_count_goes_on_over_one_connection(world: World) -> None:
    ip = new_address()
    machine = world.running(ip=ip, mib=8)
    with world.counting(ip) as asker, Watch(asker) as watch:
        for epoch, (source, target) in enumerate([(world.a, world.b), (world.b, world.a)] * 2, start=2):
            result = machine.migrate(target.host)
            assert result.live
            assert result.downtime_s > 0
            assert result.transferred > 8 * MIB
            assert (machine.state(), machine.info().epoch) == (MachineState.RUNNING, epoch)
            source.assert_nothing_is_left()
            assert target.rules() == ""
            counted = len(watch.counts)
            wait_until(partial(watch.has_more_than, counted + 3), deadline=60, what="more counts")
    assert watch.failure is None
    assert len(watch.nonces) == 1
    assert watch.counts == sorted(watch.counts)


def test_two_connections_and_one_that_is_idle(world: World) -> None:
    ip = new_address()
    machine = world.running(ip=ip)
    with world.counting(ip) as one, world.counting(ip) as other:
        _, nonce = one.ask()
        assert other.ask()[1] == nonce
        machine.migrate(world.b.host)
        assert one.ask()[1] == other.ask()[1] == nonce


def test_who_it_is_and_what_it_was_made_from_move_along(world: World) -> None:
    machine = world.running(labels={"a": "b"})
    before = machine.info()
    machine.migrate(world.b.host)
    after = machine.info()
    assert after.model_copy(update={"epoch": 1}) == before
    assert [info.seen.epoch for info in world.b.host.machines()] == [2]


def test_the_image_goes_along_with_its_name(world: World) -> None:
    world.b.api.images.remove(world.image)
    machine = world.running()
    machine.migrate(world.b.host)
    assert world.b.api.images.inspect(world.image).id == world.image_id


def test_a_name_that_another_image_has_is_left_to_it(world: World) -> None:
    world.b.api.images.remove(world.image)
    other = world.b.api.images.import_(iter([bytes(10240)]), world.image)
    machine = world.running()
    machine.migrate(world.b.host)
    assert world.b.api.images.inspect(world.image).id == other
    assert world.b.api.images.exists(world.image_id)


def test_limits_are_in_force_over_there(world: World) -> None:
    machine = world.running(memory="96MiB", cpus=Cpus(count=1))
    machine.migrate(world.b.host)
    assert world.b.group(machine, "memory", "memory.limit_in_bytes") == 96 * MIB
    assert world.b.group(machine, "cpu", "cpu.cfs_quota_us") == 100_000


def test_limits_that_were_changed_are_in_force_over_there(world: World) -> None:
    machine = world.running(memory="96MiB")
    machine.resize(memory="160MiB", cpus=2)
    for side in (world.b, world.a):
        machine.migrate(side.host)
        assert side.group(machine, "memory", "memory.limit_in_bytes") == 160 * MIB
        assert side.group(machine, "cpu", "cpu.cfs_quota_us") == 200_000
        assert (machine.info().memory, machine.info().cpus) == (160 * MIB, 2)


def test_files_it_changed_and_memory_file_systems_move_along(world: World) -> None:
    machine = world.running(mounts=[Mount(target="/mem", tmpfs="1MiB")])
    world.a.inside("mover", "echo disk > /srv/f; echo memory > /mem/f; rm /etc/group")
    machine.migrate(world.b.host)
    assert world.b.inside("mover", "cat /srv/f /mem/f; ls /etc") == ("disk\nmemory\nhostname\nhosts\nmtab\npasswd\n")


def test_files_of_its_image_that_it_changed_would_not_move_along(world: World) -> None:
    machine = world.running()
    offer, ticket = world.begun(machine)
    world.a.inside("mover", "echo one:x:1:1::/:/bin/sh >> /etc/passwd")
    assert world.blockers(machine) == {"files-forgotten"}
    with pytest.raises(MigrationRefused, match="etc/passwd"):
        machine.migrate(world.b.host)
    # Changed only after it was offered: seen when it is frozen.
    with pytest.raises(Unsupported, match="etc/passwd"):
        world.transfer(offer, ticket)
    world.b.migration.cancel(ticket, Context(60))
    world.a.migration.resume(offer, Context(60))
    assert machine.state() is MachineState.RUNNING
    assert world.b.names() == []
    machine.migrate(world.b.host, MigrationPolicy(live=False))
    assert "one:x" in world.b.inside("mover", "cat /etc/passwd")


def test_one_with_a_terminal_moves(world: World) -> None:
    machine = world.running(process={"terminal": True})
    machine.migrate(world.b.host)
    assert machine.state() is MachineState.RUNNING


def test_one_of_somebody_else_moves(world: World) -> None:
    world.a.node.run(["podman", "run", "-d", "--name", "theirs", "--network=none", world.image, "/bin/counter"])
    machine = world.a.host.machine("theirs")
    before = machine.info()
    for epoch, side in ((2, world.b), (3, world.a)):
        machine.migrate(side.host)
        assert machine.info() == before.model_copy(update={"epoch": epoch})


def test_a_paused_one_stays_paused(world: World) -> None:
    ip = new_address()
    machine = world.running(ip=ip)
    with world.counting(ip) as asker:
        _, nonce = asker.ask()
        machine.pause()
        machine.migrate(world.b.host)
        assert machine.state() is MachineState.PAUSED
        machine.resume()
        assert asker.ask()[1] == nonce


def test_it_can_be_stopped_and_started_over_there(world: World) -> None:
    machine = world.running()
    machine.migrate(world.b.host)
    machine.stop()
    machine.start()
    machine.stop()
    machine.delete()
    world.b.assert_nothing_is_left()


def test_a_shared_volume_stays_where_it_is(world: World) -> None:
    for side in (world.a, world.b):
        folder = world.lab.shared / "volume"
        folder.mkdir(exist_ok=True)
        side.api.volumes.create("both", options={"type": "none", "o": "bind", "device": str(folder)})
    machine = world.running(mounts=[Mount(target="/data", volume="both", shared=True)])
    world.a.inside("mover", "echo kept > /data/f")
    machine.migrate(world.b.host)
    assert world.b.inside("mover", "cat /data/f") == "kept\n"
    assert "both" in world.a.volumes()


def test_events_tell_that_it_moved(world: World) -> None:
    with world.a.host.events() as here, world.b.host.events() as there:
        machine = world.running()
        machine.migrate(world.b.host)
        for stream, kind in ((here, EventKind.MIGRATED_OUT), (there, EventKind.MIGRATED_IN)):
            told: list[EventKind] = []

            def comes(stream: EventStream = stream, kind: EventKind = kind, told: list[EventKind] = told) -> bool:
                event = stream.next(0.5)
                if event is not None and event.machine_id == machine.id:
                    told.append(event.kind)
                return kind in told

            wait_until(comes, deadline=20, what=f"the event {kind}")


def test_progress_counts_bytes(world: World) -> None:
    machine = world.running(mib=32)
    reports: list[Progress] = []
    offer, ticket = world.begun(machine)
    sent = world.a.migration.transfer(offer, ticket, MigrationPolicy(), Context(60, on_progress=reports.append))
    assert {report.phase for report in reports} == {"transfer"}
    assert any(report.message == "memory" and report.done for report in reports)
    assert sent.transferred > 32 * MIB
    assert sent.downtime_s is not None
    assert sent.elapsed_s is not None
    world.b.migration.commit(ticket, Context())
    world.a.migration.release(offer, Context())


def test_the_archive_is_never_held_in_memory(world: World) -> None:
    machine = world.running(mib=96)
    offer, ticket = world.begun(machine)
    tracemalloc.start()
    try:
        sent = world.transfer(offer, ticket, MigrationPolicy())
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # What it holds is still being written when it moves; of what is held in memory there would be as much.
    assert sent.transferred > 64 * MIB
    assert most < 16 * MIB
    world.b.migration.commit(ticket, Context())
    world.a.migration.release(offer, Context())


def test_the_bandwidth_is_kept(world: World) -> None:
    machine = world.running(mib=16)
    offer, ticket = world.begun(machine)
    sent = world.transfer(offer, ticket, MigrationPolicy(bandwidth="8MiB"))
    assert sent.elapsed_s is not None
    # A bound from below: slower is never wrong here.
    assert sent.elapsed_s >= 1.8


def test_every_step_may_be_repeated_and_survives_json(world: World) -> None:
    machine = world.running()
    policy = MigrationPolicy()
    offer = Offer.model_validate_json(world.a.migration.offer(machine.id, policy).model_dump_json())
    for _ in range(2):
        assert world.b.migration.examine(offer, policy)
        ticket = world.b.migration.prepare(offer, policy, Context())
    ticket = Ticket.model_validate_json(ticket.model_dump_json())
    for _ in range(2):
        world.b.migration.cancel(ticket, Context())
        world.a.migration.resume(offer, Context())
    world.transfer(offer, ticket)
    for _ in range(2):
        assert world.b.migration.commit(ticket, Context()).state is MachineState.RUNNING
        world.a.migration.release(offer, Context())
    with pytest.raises(InvalidState):
        world.b.migration.cancel(ticket, Context())
    assert world.b.names() == ["mover"]
    world.a.assert_nothing_is_left()


def test_one_that_runs_is_not_released(world: World) -> None:
    machine = world.running()
    offer = world.a.migration.offer(machine.id, MigrationPolicy())
    with pytest.raises(MigrationInDoubt):
        world.a.migration.release(offer, Context())
    assert machine.state() is MachineState.RUNNING


def test_cancel_leaves_another_life_of_the_machine_alone(world: World) -> None:
    machine = world.running()
    offer, ticket = world.begun(machine)
    older = ticket.model_copy(update={"payload": {**ticket.payload, "epoch": 7}})
    world.transfer(offer, ticket)
    world.b.migration.cancel(older, Context())
    assert world.b.names() == ["mover"]


def test_resume_brings_it_back_with_its_memory_and_connection(world: World) -> None:
    ip = new_address()
    machine = world.running(ip=ip, mib=4)
    with world.counting(ip) as asker:
        before, nonce = asker.ask()
        offer = world.a.migration.offer(machine.id, MigrationPolicy())
        with world.a.api.checkpoints.export(machine_podman_id(world, machine.id), keep=True, tcp_established=True):
            pass
        assert machine.state() is MachineState.SAVED
        for _ in range(2):
            world.a.migration.resume(offer, Context())
            assert machine.state() is MachineState.RUNNING
        after, same = asker.ask()
        assert (same, after >= before) == (nonce, True)


def machine_podman_id(world: World, id: str) -> str:
    return world.a.driver.inventory.find(id).podman_id


class TestAgainst:
    """What stands against a move is said before anything is touched."""

    def test_nothing(self, world: World) -> None:
        assert world.blockers(world.running()) == set()

    def test_its_own_host(self, world: World) -> None:
        offer = world.a.migration.offer(world.running().id, MigrationPolicy())
        answer = world.a.migration.examine(offer, MigrationPolicy())
        assert [blocker.code for blocker in answer.blockers] == ["same-host"]

    def test_copying_memory_ahead(self, world: World) -> None:
        policy = MigrationPolicy(options={OPTIONS: {"pre_dump": True}})
        machine = world.running()
        offer = world.a.migration.offer(machine.id, policy)
        blockers = {blocker.code: blocker for blocker in world.b.migration.examine(offer, policy).blockers}
        # What CRIU itself says of the kernel that all share here.
        words = ["criu", "check", "--feature", "mem_dirty_track"]
        checked = world.a.node.run(words, check=False)
        assert blockers.keys() == {"pre-dump"} | ({"no-dirty-tracking"} if checked.returncode else set())
        if checked.returncode:
            assert "Dirty tracking" in blockers["no-dirty-tracking"].message, blockers
            assert "CONFIG_MEM_SOFT_DIRTY" in blockers["no-dirty-tracking"].remedy
        with pytest.raises(MigrationRefused, match="copied ahead") as caught:
            machine.migrate(world.b.host, policy)
        assert "leave pre_dump out" in str(caught.value)
        assert machine.state() is MachineState.RUNNING
        machine.stop(force=True)
        assert world.blockers(machine, policy) == set()

    def test_what_the_engine_says_to_copying_memory_ahead(self, world: World) -> None:
        """There is a request for it. It fails where the kernel can't, and the machine runs on in any case."""
        podman_id = machine_podman_id(world, world.running().id)
        tracks = not world.a.node.run(["criu", "check", "--feature", "mem_dirty_track"], check=False).returncode
        with nullcontext() if tracks else pytest.raises(ApiError, match="checkpoint"):
            world.a.api.checkpoints.export(podman_id, pre_checkpoint=True, keep=True).close()
        assert world.a.api.containers.inspect(podman_id).state.running

    def test_a_taken_name_and_id(self, world: World) -> None:
        machine = world.running()
        world.b.host.create(world.spec("mover"))
        assert world.blockers(machine) == {"name-taken"}
        world.b.api.containers.delete("mover", force=True)
        podman_id = machine_podman_id(world, machine.id)
        labels = world.a.api.containers.inspect(podman_id).labels
        world.b.api.containers.create(
            {"name": "elsewhere", "image": world.image, "labels": dict(labels), "netns": {"nsmode": "none"}}
        )
        assert world.blockers(machine) == {"id-taken"}

    def test_networks_and_addresses(self, world: World) -> None:
        ip = new_address()
        machine = world.running(ip=ip)
        other = world.b.host.create(world.spec("other", ip))
        assert world.blockers(machine) == set()
        other.start()
        assert world.blockers(machine) == {"address-taken"}
        other.stop(force=True)
        other.delete()
        world.b.api.networks.remove(LAN, force=True)
        assert world.blockers(machine) == {"network-missing"}
        subnets = [{"subnet": "192.168.77.0/24"}]
        world.b.api.networks.create({"name": LAN, "driver": "bridge", "subnets": subnets})
        assert world.blockers(machine) == {"address-outside"}
        world.b.api.networks.remove(LAN, force=True)

    def test_volumes(self, world: World) -> None:
        machine = world.running(
            "one", mounts=[Mount(target="/d", volume="own"), Mount(target="/s", volume="both", shared=True)]
        )
        assert world.blockers(machine) == {"volume-not-shared", "volume-missing"}
        assert world.blockers(machine, MigrationPolicy(live=False)) == {"volume-missing"}
        world.b.api.volumes.create("both")
        world.b.api.volumes.create("own")
        assert world.blockers(machine) == {"volume-not-shared"}
        assert world.blockers(machine, MigrationPolicy(allow_unsafe=True)) == set()
        assert world.blockers(machine, MigrationPolicy(live=False)) == {"volume-taken"}

    def test_folders(self, world: World) -> None:
        folder = world.lab.shared / "folder"
        folder.mkdir(exist_ok=True)
        world.a.node.run(["mkdir", "-p", "/srv/only-here"])
        spec = world.spec("m", mounts=[Mount(target="/d", path="/srv/only-here", shared=True)])
        machine = world.a.host.create(spec)
        machine.start()
        assert world.blockers(machine) == {"folder-missing"}
        world.b.node.run(["mkdir", "-p", "/srv/only-here"])
        assert world.blockers(machine) == set()

    def test_a_port(self, world: World) -> None:
        publish = ("podman", "run", "-d", "-p", "8088:7000", world.image, "/bin/counter")
        world.a.node.run([*publish[:3], "--name", "porter", *publish[3:]])
        machine = world.a.host.machine("porter")
        assert world.blockers(machine) == set()
        world.b.node.run([*publish[:3], "--ip", "10.88.0.77", *publish[3:]])
        assert world.blockers(machine) == {"port-taken"}

    @pytest.mark.parametrize(
        ("words", "codes"),
        [
            (["--rm"], {"auto-remove"}),
            (["--pid=host"], {"shared-namespace"}),
            (["--network=host"], {"host-network"}),
            (["--pod=new:p"], {"pod", "shared-namespace", "network-mode"}),
        ],
        ids=["rm", "pid", "host-network", "pod"],
    )
    def test_what_cannot_be_taken_along(self, world: World, words: list[str], codes: set[str]) -> None:
        try:
            world.a.node.run(["podman", "run", "-d", "--name", "odd", *words, world.image, "/bin/counter"])
            found = world.blockers(world.a.host.machine("odd"))
        finally:
            world.a.node.run(["podman", "pod", "rm", "-f", "-t", "0", "p"], check=False)
        assert found <= codes
        assert found

    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"architecture": "aarch64"}, "architecture"),
            ({"kernel": "99.1.0"}, "kernel-older"),
            ({"runtime_version": "9.9"}, "runtime"),
            ({"runtime": "kata"}, "runtime-without-criu"),
            ({"host": {"flags": ["amx_tile_of_tomorrow"], "criu": None, "unknown": ""}}, "cpu-mismatch"),
            ({"host": {"flags": None, "criu": {"version": [99, 1], "complaint": ""}, "unknown": ""}}, "criu-older"),
            ({"against": [["no-criu", "there is none", "get one"]]}, "no-criu"),
            ({"memory_limit": 1 << 50}, "no-room"),
            ({"image_size": 1 << 50}, "no-room"),
            ({"cpuset": "0-4095"}, "pinning"),
            ({"snapshots": 2}, "snapshots"),
            ({"gpus": True}, "devices"),
            ({"devices": ["/dev/x"]}, "devices"),
            ({"own_root": True}, "own-rootfs"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_hosts_that_differ(self, world: World, changes: dict[str, Any], code: str) -> None:
        assert code in world.blockers(world.running(), **changes)

    @pytest.mark.parametrize(
        ("fields", "code"),
        [
            ({"route": "peer-to-peer"}, "route"),
            ({"post_copy": True}, "post-copy"),
            ({"max_downtime_s": 0.3}, "max-downtime"),
            ({"parallel": 2}, "parallel"),
        ],
    )
    def test_ways_that_do_not_exist(self, world: World, fields: dict[str, Any], code: str) -> None:
        assert world.blockers(world.running(), MigrationPolicy(**fields)) == {code}

    def test_no_criu_over_there(self, world: World) -> None:
        machine = world.running()
        world.b.node.run(["mv", "/usr/local/sbin/criu", "/usr/local/sbin/criu.away"])
        try:
            assert "no-criu" in world.blockers(machine)
            with pytest.raises(MigrationRefused):
                machine.migrate(world.b.host)
            assert world.blockers(machine, MigrationPolicy(live=False)) == set()
        finally:
            world.b.node.run(["mv", "/usr/local/sbin/criu.away", "/usr/local/sbin/criu"])

    def test_a_hold_that_is_required_and_impossible(self, world: World) -> None:
        machine = world.running(ip=new_address())
        required = MigrationPolicy(options={OPTIONS: {"hold": "required"}})
        assert world.blockers(machine, required) == set()
        with hold(Impossible()):
            assert world.blockers(machine, required) == {"no-hold"}
            assert world.blockers(machine) == set()
            assert world.blockers(machine, MigrationPolicy(options={OPTIONS: {"hold": "never"}})) == set()

    def test_an_option_that_does_not_exist(self, world: World) -> None:
        machine = world.running()
        with pytest.raises(Exception, match=r"options\.containers"):
            machine.preflight(world.b.host, MigrationPolicy(options={OPTIONS: {"hold": "tight"}}))


class Impossible:
    def problem(self, where: Address) -> str | None:
        return "there is no way"

    @contextmanager
    def hold(self, where: Address, addresses: Any) -> Iterator[None]:
        raise network.HoldError("there is no way")
        yield


class Noted:
    def __init__(self) -> None:
        self.told: list[str] = []

    def problem(self, where: Address) -> str | None:
        return None

    @contextmanager
    def hold(self, where: Address, addresses: Any) -> Iterator[None]:
        self.told.append(f"held {','.join(held.ip for held in addresses)} at {where.socket}")
        yield
        self.told.append("released")


@contextmanager
def hold(instead: network.TrafficHold) -> Iterator[None]:
    before = network.use(instead)
    try:
        yield
    finally:
        network.use(before)


class TestHold:
    def test_it_can_be_replaced(self, world: World) -> None:
        ip, noted = new_address(), Noted()
        machine = world.running(ip=ip)
        with hold(noted):
            machine.migrate(world.b.host)
        assert noted.told == [f"held {ip} at {world.b.node.socket}", "released"]

    def test_without_one_it_moves_all_the_same_unless_it_is_required(self, world: World) -> None:
        machine = world.running(ip=new_address())
        with hold(Impossible()):
            machine.migrate(world.b.host)
            offer, ticket = World.begun(swapped(world), machine)
            with pytest.raises(MigrationFailed, match="held"):
                world.b.migration.transfer(
                    offer, ticket, MigrationPolicy(options={OPTIONS: {"hold": "required"}}), Context(60)
                )
        assert machine.state() is MachineState.RUNNING

    def test_what_is_sent_does_not_arrive_and_nothing_stays(self, world: World) -> None:
        ip = new_address()
        world.running(ip=ip)
        where = world.a.driver.engine.address
        addresses = network.held_addresses([(LAN, ip)], world.a.api.networks.list())
        with world.counting(ip) as asker:
            asker.ask()
            with network.NftHold().hold(where, addresses):
                assert f"{ip} timeout" in world.a.rules()
                answered = threading.Event()

                def ask() -> None:
                    asker.ask()
                    answered.set()

                thread = threading.Thread(target=ask)
                thread.start()
                assert not answered.wait(0.5)
            thread.join(60)
            assert answered.is_set()
        assert world.a.rules() == ""

    def test_one_that_was_left_lapses_and_is_swept(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        where = world.b.driver.engine.address
        held = network.HeldAddress(ip="10.99.0.250", network=LAN, driver="macvlan", interface="eth0")
        monkeypatch.setattr(network, "LAPSE_S", 1)
        monkeypatch.setattr(network, "_remove", lambda *_: None)
        monkeypatch.setattr(network, "_remove_again", lambda *_: None)
        with network.NftHold().hold(where, [held]):
            pass
        monkeypatch.undo()
        assert "10.99.0.250" in world.b.rules()
        wait_until(lambda: "10.99.0.250" not in world.b.rules(), deadline=20, what="the end of the hold")
        with network.NftHold().hold(where, [held]):
            assert world.b.rules().count("table netdev") == 1
        assert world.b.rules() == ""

    def test_it_is_renewed_while_it_is_needed(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        where = world.b.driver.engine.address
        held = network.HeldAddress(ip="10.99.0.251", network=LAN, driver="macvlan", interface="eth0")
        monkeypatch.setattr(network, "LAPSE_S", 2)
        monkeypatch.setattr(network, "_RENEW_S", 0.2)
        with network.NftHold().hold(where, [held]):
            until = time.monotonic() + 3

            def held_long_enough() -> bool:
                assert "10.99.0.251" in world.b.rules()
                return time.monotonic() > until

            wait_until(held_long_enough, deadline=20, what="three seconds of hold", poll=0.2)

    def test_a_bridge_is_held_at_its_uplinks(self, world: World) -> None:
        from vhal_containers.reach import Nearby

        way = Nearby.of(world.b.driver.engine.address)
        try:
            world.b.node.run(["ip", "link", "add", "br9", "type", "bridge"])
            world.b.node.run(["ip", "link", "add", "up9", "type", "veth", "peer", "name", "far9"])
            world.b.node.run(["ip", "link", "set", "up9", "master", "br9"])
            held = network.HeldAddress(ip="10.1.2.3", network="x", driver="bridge", interface="br9")
            assert network._devices(way, held) == ["up9"]
            with network.NftHold().hold(world.b.driver.engine.address, [held]):
                assert 'device "up9"' in world.b.rules()
        finally:
            way.close()
            world.b.node.run(["ip", "link", "del", "up9"], check=False)
            world.b.node.run(["ip", "link", "del", "br9"], check=False)


def swapped(world: World) -> World:
    return World(world.lab, world.b, world.a, world.image, world.image_id)


def test_the_report_of_a_processor() -> None:
    from vhal_containers.migration.host_facts import flags_in

    told = "processor : 0\nflags\t\t: fpu sse2 avx2 hypervisor aes tsc_known_freq\n"
    assert flags_in(told) == ("aes", "avx2", "sse2")
    assert flags_in("nothing") is None


def test_commands_for_another_host_are_fixed_words() -> None:
    from vhal_containers.reach import Remote

    words = Remote(Address("/run/podman/podman.sock", "far.example.org", "root", 2222)).login()
    assert words[0] == "ssh"
    assert words[-2:] == ["--", "far.example.org"]
    assert "-oBatchMode=yes" in words
    assert json.dumps(words)


def test_an_abort_before_it_began(world: World) -> None:
    machine = world.running()
    offer, ticket = world.begun(machine)
    ctx = Context(60)
    ctx.abort()
    with pytest.raises(OperationAborted):
        world.a.migration.transfer(offer, ticket, MigrationPolicy(), ctx)
    world.b.migration.cancel(ticket, Context())
    world.a.migration.resume(offer, Context())
    assert machine.state() is MachineState.RUNNING
    world.b.assert_nothing_is_left()
