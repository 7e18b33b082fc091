"""Lives of machines that Hypothesis makes up from what the oracle allows, and now and then from what it refuses.

Only imported when a test of :mod:`vhal.testing.conformance.stateful` runs: it needs Hypothesis.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from itertools import product
from typing import TypeVar

from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from vhal.driver.event import EventKind
from vhal.testing.choices import operations
from vhal.testing.harness import Harness
from vhal.testing.model import Size, World
from vhal.testing.oracle import Create, Operation, Reboot, Stop, step
from vhal.testing.stage import Sight, Stage

T = TypeVar("T")

MOST = 2
"""Machines at a time: enough for one to be taken for another."""
EXAMPLES = 40
"""Lives that are tried."""
REFUSED = 5
"""One of so many operations is one that must be refused."""


def live(stage: Stage, *, shorten: bool = True, examples: int = EXAMPLES) -> None:
    """Let machines live on ``stage``, in many ways, until one does what the oracle doesn't say.

    Args:
        stage: The backend's hosts.
        shorten: Look for the fewest operations that show it, unless the backend is slow.
        examples: How many lives, unless the backend is slow.

    Raises:
        AssertionError: With the operations that it took.
    """
    before = World(stage.abilities())

    class Here(Lifecycle):
        def __init__(self) -> None:
            super().__init__(stage, before)

    run_state_machine_as_test(Here, settings=_settings(stage.harness, shorten, examples))


def _settings(harness: Harness, shorten: bool, examples: int) -> settings:
    # A failure on a slow backend is shown as it was found: to look for a shorter one takes as many runs again.
    quick = (Phase.explicit, Phase.reuse, Phase.generate)
    return settings(
        max_examples=4 if harness.slow else examples,
        stateful_step_count=12 if harness.slow else 25,
        phases=(*quick, Phase.shrink) if shorten and not harness.slow else quick,
        deadline=None,
        derandomize="CI" in os.environ,
        suppress_health_check=list(HealthCheck),
    )


class Lifecycle(RuleBasedStateMachine):
    """Lives of a few machines: after each operation everything that can be seen of them is as the oracle says."""

    def __init__(self, stage: Stage, before: World) -> None:
        super().__init__()
        self.stage = stage
        self.world = before
        self.told: defaultdict[tuple[int, int], list[EventKind]] = defaultdict(list)
        size = stage.size()
        self._sizes = (size, Size(size.cpus + 1, size.memory * 2))

    @rule(data=st.data())
    def ask(self, data: st.DataObject) -> None:
        """Ask for something, and get what the oracle says: an effect, or an error that says what to do instead."""
        refused = data.draw(st.integers(0, REFUSED - 1)) == REFUSED - 1
        possible = self._possible()
        fitting = [one for one in possible if (step(self.world, one).error is not None) is refused] or possible
        # The kind first: else what has many arguments would be asked for most of all.
        kind = _draw(data, list(dict.fromkeys(type(one) for one in fitting)))
        self.do(_draw(data, [one for one in fitting if type(one) is kind]))

    def do(self, operation: Operation) -> None:
        """Make one operation, and compare how it ended."""
        expected = step(self.world, operation)
        note(f"{operation} → {expected.error.__name__ if expected.error else 'done'}")
        number = self.world.made if isinstance(operation, Create) else operation.machine
        error = self.stage.make(operation, number)
        assert (type(error) if error else None) is expected.error, f"{operation}: {error!r}"
        assert error is None or error.hint, f"{operation}: {error!r} has no hint"
        for host, kind in self.stage.told(operation, expected.events):
            self.told[number, host].append(kind)
        self.world = expected.world

    @invariant()
    def agrees(self) -> None:
        """Compare all that can be heard and seen with the oracle. Events first: when they come, it can be seen."""
        self._compare_events()
        self._compare_machines()
        self._compare_listings()

    def _compare_events(self) -> None:
        for number, host in product(self.stage.machines, range(len(self.stage.hosts))):
            told = self.told[number, host]
            heard = self.stage.heard(number, host, at_least=len(told))
            assert heard == told, f"events of machine {number} on host {host}: {_names(heard)}, not {_names(told)}"

    def _compare_machines(self) -> None:
        # Also those that must be gone.
        for number, machine in self.stage.machines.items():
            model = self.world.machine(number)
            seen = self.stage.look(number)
            assert seen == (None if model is None else Sight.of(model)), f"machine {number}: {seen}, not {model}"
            if model is not None:
                info, spec = machine.info(), self.stage.specs[number]
                assert (info.spec, info.labels, info.managed) == (spec, spec.labels, True)

    def _compare_listings(self) -> None:
        # What they have under the names that were given here, and nothing else of them.
        for host in range(len(self.stage.hosts)):
            listed = self.stage.listed(host)
            here = [model for model in self.world.machines if model.host == host]
            assert set(listed) == {self.stage.machines[model.id].id for model in here}, f"listing of host {host}"
            for model in here:
                info, spec = listed[self.stage.machines[model.id].id], self.stage.specs[model.id]
                assert (info.name, info.labels) == (spec.name, spec.labels)
                assert (info.state, info.cpus, info.memory) == (model.state, model.size.cpus, model.size.memory)

    def teardown(self) -> None:
        """Remove the machines."""
        self.stage.clear()

    def _possible(self) -> list[Operation]:
        found = operations(self.world, hosts=len(self.stage.hosts), sizes=self._sizes)
        return [one for one in found if not self._left_out(one)]

    def _left_out(self, operation: Operation) -> bool:
        if isinstance(operation, Create):
            return len(self.world.machines) >= MOST and not self.world.named(operation.name, operation.host)
        # What a guest does takes its time, and one that nobody knows to be up may not do it.
        harness = self.stage.harness
        asks_guest = isinstance(operation, Reboot) or (isinstance(operation, Stop) and not operation.force)
        return asks_guest and (harness.slow or not harness.listens or not harness.has_agent)


def _draw(data: st.DataObject, choices: Sequence[T]) -> T:
    # By its place: what was drawn is noted when it is made, and shorter.
    return choices[data.draw(st.integers(0, len(choices) - 1))]


def _names(kinds: Sequence[EventKind]) -> str:
    return ", ".join(kinds) or "none"
