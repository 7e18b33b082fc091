"""What is measured: guests that write at several rates, over links of several rates; and some ways to converge."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

MIB = 1 << 20
PAGE = 4096
MEMORY = 128 * MIB
AREA = 64 * MIB
"""Half of its memory, which the guest writes to, page by page and round and round."""

_RATES = (0, 1, 3, 8)
_BANDWIDTHS = (16, 32, 64, None)
_ENDLESS = (8, 16)


@dataclass(frozen=True)
class Cell:
    """One guest and one way to move it."""

    pages: int
    """That the guest writes to in each of its ticks, a thousand a second if it has a CPU to itself."""
    bandwidth: int | None = None
    """MiB a second that the policy allows."""
    auto_converge: bool = False
    post_copy: bool = False
    parallel: int = 1
    max_downtime_s: float | None = None
    runs: int = 3
    ends: bool = True
    """Whether it's expected to end; if not, it's called off after a while."""
    held_out: bool = True
    """Whether the constants aren't fitted to it."""

    @classmethod
    def of(cls, document: dict[str, Any]) -> Cell:
        """Read it from JSON."""
        return cls(**document)

    def as_dict(self) -> dict[str, Any]:
        """Return it JSON-ready."""
        return asdict(self)

    @property
    def plain(self) -> bool:
        """Whether nothing but its bandwidth is asked for."""
        return not (self.auto_converge or self.post_copy or self.parallel > 1 or self.max_downtime_s)

    @property
    def nominal(self) -> float:
        """Bytes a second that the guest writes if it has a CPU to itself."""
        return float(self.pages * PAGE * 1000)

    @property
    def name(self) -> str:
        """For tables."""
        how = [
            f"{self.nominal / MIB:.0f} MiB/s written",
            "unlimited" if self.bandwidth is None else f"{self.bandwidth} MiB/s allowed",
        ]
        if self.auto_converge:
            how.append("auto-converge")
        if self.post_copy:
            how.append("post-copy")
        if self.parallel > 1:
            how.append(f"{self.parallel} streams")
        if self.max_downtime_s:
            how.append(f"{self.max_downtime_s:g} s of downtime allowed")
        return ", ".join(how)


GRID = tuple(
    Cell(
        pages,
        bandwidth,
        # One guest writes twice as fast as it may be sent: once is enough to see that this doesn't end.
        runs=1 if (pages, bandwidth) == _ENDLESS else 3,
        ends=(pages, bandwidth) != _ENDLESS,
        # Like the squares of a chess board.
        held_out=(row + column) % 2 == 1,
    )
    for row, pages in enumerate(_RATES)
    for column, bandwidth in enumerate(_BANDWIDTHS)
)

WAYS = (
    Cell(3, 16, max_downtime_s=1.0, runs=2),
    Cell(3, 16, post_copy=True, runs=2),
    Cell(3, None, parallel=4, runs=2),
    Cell(8, 16, auto_converge=True, runs=2),
)
