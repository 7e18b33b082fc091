"""Lets a scenario happen, in virtual time.

What one does to machines are calls of the users' API, each a task of the world's clock: they overlap in virtual time,
one runs at a time, and the same scenario gives the same result. One that fails is a part of the result, not the end.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from vhal.errors import NotFound, VhalError
from vhal_mock.scenario.action import CALLS, LONG, interfere, strike
from vhal_mock.scenario.event import Abort, Create, Delete, HostEvent, MachineCrash, Migrate, Power, Resize, Stop
from vhal_mock.scenario.result import Failure, Move, Result, Standing, Unfinished
from vhal_mock.scenario.sample import Samples

if TYPE_CHECKING:
    from vhal.host import Host
    from vhal.machine import Machine
    from vhal_mock.clock import Task
    from vhal_mock.scenario.event import AnyEvent
    from vhal_mock.scenario.spec import Scenario
    from vhal_mock.world import World


def run(scenario: Scenario, connect: Callable[[str], Host], source: Path | None = None) -> Result:
    """Let a scenario happen and return what came of it.

    Args:
        scenario: What shall happen.
        connect: :func:`vhal.connect`, which a plugin can't import.
        source: The file that the scenario is from: paths of traces begin there, and errors name it.

    Raises:
        vhal.errors.InvalidSpec: The scenario isn't sound; nothing has happened.
        vhal.errors.NotFound: It names a trace that isn't there.
    """
    world = scenario.world(source)
    return _Run(scenario, world, connect).go()


class _Action:
    """One thing under way."""

    def __init__(self, event: str, action: str, machine: str, begun_s: float) -> None:
        self.event, self.action, self.machine, self.begun_s = event, action, machine, begun_s
        self.task: Task | None = None


class _Run:
    def __init__(self, scenario: Scenario, world: World, connect: Callable[[str], Host]) -> None:
        self._scenario, self._world, self._connect = scenario, world, connect
        self._clock, self._log = world.clock, world.log
        self._hosts: dict[str, Host] = {}
        self._moves: list[Move] = []
        self._failures: list[Failure] = []
        self._actions: list[_Action] = []
        self._last: dict[str, _Action] = {}
        """The last action on each machine."""
        self._samples = Samples(world)

    def go(self) -> Result:
        before = len(self._log)
        for place, event in enumerate(self._scenario.events):
            self._clock.at(event.time_s, partial(self._happen, f"events[{place}]", event))
        try:
            # Held, so that no task lets time pass beyond the end while the result is put together.
            with self._clock.hold():
                self._sample(0)
                self._clock.advance(self._scenario.until_s)
                result = self._result(before)
        finally:
            self._finish()
        for action in self._actions:
            if action.task is not None and action.task.error is not None:
                raise action.task.error  # a defect: errors of vhal are a part of the result
        return result

    def _sample(self, number: int) -> None:
        with self._clock.lock:
            self._samples.take()
            next_s = (number + 1) * self._scenario.interval_s
            if next_s < self._scenario.until_s:
                self._clock.at(next_s, partial(self._sample, number + 1))

    def _result(self, before: int) -> Result:
        with self._clock.lock:
            self._samples.take()
        return Result(
            seed=self._world.seed,
            until_s=self._scenario.until_s,
            entries=tuple(self._log.since(before)),
            samples=self._samples,
            moves=tuple(self._moves),
            failures=tuple(self._failures),
            unfinished=tuple(
                Unfinished(action.event, action.action, action.machine, action.begun_s)
                for action in self._actions
                if action.task is not None and not action.task.is_over
            ),
            machines=tuple(
                Standing(name, machine.name, machine.state.value)
                for name, host in self._world.hosts.items()
                for machine in host.machines.values()
                if not machine.arriving
            ),
        )

    def _finish(self) -> None:
        """Let what is under way come to its end, so that no thread is left; nobody records it."""
        self._clock.speed = None
        self._clock.join(*(action.task for action in self._actions if action.task is not None))
        for host in self._hosts.values():
            host.close()

    # what happens

    def _happen(self, place: str, event: AnyEvent) -> None:
        """Begin an event at its time. The clock runs it, with the lock held."""
        if isinstance(event, HostEvent):
            strike(self._world, event)
        elif isinstance(event, (Abort, MachineCrash)):
            action = _Action(place, event.action, event.machine, self._clock.now_s)
            try:
                self._log.add(event.action, self._place(event.machine), event.machine)
                interfere(self._world, event)
            except VhalError as error:
                self._fail(action, self._place(event.machine), error)
        elif isinstance(event, Create):
            self._begin(place, event.action, event.spec.name, partial(self._create, event), event.host)
        elif isinstance(event, Migrate):
            names = [event.machine] if event.machine is not None else self._active(str(event.host))
            for name in names:
                self._begin(place, event.action, name, partial(self._migrate, event, name))
        else:
            self._begin(place, event.action, event.machine, partial(self._call, event))

    def _begin(self, place: str, what: str, machine: str, call: Callable[[], None], host: str | None = None) -> None:
        action = _Action(place, what, machine, self._clock.now_s)
        earlier = self._last.get(machine)

        def act() -> None:
            # The SDK would wait for a short call, too, but in real time, and no virtual time passes in that.
            if earlier is not None and earlier.task is not None and earlier.action not in LONG:
                self._clock.join(earlier.task)
            where = self._place(machine) if host is None else host
            try:
                call()
            except VhalError as error:
                self._fail(action, where, error)

        action.task = self._clock.begin(act)
        self._last[machine] = action
        self._actions.append(action)

    def _create(self, event: Create) -> None:
        machine = self._host(event.host).create(event.spec)
        if event.start:
            machine.start()

    def _call(self, event: Power | Stop | Delete | Resize) -> None:
        CALLS[type(event)](self._machine(event.machine), event)

    def _migrate(self, event: Migrate, name: str) -> None:
        begun_s, source = self._clock.now_s, self._place(name)
        machine = self._machine(name)
        self._log.add("migrate", source, name, f"to {event.to}")
        went = machine.migrate(self._host(event.to), event.policy, timeout_s=event.timeout_s)
        move = Move(
            machine=name,
            source=source,
            destination=event.to,
            begun_s=begun_s,
            total_s=went.total_s,
            downtime_s=went.downtime_s,
            transferred=int(went.transferred),
            iterations=went.iterations,
            live=went.live,
        )
        self._moves.append(move)
        passes = f"{went.iterations} pass{'' if went.iterations == 1 else 'es'}"
        self._log.add(
            "moved",
            event.to,
            name,
            f"from {source} in {went.total_s:.2f} s, downtime {went.downtime_s * 1000:.0f} ms, "
            f"{went.transferred} in {passes}",
        )

    def _fail(self, action: _Action, host: str, error: VhalError) -> None:
        # A connection is named by its URL, which has the number of the world: it isn't the same in each run.
        message, hint = (text.replace(self._world.url(), "") for text in (error.message, error.hint or ""))
        self._failures.append(
            Failure(
                event=action.event,
                action=action.action,
                host=host,
                machine=action.machine,
                begun_s=action.begun_s,
                ended_s=self._clock.now_s,
                code=error.code,
                message=message,
                hint=hint,
            )
        )
        self._log.add("failed", host, action.machine, f"{action.action}: {error.code}: {message}")

    # where things are

    def _host(self, name: str) -> Host:
        host = self._hosts.get(name)
        if host is None:
            host = self._hosts[name] = self._connect(self._world.url(name))
        return host

    def _machine(self, name: str) -> Machine:
        place = self._place(name)
        if not place:
            raise NotFound(f"there is no machine {name!r} now", hint="create it before", machine=name)
        return self._host(place).machine(name)

    def _place(self, name: str) -> str:
        """Return the host that a machine is on now, or nothing."""
        for host in self._world.hosts.values():
            machine = host.by_name.get(name)
            if machine is not None and not machine.arriving:
                return host.name
        return ""

    def _active(self, host: str) -> list[str]:
        machines = self._world.host(host).machines.values()
        return [machine.name for machine in machines if machine.state.active and not machine.arriving]
