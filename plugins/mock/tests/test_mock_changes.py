"""Sizes, snapshots and usage of simulated machines, and their hosts' room."""

from __future__ import annotations

import pytest
from vhal_mock.world import World

import vhal
from vhal.driver import MIGRATION
from vhal.errors import InsufficientResources, InvalidSpec, InvalidState, MigrationRefused, NotFound
from vhal.spec import rates


@pytest.fixture
def world() -> World:
    return World.from_spec({"hosts": [{"name": "a", "cpus": 4, "cpu_overcommit": 1, "memory": "4GiB"}, {"name": "b"}]})


@pytest.fixture
def a(world: World) -> vhal.Host:
    return vhal.connect(world.url("a"))


@pytest.fixture
def web(a: vhal.Host) -> vhal.Machine:
    return a.create(vhal.MachineSpec(name="web", cpus=2, memory="1GiB"))


class TestResize:
    @pytest.mark.parametrize("runs", [False, True])
    def test_room_follows(self, a: vhal.Host, web: vhal.Machine, runs: bool) -> None:
        if runs:
            web.start()
        with a.events() as events:
            web.resize(3, "2GiB")
            event = events.next(5)
            assert event is not None
            assert event.kind == "changed"
        assert (web.info().cpus, web.info().memory) == (3, 2 << 30)
        free = a.info().free
        assert (free.cpus, free.memory) == ((1, 2 << 30) if runs else (4, 4 << 30))
        web.resize(memory="512MiB")
        assert (web.info().cpus, web.info().memory) == (3, 512 << 20)

    @pytest.mark.parametrize(("cpus", "memory"), [(5, None), (None, "5GiB"), (1, "5GiB")])
    def test_more_than_the_host_has(self, web: vhal.Machine, cpus: int | None, memory: str | None) -> None:
        before = web.info()
        with pytest.raises(InsufficientResources, match="in all"):
            web.resize(cpus, memory)
        assert web.info() == before

    def test_more_than_is_free_is_refused_while_it_runs(self, a: vhal.Host, web: vhal.Machine) -> None:
        other = a.create(vhal.MachineSpec(name="other", cpus=2, memory="3GiB"))
        other.start()
        web.start()
        for sizes in ({"cpus": 3}, {"memory": 2 << 30}):
            with pytest.raises(InsufficientResources, match="is full"):
                web.resize(**sizes)
        assert (web.info().cpus, web.info().memory) == (2, 1 << 30)
        web.stop()
        web.resize(memory="2GiB")
        with pytest.raises(InsufficientResources):
            web.start()

    @pytest.mark.parametrize(
        ("cpus", "memory", "path"),
        [(None, None, "cpus"), (0, None, "cpus"), (5000, None, "cpus"), (None, "2 apples", "memory"), (1, 5, "memory")],
    )
    def test_sizes_that_are_none(self, web: vhal.Machine, cpus: int | None, memory: str | None, path: str) -> None:
        with pytest.raises(InvalidSpec) as caught:
            web.resize(cpus, memory)
        assert caught.value.hint
        assert path in dict(caught.value.problems)

    def test_a_saved_machine_keeps_its_size(self, web: vhal.Machine) -> None:
        web.start()
        web.save()
        with pytest.raises(InvalidState, match="can't resize"):
            web.resize(cpus=1)

    def test_it_moves_with_its_size(self, world: World, web: vhal.Machine) -> None:
        web.start()
        web.resize(3, "2GiB")
        web.migrate(vhal.connect(world.url("b")))
        assert (web.info().cpus, web.info().memory) == (3, 2 << 30)


class TestSnapshots:
    def test_files_and_sizes_come_back(self, web: vhal.Machine) -> None:
        web.write_file("/etc/a", "1")
        web.snapshot("one")
        web.write_file("/etc/a", "2")
        web.write_file("/etc/b", "2")
        web.resize(3, "2GiB")
        web.revert("one")
        assert web.read_file("/etc/a") == b"1"
        with pytest.raises(NotFound):
            web.read_file("/etc/b")
        assert (web.info().cpus, web.info().memory) == (2, 1 << 30)
        web.write_file("/etc/a", "3")
        web.revert("one")
        assert web.read_file("/etc/a") == b"1"

    def test_memory_takes_its_time_and_runs_on(self, world: World, web: vhal.Machine) -> None:
        web.start()
        taken = web.snapshot("live", memory=True)
        assert world.clock.now_s == taken.created == 1.0
        web.stop(force=True)
        web.revert("live")
        assert web.state() == "running"
        assert world.clock.now_s == 2.0

    def test_going_back_to_one_that_runs_needs_room(self, a: vhal.Host, web: vhal.Machine) -> None:
        web.start()
        web.snapshot("live", memory=True)
        web.stop()
        a.create(vhal.MachineSpec(name="other", memory="4GiB")).start()
        with pytest.raises(InsufficientResources):
            web.revert("live")
        assert web.state() == "stopped"

    def test_they_hold_it_where_it_is(self, world: World, a: vhal.Host, web: vhal.Machine) -> None:
        web.snapshot("one")
        answer = a.can(MIGRATION, web.info())
        assert [blocker.code for blocker in answer.blockers] == ["snapshots"]
        with pytest.raises(MigrationRefused):
            web.migrate(vhal.connect(world.url("b")))
        web.delete_snapshot("one")
        web.migrate(vhal.connect(world.url("b")))

    @pytest.mark.parametrize("name", ["", "-a", "a/b", "..", "a" * 64, "a b"])
    def test_names_that_are_none(self, web: vhal.Machine, name: str) -> None:
        for call in (web.snapshot, web.revert, web.delete_snapshot):
            with pytest.raises(InvalidSpec, match="is no name"):
                call(name)

    def test_no_memory_in_a_stopped_machine(self, web: vhal.Machine) -> None:
        with pytest.raises(InvalidState, match="no memory that could be kept"):
            web.snapshot("one", memory=True)


class TestUsage:
    def test_follows_the_clock_and_the_options(self, world: World, a: vhal.Host) -> None:
        spec = vhal.MachineSpec(name="web", cpus=2, memory="1GiB", options={"mock": {"load": 0.5, "working_set": 0.25}})
        web = a.create(spec)
        web.start()
        world.clock.spend(10)
        first = web.usage()
        assert (first.time_s, first.cpu_s, first.memory, first.processes) == (10.0, 10.0, 256 << 20, 0)
        assert (first.read, first.sent) == (0, 0)
        web.pause()
        world.clock.spend(10)
        assert web.usage().cpu_s == 10.0
        web.resume()
        web.resize(cpus=4)
        world.clock.spend(10)
        assert rates(first, web.usage()).cpus == 1.0
        web.migrate(vhal.connect(world.url("b")))
        moved = web.usage().cpu_s
        assert moved is not None
        assert moved > 30
        web.stop(force=True)
        web.start()
        assert web.usage().cpu_s == 0.0

    def test_only_of_active_machines(self, a: vhal.Host, web: vhal.Machine) -> None:
        assert a.usage() == {}
        with pytest.raises(InvalidState, match="stopped") as caught:
            web.usage()
        assert caught.value.hint
        web.start()
        assert list(a.usage()) == [web.id]
        web.delete(force=True)
        with pytest.raises(NotFound):
            web.usage()
