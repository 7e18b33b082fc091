"""The layer *concurrency*: several callers at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import ClassVar

from vhal.errors import AlreadyExists, Busy, InvalidState, VhalError
from vhal.host import Host
from vhal.machine import Machine
from vhal.spec.state import MachineState
from vhal.testing.harness import Harness


class ConcurrencySuite:
    """Of :class:`vhal.testing.suite.BackendSuite`, which has the fixtures."""

    harness: ClassVar[Harness]

    # RACE: several callers

    def test_race_001_of_many_starts_one_wins(self, host: Host, vm: Machine) -> None:
        outcomes = _at_once([host.machine(vm.id).start for _ in range(6)])
        assert outcomes.count(None) == 1
        assert {type(error) for error in outcomes if error is not None} <= {InvalidState, Busy}
        assert vm.state() is MachineState.RUNNING

    def test_race_002_of_many_creations_of_one_name_one_wins(self, host: Host) -> None:
        spec = self.harness.spec(self.harness.name())
        outcomes = _at_once([lambda: host.create(spec) for _ in range(6)])
        assert outcomes.count(None) == 1
        assert {type(error) for error in outcomes if error is not None} <= {AlreadyExists, Busy}


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

    threads = [threading.Thread(target=make, args=(place,)) for place in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes
