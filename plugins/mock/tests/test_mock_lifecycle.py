"""The life of a simulated machine: capacity, time, events; and that one machine is always on exactly one host."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule
from vhal_mock.driver import MockDriver
from vhal_mock.world import World

import vhal
from vhal.driver import CREATE, MIGRATION, Context, StopMode
from vhal.errors import (
    AlreadyExists,
    InsufficientResources,
    InvalidSpec,
    InvalidState,
    MigrationRefused,
    NotFound,
    OperationTimeout,
)
from vhal.spec import MachineSpec, MachineState

S = MachineState
SMALL = {"hosts": [{"name": "a", "cpus": 2, "memory": "4GiB", "cpu_overcommit": 2.0}, {"name": "b", "memory": "2GiB"}]}


@pytest.fixture
def world() -> World:
    return World.from_spec(SMALL)


@pytest.fixture
def a(world: World) -> Iterator[vhal.Host]:
    with vhal.connect(world.url("a")) as host:
        yield host


class TestCapacity:
    def test_only_active_machines_take_room(self, a: vhal.Host) -> None:
        first, second = (a.create(MachineSpec(name=name, memory="3GiB")) for name in ("one", "two"))
        first.start()
        with pytest.raises(InsufficientResources, match="3 GiB of memory are needed and 1 GiB are free") as caught:
            second.start()
        assert caught.value.hint
        assert second.state() is S.STOPPED
        info = a.info()
        assert (info.allocated.memory, info.free.memory) == (3 << 30, 1 << 30)
        first.pause()
        assert a.info().allocated.memory == 3 << 30
        first.save()
        second.start()
        with pytest.raises(InsufficientResources):
            first.restore()
        assert first.state() is S.SAVED
        second.stop()
        first.restore()
        first.delete(force=True)
        assert a.info().allocated.memory == a.info().allocated.cpus == 0

    def test_processors_are_overcommitted_to_a_limit(self, a: vhal.Host) -> None:
        machines = [a.create(MachineSpec(name=f"m{n}", cpus=2, memory="1MiB")) for n in range(3)]
        machines[0].start()
        machines[1].start()
        assert a.info().free.cpus == 0
        with pytest.raises(InsufficientResources, match="2 processors are needed and 0 are free"):
            machines[2].start()

    def test_what_never_fits_isnt_made(self, a: vhal.Host) -> None:
        for spec in (MachineSpec(name="x", memory="5GiB"), MachineSpec(name="x", cpus=5)):
            assert a.can(CREATE, spec).blockers[0].code == "larger-than-host"
            with pytest.raises(InsufficientResources):
                a.create(spec)

    def test_a_cold_move_to_a_full_host_is_refused_before_the_stop(self, world: World, a: vhal.Host) -> None:
        vm = a.create(MachineSpec(name="web", memory="3GiB"))
        vm.start()
        with vhal.connect(world.url("b")) as b:
            for policy in (vhal.MigrationPolicy(), vhal.MigrationPolicy(live=False)):
                with pytest.raises(MigrationRefused, match="host 'b' is full") as caught:
                    vm.migrate(b, policy)
                assert caught.value.hint
                assert vm.state() is S.RUNNING


class TestTime:
    def test_waiting_costs_virtual_time_only(self, world: World, a: vhal.Host) -> None:
        vm = a.create(MachineSpec(name="web", options={"mock": {"boot_s": 3600, "stop_s": 7}}))
        vm.start()
        vm.wait()
        assert world.clock.now_s == 3600
        vm.stop()
        assert world.clock.now_s == 3607

    def test_a_deaf_guest_uses_up_the_deadline(self, world: World) -> None:
        driver = MockDriver(world.host("a"))
        info = driver.create(MachineSpec(name="deaf", options={"mock": {"stop_s": None}}), Context())
        driver.start(info.id, Context())
        for ctx in (Context(), Context(5)):
            with pytest.raises(OperationTimeout):
                driver.stop(info.id, StopMode.GRACEFUL, ctx)
        assert 4 < world.clock.now_s <= 5
        assert driver.inspect(info.id).state is S.RUNNING

    def test_saving_takes_as_long_as_it_is_large(self, world: World, a: vhal.Host) -> None:
        vm = a.create(MachineSpec(name="web", memory="2GiB"))
        vm.start()
        vm.save()
        assert world.clock.now_s == 2.0


class TestDriver:
    def test_ids_and_names(self, world: World) -> None:
        driver = MockDriver(world.host("a"))
        info = driver.create(MachineSpec(name="web", labels={"x": "y"}), Context())
        assert driver.inspect("web") == driver.inspect(info.id) == driver.machines()[0] == info
        assert info.managed
        assert info.labels == {"x": "y"}
        with pytest.raises(AlreadyExists):
            driver.create(MachineSpec(name="web"), Context())
        with pytest.raises(NotFound, match="machines"):
            driver.inspect("nothing")

    def test_every_call_checks_its_state_itself(self, world: World) -> None:
        driver = MockDriver(world.host("a"))
        info = driver.create(MachineSpec(name="web"), Context())
        for call in (driver.pause, driver.resume, driver.save, driver.restore, driver.reboot):
            with pytest.raises(InvalidState) as caught:
                call(info.id, Context())
            assert caught.value.hint

    def test_bad_options(self, a: vhal.Host) -> None:
        with pytest.raises(InvalidSpec) as caught:
            a.create(MachineSpec(name="web", options={"mock": {"working_set": 2}}))
        assert caught.value.problems[0][0] == "options.mock.working_set"

    def test_a_machine_that_cant_move(self, a: vhal.Host) -> None:
        vm = a.create(MachineSpec(name="web", options={"mock": {"migratable": False}}))
        assert a.can(MIGRATION, vm.info()).blockers[0].code == "not-migratable"


class TwoHosts(RuleBasedStateMachine):
    """What people do to machines on two hosts, against a model of a few lines."""

    machines = Bundle("machines")

    def __init__(self) -> None:
        super().__init__()
        self.world = World.from_spec(SMALL)
        self.hosts = {name: vhal.connect(self.world.url(name)) for name in "ab"}
        self.room = {"a": 4, "b": 2}
        self.where: dict[str, str] = {}
        self.state: dict[str, str] = {}
        self.size: dict[str, int] = {}
        self.number = 0

    def vm(self, name: str) -> vhal.Machine:
        return self.hosts[self.where[name]].machine(name)

    def used(self, host: str) -> int:
        return sum(
            self.size[name]
            for name, at in self.where.items()
            if at == host and self.state[name] in ("running", "paused")
        )

    def fits(self, name: str, host: str) -> bool:
        return self.used(host) + self.size[name] <= self.room[host]

    def attempt(self, name: str, call: str, good: bool, end: str) -> None:
        try:
            getattr(self.vm(name), call)()
        except (InvalidState, InsufficientResources):
            assert not good
        else:
            assert good
            self.state[name] = end

    @rule(target=machines, host=st.sampled_from("ab"), size=st.integers(1, 3))
    def create(self, host: str, size: int) -> str:
        self.number += 1
        name = f"m{self.number}"
        spec = MachineSpec(name=name, memory=f"{size}GiB")
        if size > self.room[host]:
            with pytest.raises(InsufficientResources):
                self.hosts[host].create(spec)
            host = "a"
        self.hosts[host].create(spec)
        self.where[name], self.state[name], self.size[name] = host, "stopped", size
        return name

    @rule(name=machines)
    def start(self, name: str) -> None:
        good = self.state[name] == "stopped" and self.fits(name, self.where[name])
        self.attempt(name, "start", good, "running")

    @rule(name=machines)
    def stop(self, name: str) -> None:
        self.attempt(name, "stop", self.state[name] == "running", "stopped")

    @rule(name=machines)
    def pause(self, name: str) -> None:
        self.attempt(name, "pause", self.state[name] == "running", "paused")

    @rule(name=machines)
    def resume(self, name: str) -> None:
        self.attempt(name, "resume", self.state[name] == "paused", "running")

    @rule(name=machines)
    def save(self, name: str) -> None:
        self.attempt(name, "save", self.state[name] in ("running", "paused"), "saved")

    @rule(name=machines)
    def restore(self, name: str) -> None:
        good = self.state[name] == "saved" and self.fits(name, self.where[name])
        self.attempt(name, "restore", good, "running")

    @rule(name=machines, live=st.booleans())
    def migrate(self, name: str, live: bool) -> None:
        there = "b" if self.where[name] == "a" else "a"
        active = self.state[name] in ("running", "paused")
        good = self.state[name] != "saved" and (not active or self.fits(name, there))
        vm, policy = self.vm(name), vhal.MigrationPolicy(live=live)
        assert bool(vm.preflight(self.hosts[there], policy)) is good
        if good:
            vm.migrate(self.hosts[there], policy)
            self.where[name] = there
        else:
            with pytest.raises(MigrationRefused):
                vm.migrate(self.hosts[there], policy)

    @rule(name=consumes(machines))
    def delete(self, name: str) -> None:
        self.vm(name).delete(force=True)
        del self.where[name], self.state[name], self.size[name]

    @invariant()
    def every_machine_is_on_exactly_one_host(self) -> None:
        seen = {
            (machine.name, host): machine.seen.state.value
            for host, connection in self.hosts.items()
            for machine in connection.machines()
        }
        assert seen == {(name, at): self.state[name] for name, at in self.where.items()}

    @invariant()
    def no_host_promises_more_than_it_has(self) -> None:
        for name, host in self.hosts.items():
            info = host.info()
            assert info.allocated.memory == self.used(name) << 30
            assert info.allocated.memory + info.free.memory == info.capacity.memory

    def teardown(self) -> None:
        for host in self.hosts.values():
            host.close()


TestTwoHosts = TwoHosts.TestCase
TestTwoHosts.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
