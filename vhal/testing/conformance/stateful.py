"""The layer *stateful*: lives that nobody thought of, judged by the oracle."""

from __future__ import annotations

from typing import ClassVar

from vhal.host import Host
from vhal.testing.harness import Harness


class StatefulSuite:
    """Of :class:`vhal.testing.suite.BackendSuite`, which has the fixtures."""

    harness: ClassVar[Harness]

    # STAT: sequences of operations

    def test_stat_001_machines_do_what_the_oracle_says(self, host: Host) -> None:
        self._live(host)

    def test_stat_002_also_on_their_way_between_hosts(self, host: Host, peer: Host) -> None:
        self._live(host, peer)

    def _live(self, *hosts: Host) -> None:
        # Hypothesis takes a moment to import, and is only needed here.
        from vhal.testing.conformance.lifecycle import live
        from vhal.testing.stage import Stage

        with Stage(self.harness, hosts) as stage:
            live(stage)
