"""A container's memory on its way: frozen, written down, sent, brought back. It stands still for nearly all of it.

There is no pass before the freeze: pre-copy of processes needs a kernel that tracks their writes
(``CONFIG_MEM_SOFT_DIRTY``), and isn't used; docs/explanation/container-migration.md says more, and has the measurements
that the constants are fitted to: 0.54 s of downtime for a container of next to no memory, 2.7 s for one of 128 MiB.
"""

from __future__ import annotations

from collections import deque

from vhal_mock.physics.step import Step

FREEZE_S = 0.2
RESTORE_S = 0.33
DISK_RATE = float(128 << 20)
"""Bytes a second at which a checkpoint is written, and at which it's read."""


class StopAndCopy:
    """One container on its way, in the same steps as :class:`~vhal_mock.physics.precopy.PreCopy`.

    Args:
        memory: Bytes of its processes.
        image: Bytes of its image that the destination doesn't have; they go first, while it runs.
    """

    def __init__(self, memory: int, image: int = 0) -> None:
        disk_s = memory / DISK_RATE
        self._steps = deque(
            (
                Step(0, image),
                Step(1, 0, FREEZE_S + disk_s, still=True),
                Step(1, memory, still=True),
                Step(1, 0, RESTORE_S + disk_s, still=True, last=True),
            )
        )
        self.iterations = 1
        self.throttle = 0.0
        self.converges = True
        self.sent = 0
        self.elapsed_s = 0.0
        self.downtime_s = 0.0

    @property
    def left(self) -> int:
        """Bytes that are still to be sent."""
        return sum(step.bytes for step in self._steps)

    @property
    def over(self) -> bool:
        """Whether there is no further step."""
        return not self._steps

    @property
    def complete(self) -> bool:
        """Whether the machine is all on the other side."""
        return self.over

    def next(self) -> Step:
        """Return what is to be done now: always the same until it's :meth:`done`."""
        if not self._steps:
            raise ValueError("it is over")
        return self._steps[0]

    def done(self, seconds: float, share: float = 1.0, sent: int | None = None) -> None:
        """Take note that the step was carried out; see ``PreCopy.done``."""
        step = self.next()
        moved = step.bytes if sent is None else max(0, min(sent, step.bytes))
        self.sent += moved
        self.elapsed_s += seconds
        if step.still:
            self.downtime_s += seconds
        self._steps.popleft()
        if moved < step.bytes:
            self._steps.appendleft(Step(step.number, step.bytes - moved, still=step.still, last=step.last))
