"""Why a machine goes where it goes: what was said of each host. Data, and a table for people.

Who says it is :mod:`vhal.fleet.placement.placement`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from vhal.spec.frozen import FrozenDict
from vhal.spec.model import Model

SHOWN = 3
"""Of so many hosts a refusal's sentence says why; the table has them all."""


class Verdict(Model):
    """What was said of one host."""

    host: str
    against: FrozenDict[str, str] = FrozenDict()
    """Filter → why not. Empty: the host can take it."""
    scores: FrozenDict[str, float] = FrozenDict()
    """Score → from 0 to 1."""
    total: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    """The scores by their weights; the highest is chosen."""

    @property
    def fits(self) -> bool:
        """Whether nothing is against it."""
        return not self.against

    @property
    def why(self) -> str:
        """What there is to say, in one line."""
        if self.against:
            return "; ".join(f"{name}: it {said}" for name, said in self.against.items())
        return ", ".join(f"{name} {rate:.2f}" for name, rate in self.scores.items())


class Explanation(Model):
    """What was said of all hosts, the best first, those that can't take it last."""

    machine: str
    policy: str
    verdicts: tuple[Verdict, ...]
    larger: str = ""
    """Where it is larger than any host: by what."""
    notes: tuple[str, ...] = ()
    """What else there is to say: a plugin that was left out."""

    @property
    def chosen(self) -> str | None:
        """The host that it goes to, or None if there is none."""
        return next((verdict.host for verdict in self.verdicts if verdict.fits), None)

    @property
    def refusal(self) -> str:
        """Why there is none, in a sentence."""
        if self.larger:
            return f"machine {self.machine!r} is larger than any host: {self.larger}"
        said = [f"{verdict.host} {next(iter(verdict.against.values()))}" for verdict in self.verdicts]
        more = f"; and {len(said) - SHOWN} more" if len(said) > SHOWN else ""
        return f"no host can take machine {self.machine!r}: {'; '.join(said[:SHOWN]) or 'there is none'}{more}"

    @property
    def remedy(self) -> str:
        """What to do about it."""
        if self.larger:
            return "make it smaller, or add a larger host to the fleet"
        return "make room, loosen a rule, or add a host"

    def __str__(self) -> str:
        rows: list[Sequence[str]] = [("HOST", "SCORE", "WHY")]
        rows += [(each.host, f"{each.total:.3f}" if each.fits else "-", each.why) for each in self.verdicts]
        widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
        lines = [f"{row[0]:{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]}".rstrip() for row in rows]
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])
