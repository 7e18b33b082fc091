"""A recorded session answers as the engine did, holds no secret, and says what differs from it."""

from __future__ import annotations

import os
import stat
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from vhal_mock.world import World

import vhal
from tests.unit.sessions import dicts, failure, record, replay
from vhal.driver import CAPABILITIES, Context, Driver, Event, Fault, FaultPlan
from vhal.errors import (
    InvalidSpec,
    NotRecorded,
)
from vhal.layers.scrub import Pseudonyms
from vhal.layers.session import read, write
from vhal.testing import Chaos, Recorder, Replay


def whole_life(host: vhal.Host) -> list[Any]:
    """Use about everything that there is, and return all answers."""
    told: list[Any] = [host.info()]
    with host.events() as events:
        vm = host.create(vhal.MachineSpec(name="web", cpus=2, memory="1GiB", labels={"team": "blue"}))
        told += [vm.info(), failure(lambda: host.create(vhal.MachineSpec(name="web")))]
        told.append(failure(lambda: host.create(vhal.MachineSpec(name="big", memory="1TiB"))))
        told += [host.can(key, vm.info()) for key in CAPABILITIES.values() if key.id != "create"]
        vm.start()
        vm.wait("ready")
        with vm.console() as console:
            told.append(console.expect("ready")[0])
        told.append(vm.exec(["echo", "hello"]))
        told.append(failure(lambda: vm.exec(["false"], check=True)))
        vm.pause()
        told.append(failure(vm.start))
        vm.resume()
        vm.save()
        vm.restore()
        vm.reboot()
        vm.resize(cpus=3)
        told += [vm.snapshot("one"), vm.snapshots(), vm.usage(), host.usage()]
        vm.write_file("/etc/motd", b"hello\x00\xff")
        told.append(vm.read_file("/etc/motd"))
        vm.delete_snapshot("one")
        vm.stop()
        told.append([machine.info() for machine in host.machines()])
        vm.delete()
        told.append(failure(lambda: host.machine("web")))
        while (event := events.next(timeout_s=0)) is not None:
            told.append(event)
    return told


class TestSession:
    def test_a_whole_life_is_the_same(self, tmp_path: Path) -> None:
        told = record(tmp_path / "life.json", whole_life)
        again, driver = replay(tmp_path / "life.json", whole_life)
        assert dicts(again) == dicts(told)
        assert [type(answer) for answer in again] == [type(answer) for answer in told]
        assert sum(isinstance(answer, Event) for answer in told) > 8
        assert driver.left() == []

    def test_with_pseudonyms_it_is_the_same_but_for_names(self, tmp_path: Path) -> None:
        path = tmp_path / "life.json"
        told = record(path, whole_life, pseudonyms=True)
        again, driver = replay(path, whole_life)
        assert [type(answer) for answer in again] == [type(answer) for answer in told]
        assert driver.left() == []
        assert told[0].uuid not in path.read_text()
        assert again[0].name in ("host-1", "host-2"), "the other is the world's, in URLs"
        assert again[0].uuid == driver.host_id

    def test_only_its_owner_reads_it_and_nothing_else_is_left(self, tmp_path: Path) -> None:
        path = tmp_path / "life.json"
        path.write_text("old")
        path.chmod(0o666)
        before = os.umask(0)
        try:
            record(path, lambda host: [host.info()])
        finally:
            os.umask(before)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert list(tmp_path.iterdir()) == [path]
        with pytest.raises(InvalidSpec, match="can't be written"):
            record(tmp_path / "none" / "life.json", lambda host: [host.info()])

    def test_a_migration_recorded_on_both_hosts(self, tmp_path: Path) -> None:
        def move(a: vhal.Host, b: vhal.Host) -> list[Any]:
            vm = a.create(vhal.MachineSpec(name="web"))
            vm.start()
            return [vm.migrate(b).transferred, vm.info(), [m.name for m in b.machines()], vm.preflight(b)]

        for shared in (None, Pseudonyms()):
            world = World.from_spec({"hosts": [{"name": "a"}, {"name": "b"}]})
            hosts = [vhal.connect(world.url(name), layers=[Recorder]) for name in world.hosts]
            told = move(*hosts)
            for host, name in zip(hosts, "ab", strict=True):
                host.layer(Recorder).save(tmp_path / name, pseudonyms=shared or False)
            drivers = [Replay.load(tmp_path / name) for name in "ab"]
            again = move(*map(vhal.connect, drivers))
            assert (again[0], again[2]) == (told[0], told[2])
            assert shared is not None or dicts(again) == dicts(told)
            assert [driver.left() for driver in drivers] == [[], []]

    def test_recorded_faults_come_again(self, tmp_path: Path) -> None:
        def live(host: vhal.Host) -> list[Any]:
            vm = host.create(vhal.MachineSpec(name="web"))
            return [failure(vm.start), vm.state()]

        world = World.from_spec({"hosts": [{"name": "a"}]})
        plan = FaultPlan([Fault(at="start.end", kind="lost-reply")])
        with vhal.connect(world.url("a"), layers=[partial(Chaos, plan=plan), Recorder]) as host:
            told = live(host)
            host.layer(Recorder).save(tmp_path / "s.json")
        again, _ = replay(tmp_path / "s.json", live)
        assert dicts(again) == dicts(told)

    def test_a_program_that_nobody_waited_for(self, tmp_path: Path) -> None:
        def live(host: vhal.Host) -> list[Any]:
            vm = host.create(vhal.MachineSpec(name="web"))
            vm.start()
            with vm.spawn(["cat"]) as cat:
                cat.write("x")
                return [cat.read(), cat.exit_code]

        told = record(tmp_path / "s.json", live)
        assert told == [(1, b"x"), None]
        assert replay(tmp_path / "s.json", live)[0] == told

        def waiting(host: vhal.Host) -> list[Any]:
            vm = host.create(vhal.MachineSpec(name="web"))
            vm.start()
            return [failure(vm.spawn(["cat"]).wait)]

        (error,), _ = replay(tmp_path / "s.json", waiting)
        assert "the recording ended before the program did" in error.message

    def test_what_was_kept_from_the_middle_on(self, tmp_path: Path) -> None:
        world = World.from_spec({"hosts": [{"name": "a"}]})
        with vhal.connect(world.url("a"), layers=[Recorder]) as host:
            vm = host.create(vhal.MachineSpec(name="web"))
            host.layer(Recorder).clear()
            vm.start()
            host.layer(Recorder).save(tmp_path / "s.json")
        driver = Replay.load(tmp_path / "s.json")
        with vhal.connect(driver) as again:
            again.guard.start(vm.id, Context())
        assert driver.left() == []

    def test_what_happened_in_a_call_that_had_not_ended_holds_up_nothing(self, tmp_path: Path) -> None:
        def live(host: vhal.Host) -> list[Any]:
            with host.events() as events:
                for name in ("web", "db"):
                    host.create(vhal.MachineSpec(name=name))
                told = []
                while (event := events.next(timeout_s=0)) is not None:
                    told.append(event)
            return told

        told = record(tmp_path / "s.json", live)
        session = read(tmp_path / "s.json")
        under_way = max(call.number for call in session.calls) + 1
        events = [session.events[0].replace(after=under_way), *session.events]
        with vhal.connect(Replay(session.replace(events=events))) as host:
            assert live(host) == [told[0], *told]

    def test_faults_around_a_replay_take_no_time(self, tmp_path: Path) -> None:
        record(tmp_path / "s.json", lambda host: [host.info(), host.create(vhal.MachineSpec(name="web")).state()])
        plan = FaultPlan()
        with vhal.connect(Chaos(Replay.load(tmp_path / "s.json"), plan)) as host:
            vm = host.create(vhal.MachineSpec(name="web"))
            plan.add(Fault(at="start.begin", kind="hang"))
            assert failure(lambda: vm.start(timeout_s=100_000)).code == "timeout"


class TestStrictness:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        def live(host: vhal.Host) -> list[Any]:
            vm = host.create(vhal.MachineSpec(name="web", cpus=2))
            vm.start()
            vm.stop(force=True)
            return []

        record(tmp_path / "s.json", live)
        return tmp_path / "s.json"

    @pytest.fixture
    def host(self, path: Path) -> vhal.Host:
        return vhal.connect(Replay.load(path))

    def test_other_arguments(self, host: vhal.Host) -> None:
        error = failure(lambda: host.create(vhal.MachineSpec(name="web", cpus=4)))
        assert type(error) is NotRecorded
        assert "can of machine 'web' was not recorded here: the nearest is can 'web', where " in error.message
        assert "subject.cpus.count was 2 and is 4" in error.message
        assert error.hint == "make the calls of the recording, in their order, or record it anew"
        assert host.create(vhal.MachineSpec(name="web", cpus=2)).name == "web", "it waits for the right one"

    def test_another_order(self, host: vhal.Host) -> None:
        vm = host.create(vhal.MachineSpec(name="web", cpus=2))
        error = failure(vm.pause)
        assert "was not recorded here" in error.message
        assert "the nearest is" in failure(lambda: host.machine("wbe")).message
        driver = host.guard.inner
        assert isinstance(driver, Replay)
        left = driver.left()
        assert left[-1] == "stop 'web'"
        error = failure(lambda: driver.stop("web", vhal.driver.StopMode.FORCED, vhal.driver.Context()))
        assert "the nearest is stop 'web', where id was " in error.message
        assert ", but inspect 'web' comes before" in error.message

    def test_more_than_was_recorded(self, path: Path) -> None:
        def live(host: vhal.Host) -> list[Any]:
            vm = host.create(vhal.MachineSpec(name="web", cpus=2))
            vm.start()
            vm.stop(force=True)
            return [failure(vm.start), failure(host.info)]

        (again, more), _ = replay(path, live)
        assert "all of its recorded calls have been made" in again.message
        assert "describe was not recorded here: nothing is" in more.message

    def test_what_it_had_not_then_it_has_not_now(self, path: Path) -> None:
        driver = Replay.load(path)
        assert all(driver.provides(key) is not None for key in CAPABILITIES.values())
        write({**read(path).model_dump(mode="json"), "provides": ["pause"]}, path)
        driver = Replay.load(path)
        assert [key.id for key in CAPABILITIES.values() if driver.provides(key)] == ["pause"]


def test_a_replay_is_a_driver() -> None:
    assert issubclass(Replay, Driver)
