"""The tests that every backend passes. What it doesn't declare must refuse, before any effect.

The ids (``LIFE-001`` …) stay as they are once given; a report and a discussion can name them. The suite only touches
machines that it made, and removes them whatever happened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest

from vhal.driver.capability import MIGRATION
from vhal.driver.driver import Driver
from vhal.errors import NotFound, VhalError
from vhal.host import Host, connect
from vhal.machine import Machine
from vhal.testing.conformance.changes import ChangesSuite
from vhal.testing.conformance.claims import ClaimsSuite
from vhal.testing.conformance.concurrency import ConcurrencySuite
from vhal.testing.conformance.deadline import Overdue, within
from vhal.testing.conformance.facts import facts, meet
from vhal.testing.conformance.faults import FaultsSuite
from vhal.testing.conformance.guests import GuestsSuite
from vhal.testing.conformance.handshake import HandshakeSuite
from vhal.testing.conformance.life import LifeSuite
from vhal.testing.conformance.liveness import LivenessSuite
from vhal.testing.conformance.migration import MigrationSuite
from vhal.testing.conformance.needs import lacks
from vhal.testing.conformance.refusals import RefusalsSuite
from vhal.testing.conformance.roundtrip import RoundTripSuite
from vhal.testing.conformance.stateful import StatefulSuite
from vhal.testing.harness import Harness


class BackendSuite(
    ClaimsSuite,
    LifeSuite,
    ChangesSuite,
    GuestsSuite,
    RefusalsSuite,
    StatefulSuite,
    FaultsSuite,
    MigrationSuite,
    HandshakeSuite,
    ConcurrencySuite,
    LivenessSuite,
    RoundTripSuite,
):
    """Subclass it, set ``harness``, and let pytest collect it."""

    harness: ClassVar[Harness]

    def __init_subclass__(cls, **settings: Any) -> None:
        super().__init_subclass__(**settings)
        guard = ClaimsSuite.test_conf_005_no_test_of_the_suite_is_deleted_or_overridden
        if getattr(cls, guard.__name__, None) is not guard:
            raise TypeError(f"{cls.__qualname__} changes {guard.__name__}, which tells what else a suite changes")

    @pytest.fixture
    def host(self) -> Iterator[Host]:
        """A host of the backend."""
        yield from self._opened("open", self.harness.open)

    @pytest.fixture
    def peer(self) -> Iterator[Host]:
        """Another host, that machines can move to."""
        if self.harness.peer is None:
            lacks(MIGRATION, "the harness has no peer")
        yield from self._opened("peer", self.harness.peer)

    @pytest.fixture
    def vm(self, host: Host) -> Machine:
        """A machine, stopped."""
        spec = self.harness.spec(self.harness.name())
        return within(self.harness.timeout_s, "create()", lambda: host.create(spec))

    @pytest.fixture
    def running(self, vm: Machine) -> Machine:
        """A machine, running."""
        within(self.harness.timeout_s, "start()", vm.start)
        return vm

    def _opened(self, which: str, open: Callable[[], Driver]) -> Iterator[Host]:
        """Yield a host, then remove what the suite made there, and close it."""
        timeout_s = self.harness.timeout_s
        known = facts(type(self))
        if which in known.get("hangs", ()):
            pytest.fail(f"the harness's {which}() hung in an earlier test, so it isn't called again", pytrace=False)

        def opened() -> Host:
            driver: object = open()
            assert isinstance(driver, Driver), f"the harness's {which}() returned a {type(driver).__name__}, no Driver"
            return connect(driver)

        try:
            host = within(timeout_s, f"the harness's {which}()", opened)
        except Overdue:
            known.setdefault("hangs", []).append(which)
            raise
        try:
            if which == "open":
                within(timeout_s, "describe() or can()", lambda: meet(type(self), host))
            yield host
            within(timeout_s, "removing the test's machines", lambda: reap(host, self.harness.prefix))
        finally:
            within(timeout_s, "close()", host.close)


def reap(host: Host, prefix: str) -> None:
    """Remove the machines whose names begin with ``prefix``; every one is tried.

    Raises:
        AssertionError: Some are still there.
    """
    left = []
    for info in host.guard.machines():
        name: object = getattr(info, "name", None)  # a backend under test may return anything
        if not isinstance(name, str) or not name.startswith(prefix):
            continue
        try:
            Machine(host, info).delete(force=True)
        except NotFound:
            continue
        except VhalError as error:
            left.append(f"{name}: {error}")
    assert not left, "\n".join(["machines that can't be removed; 'vhal conformance URL --reap' tries again", *left])
