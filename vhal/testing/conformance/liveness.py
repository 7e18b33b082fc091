"""The layer *liveness*: what a backend tells of, and what is left when it is closed."""

from __future__ import annotations

from typing import ClassVar

from vhal.driver.event import EventKind
from vhal.host import Host
from vhal.testing.harness import Harness


class LivenessSuite:
    """Of :class:`vhal.testing.suite.BackendSuite`, which has the fixtures."""

    harness: ClassVar[Harness]

    # EVNT: events

    def test_evnt_001_a_machine_tells_of_its_life_in_order(self, host: Host) -> None:
        with host.events() as events:
            vm = host.create(self.harness.spec(self.harness.name()))
            vm.start()
            vm.stop(force=True)
            vm.delete()
            seen: list[str] = []
            wanted = [EventKind.CREATED, EventKind.STARTED, EventKind.STOPPED, EventKind.DELETED]

            def complete() -> bool:
                while (event := events.next(timeout_s=0.01)) is not None:
                    if event.machine_id == vm.id and event.kind in wanted:
                        seen.append(event.kind)
                return len(seen) >= len(wanted)

            self.harness.settle(complete, "the last event")
        assert seen == wanted
