"""Who has a machine that moves: a watcher that looks at both hosts all the while, over connections of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from vhal.errors import VhalError
from vhal.host import Host, connect
from vhal.migration.decision import Sight, sight
from vhal.testing.conformance.another import another
from vhal.testing.harness import Harness


class Owners:
    """The two hosts between which a machine moves, once, from the first to the second.

    Concurrency: safe from any thread. It holds no lock: whoever reports progress may hold one that a look waits for.
    """

    def __init__(self, source: Host, destination: Host, machine_id: str) -> None:
        self._source = source
        self._destination = destination
        self._id = machine_id
        self.looked = False
        """Whether both hosts were seen."""

    def look(self) -> None:
        """Assert that it doesn't run on both hosts, and isn't missing on both.

        The two can't be seen at one moment, so the order matters: what runs on the destination never runs on the source
        again, and what is missing on the source is on the destination by then.
        """
        try:
            before = self._sight(self._source)
            there = self._sight(self._destination)
            after = self._sight(self._source)
        except VhalError:
            return  # a list of what is just going away may fail; that tells nothing
        self.looked = True
        assert (there, after) != (Sight.RUNNING, Sight.RUNNING), "it runs on both hosts"
        assert (before, there) != (Sight.ABSENT, Sight.ABSENT), "it is on neither host"

    def _sight(self, host: Host) -> Sight:
        found = [machine.seen.state for machine in host.machines() if machine.id == self._id]
        return sight(found[0] if found else None)


@contextmanager
def watched(harness: Harness, host: Host, peer: Host, machine_id: str) -> Iterator[Owners]:
    """Look again and again while the block runs, in which a machine moves from the host to its peer."""
    assert harness.peer is not None
    failures: list[AssertionError] = []
    over = threading.Event()
    with connect(another(harness.open, host)) as source, connect(another(harness.peer, peer)) as destination:
        owners = Owners(source, destination, machine_id)

        def watch() -> None:
            while not over.is_set() and not failures:
                try:
                    owners.look()
                except AssertionError as failure:
                    failures.append(failure)
                over.wait(0.005)

        thread = threading.Thread(target=watch, name="vhal-kit-owners")
        thread.start()
        try:
            yield owners
        finally:
            over.set()
            thread.join()
        owners.look()
    if failures:
        raise failures[0]
