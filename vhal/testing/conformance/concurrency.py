"""The layer *concurrency*: several callers at once."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar

from vhal.errors import AlreadyExists, Busy, InvalidState, Unsupported, VhalError
from vhal.host import Host
from vhal.machine import Machine
from vhal.spec.state import MachineState
from vhal.testing.choices import operations
from vhal.testing.harness import Harness
from vhal.testing.linear import Done, linearize
from vhal.testing.model import World
from vhal.testing.oracle import Create, Delete, Migrate, Operation, Reboot, Resize, step
from vhal.testing.stage import Sight, Stage


class ConcurrencySuite:
    """Of :class:`vhal.testing.suite.BackendSuite`, which has the fixtures."""

    harness: ClassVar[Harness]

    # RACE: several callers

    def test_race_001_of_many_starts_one_wins(self, host: Host, vm: Machine) -> None:
        outcomes = _at_once([host.machine(vm.id).start for _ in range(6)])
        assert outcomes.count(None) == 1
        assert {type(error) for error in outcomes if error is not None} <= {InvalidState, Busy}
        assert vm.state() is MachineState.RUNNING

    def test_race_002_of_many_creations_of_one_name_one_wins(self, host: Host, vm: Machine) -> None:
        spec = self.harness.spec(self.harness.name())
        other = self.harness.spec(self.harness.name())
        # Whoever lists them meanwhile sees what is there.
        creations: list[Callable[[], object]] = [lambda: host.create(spec) for _ in range(6)]
        meanwhile: list[Callable[[], object]] = [lambda: host.create(other), *(host.machines for _ in range(3))]
        outcomes = _at_once([*meanwhile, *creations])
        assert outcomes[: len(meanwhile)] == [None] * len(meanwhile)
        outcomes = outcomes[len(meanwhile) :]
        assert outcomes.count(None) == 1
        assert {type(error) for error in outcomes if error is not None} <= {AlreadyExists, Busy}

    def test_race_003_what_threads_see_could_have_happened_one_after_the_other(self, host: Host) -> None:
        for seed in range(1 if self.harness.slow else 8):
            self._race(host, seed)

    def _race(self, host: Host, seed: int) -> None:
        with Stage(self.harness, [host]) as stage:
            before = World(stage.abilities())
            for name in ("one", "two"):
                operation = Create(name, 0, stage.size())
                assert stage.make(operation, before.made) is None
                before = step(before, operation).world
            history = _history(stage, before, threads=3, each=5 if self.harness.slow else 10, seed=seed)
            seen = {number: stage.look(number) for number in stage.machines}

        def ends(after: World) -> bool:
            models = {number: after.machine(number) for number in seen}
            return seen == {number: model and Sight.of(model) for number, model in models.items()}

        assert linearize(history, before, ends) is not None, "\n".join(
            ["in no order could these have ended so:", *map(str, history), f"at the end: {seen}"]
        )


def _history(stage: Stage, world: World, *, threads: int, each: int, seed: int) -> list[Done]:
    """Let several threads ask the machines for this and that, each by handles of its own; return what they saw."""
    # A forced deletion is two steps, that others come between; a restart is the guest's.
    possible = [one for one in operations(world) if not isinstance(one, (Create, Migrate, Reboot, Resize))]
    possible = [one for one in possible if getattr(one, "force", None) is not isinstance(one, Delete)]
    # Of one that is gone, either may be said of what the host can't do.
    possible = [one for one in possible if step(world, one).error is not Unsupported]
    history: list[Done] = []
    host = stage.hosts[0]
    own = [{number: host.machine(made.id) for number, made in stage.machines.items()} for _ in range(threads)]

    def ask(thread: int) -> None:
        chance, handles = random.Random(seed * threads + thread), own[thread]  # noqa: S311 - the same each time is what is wanted
        for _ in range(each):
            operation = _choose(chance, possible)
            called_s, error = time.monotonic(), None
            try:
                stage.act(operation, handles[operation.machine])
            except Busy:
                continue  # it had no effect
            except VhalError as refused:
                error = type(refused)
            history.append(Done(operation, called_s, time.monotonic(), error))

    _at_once([partial(ask, thread) for thread in range(threads)])
    return history


def _choose(chance: random.Random, possible: Sequence[Operation]) -> Operation:
    # The kind first: else what has many arguments would be asked for most of all.
    kind = chance.choice(list(dict.fromkeys(type(one) for one in possible)))
    return chance.choice([one for one in possible if type(one) is kind])


def _at_once(calls: Sequence[Callable[[], object]]) -> list[VhalError | None]:
    """Make all calls at the same moment; return each one's error, or None."""
    gate = threading.Barrier(len(calls))
    outcomes: list[VhalError | None] = [None] * len(calls)

    def make(place: int) -> None:
        gate.wait()
        try:
            calls[place]()
        except VhalError as error:
            outcomes[place] = error

    threads = [threading.Thread(target=make, args=(place,), daemon=True) for place in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes
