"""Simulated fleets for the tests of what moves machines, and a look at them that trusts nothing of the fleet's code."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

from vhal_mock.driver import MockDriver
from vhal_mock.world import World

import vhal
from vhal.driver.capability import MIGRATION, Capability
from vhal.driver.driver import Driver
from vhal.errors import HostUnreachable
from vhal.fleet.plan import Move, Plan
from vhal.fleet.rules import Apart, Rule
from vhal.fleet.snapshot import FleetSnapshot, HostStatus, SeenHost, SeenMachine
from vhal.journal import Journal
from vhal.layers.layer import Layer
from vhal.spec.state import MachineState

T = TypeVar("T")


def world(hosts: Mapping[str, Mapping[str, int]], memory: str = "8GiB", host_memory: str = "64GiB") -> World:
    """Return a world of running machines: host → its machines → GiB of each (0 for ``memory``)."""
    return World.from_spec(
        {
            "hosts": [{"name": name, "memory": host_memory} for name in hosts],
            "machines": [
                {
                    "host": name,
                    "running": True,
                    "spec": {"name": machine, "cpus": 1, "memory": f"{gib}GiB" if gib else memory},
                }
                for name, machines in hosts.items()
                for machine, gib in machines.items()
            ],
        }
    )


class Stand:
    """A fleet of a world's hosts: as much of one as moving needs."""

    def __init__(
        self, world: World, rules: Iterable[Rule] = (), layers: Iterable[Callable[[Driver], Driver]] = ()
    ) -> None:
        self.world = world
        self.rules = tuple(rules)
        self.marks: dict[str, HostStatus] = {}
        self._stack = ExitStack()
        layers = list(layers)
        self._hosts = {
            name: self._stack.enter_context(vhal.connect(MockDriver(world.host(name)), layers=layers))
            for name in world.hosts
        }

    def host(self, name: str) -> vhal.Host:
        return self._hosts[name]

    def mark(self, name: str, status: HostStatus, reason: str = "") -> None:
        self.marks[name] = status

    def snapshot(self, *, movable: bool = False) -> FleetSnapshot:
        hosts, machines = [], []
        for name, host in self._hosts.items():
            try:
                info = host.info()
            except HostUnreachable as error:
                hosts.append(SeenHost(name=name, uuid=host.uuid, status=HostStatus.UNREACHABLE, reason=error.message))
                continue
            hosts.append(
                SeenHost(
                    name=name,
                    uuid=info.uuid,
                    backend=info.backend,
                    status=self.marks.get(name, HostStatus.UP),
                    cpus=info.cpus.count,
                    memory=info.memory,
                    overcommit=4.0,
                )
            )
            machines += [
                SeenMachine(
                    id=each.id,
                    name=each.name,
                    host=name,
                    state=each.seen.state,
                    cpus=each.seen.cpus,
                    memory=each.seen.memory,
                    labels=each.seen.labels,
                )
                for each in host.machines()
            ]
        return FleetSnapshot(hosts=tuple(hosts), machines=tuple(machines), rules=self.rules)

    def plan(self, *moves: tuple[str, str] | tuple[str, str, tuple[int, ...]], **facts: Any) -> Plan:
        """Return a plan of moves: (machine, destination), and what has to be over before."""
        now, made, where = self.snapshot(), list[Move](), dict[str, str]()
        named = {machine.name: machine for machine in now.machines}
        for name, to, *after in moves:
            machine = named[name]
            made.append(
                Move(
                    machine=name,
                    id=machine.id,
                    source=where.get(name, machine.host),
                    destination=to,
                    reason="for the test",
                    memory=machine.memory,
                    transferred=machine.memory,
                    total_s=1,
                    downtime_s=0.1,
                    after=after[0] if after else (),
                )
            )
            where[name] = to
        return Plan(**{"snapshot": now.digest, "moves": tuple(made), **facts})

    def close(self) -> None:
        self._stack.close()

    def __enter__(self) -> Stand:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def places(world: World) -> dict[str, str]:
    """Return where each machine runs, seen by the simulator itself.

    Raises:
        AssertionError: Somewhere there is a second copy, or one that doesn't run.
    """
    found: dict[str, str] = {}
    for name, host in world.hosts.items():
        for machine in host.machines.values():
            assert machine.state is MachineState.RUNNING, f"{machine.spec.name} is {machine.state} on {name}"
            assert machine.spec.name not in found, f"{machine.spec.name} is on {found[machine.spec.name]} and {name}"
            found[machine.spec.name] = name
    return found


def never_two(world: World) -> None:
    """Assert that no machine runs twice at this moment, and no host has given away more memory than it has."""
    with world.clock.lock:
        running = [m.spec.name for h in world.hosts.values() for m in h.machines.values() if m.state == "running"]
        assert len(set(running)) == len(running), running
        for host in world.hosts.values():
            assert sum(m.memory for m in host.machines.values()) <= host.model.memory, host.name


def kept_apart(world: World, rule: Apart) -> None:
    """Assert that a rule holds at this moment, where machines run."""
    with world.clock.lock:
        for host in world.hosts.values():
            chosen = [
                machine.spec.name
                for machine in host.machines.values()
                if machine.state == "running" and rule.machines.matches({"name": machine.spec.name})
            ]
            assert len(chosen) < 2, f"{chosen} are together on {host.name}"


class Killed(BaseException):
    """The process is dead."""


class Life:
    """A process that dies at its n-th chance: from then on nothing that it does has any effect."""

    def __init__(self, chances: int | None = None) -> None:
        self.chances = chances
        self.seen = 0
        self.dead = False
        self._lock = threading.Lock()

    def point(self) -> None:
        """Die here, or be dead already, or live on."""
        with self._lock:
            self.seen += 1
            self.dead = self.dead or self.seen == self.chances
            if self.dead:
                raise Killed

    def layer(self, driver: Driver) -> Driver:
        return _Mortal(driver, self)

    def journal(self, path: Path) -> Journal:
        life = self

        class Mortal(Journal):
            def _writing(self) -> Any:
                life.point()
                return super()._writing()

        return Mortal(path)


class _Mortal(Layer):
    def __init__(self, inner: Driver, life: Life) -> None:
        super().__init__(inner)
        self.life = life

    def machines(self) -> list[Any]:
        self.life.point()
        return self.inner.machines()

    def inspect(self, ref: str) -> Any:
        if self.life.dead:
            raise Killed
        return self.inner.inspect(ref)

    def start(self, id: str, ctx: Any) -> None:
        self.life.point()
        self.inner.start(id, ctx)
        self.life.point()

    def stop(self, id: str, mode: Any, ctx: Any) -> None:
        self.life.point()
        self.inner.stop(id, mode, ctx)
        self.life.point()

    def provides(self, capability: Capability[T]) -> T | None:
        found: Any = self.inner.provides(capability)
        return _Steps(found, self.life) if capability is MIGRATION else found  # type: ignore[return-value]


class _Steps:
    """The steps of a migration; before and after each of them the process may die."""

    def __init__(self, inner: Any, life: Life) -> None:
        self._inner = inner
        self._life = life

    def __getattr__(self, name: str) -> Any:
        step = getattr(self._inner, name)

        def call(*args: Any) -> Any:
            self._life.point()
            result = step(*args)
            self._life.point()
            return result

        return call
