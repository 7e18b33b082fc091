"""A disk that isn't shared on its way, before the memory: QEMU's mirror job, which libvirt runs for such disks.

A bulk pass, then what was written meanwhile, again and again, until no more is left than the job has under way at once:
``block/mirror.c`` of QEMU 7.2, ``MAX_IN_FLIGHT`` × ``MAX_IO_BYTES`` = 16 MiB. From then on the job keeps up with the
guest's writes while the memory moves.
"""

from __future__ import annotations

from vhal_mock.physics.precopy import MOST_PASSES
from vhal_mock.physics.step import Step

IN_FLIGHT = 16 << 20


class BlockCopy:
    """One disk on its way, in the same steps as :class:`~vhal_mock.physics.precopy.PreCopy`.

    The guest never stands still. What is :attr:`left` when it's over goes with the memory's last step.

    Args:
        size: Bytes to copy; of a sparse image those that are allocated.
        write_rate: Bytes a second that the guest writes to it, while it has a whole CPU; each counted once.
        limit: Bytes a second that the policy allows; None for no limit.
    """

    def __init__(self, size: int, write_rate: float = 0.0, *, limit: float | None = None) -> None:
        self._size = size
        self._write_rate = write_rate
        self._most = float("inf") if limit is None else limit
        self._written = 0.0
        self._pass = size  # bytes of this pass that are still to be sent
        self._before = size
        self._stalled = 0
        self.iterations = 1
        self.throttle = 0.0
        self.sent = 0
        self.elapsed_s = 0.0
        self.downtime_s = 0.0
        self.complete = not size
        self.over = not size

    @property
    def left(self) -> int:
        """Bytes that are still to be sent."""
        return self._pass

    @property
    def converges(self) -> bool:
        """Whether it looks like it will end: False once two passes in a row left no less than the one before."""
        return self._stalled < 2

    def next(self) -> Step:
        """Return what is to be done now: always the same until it's :meth:`done`."""
        if self.over:
            raise ValueError("it is over")
        return Step(self.iterations, self._pass, most=self._most)

    def done(self, seconds: float, share: float = 1.0, sent: int | None = None) -> None:
        """Take note that the step was carried out; see ``PreCopy.done``."""
        moved = self.next().bytes if sent is None else max(0, min(sent, self._pass))
        self.sent += moved
        self.elapsed_s += seconds
        self._pass -= moved
        self._written += self._write_rate * seconds * share
        if self._pass:
            return
        self._pass, self._written = min(self._size, int(self._written)), 0.0
        self._stalled = self._stalled + 1 if self._pass >= self._before else 0
        self._before = self._pass
        self.complete = self._pass <= IN_FLIGHT
        self.over = self.complete or self.iterations >= MOST_PASSES
        if not self.over:
            self.iterations += 1
