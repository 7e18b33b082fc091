"""What a plan of the balancer shall be like: how far it goes, what it may cost, and when it isn't worth it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from vhal.fleet.selector import Selector
from vhal.spec.model import Model
from vhal.spec.units import Bytes

Share = Annotated[float, Field(ge=0, le=1)]


class BalanceSettings(Model):
    """How to balance.

    Raises:
        vhal.errors.InvalidSpec: A value is out of its range.
    """

    advice = "correct what is named; docs/reference/fleet.md has every setting of the balancer"

    mode: Literal["full", "minimal", "hot"] = "full"
    """``full`` makes hosts even; ``minimal`` only mends rules that are broken; ``hot`` stops when no host is hot."""
    objective: Literal["even", "ganeti", "ganeti-util", "ganeti-default"] = "even"
    """What is to be even; those of Ganeti are ``hbal --ignore-dynu``, ``hbal -U`` and ``hbal`` alone."""
    max_moves: Annotated[int, Field(ge=0)] | None = None
    """Without one, machines move as long as each move is worth it; with one, as little memory as possible moves."""
    max_memory: Bytes | None = None
    """The most memory that may move."""
    thorough: bool = False
    """With a limit: plan for seconds rather than tenths of them, for less memory. On small fleets it is done anyway."""
    budget_s: Annotated[float, Field(gt=0)] = 60.0
    """Seconds; what was found until then is the plan."""
    band: Share = 0.02
    """An imbalance below this is even enough: nothing moves."""
    margin: Share = 0.1
    """A plan must take away at least this share of the imbalance, or nothing moves."""
    least_gain: Share = 1e-3
    """A move must take away at least this share of the imbalance of the first plan, or it isn't made."""
    hot: Share = 0.8
    """In mode ``hot``: a host is hot above this share of its processors busy."""
    cooled: Share | None = None
    """In mode ``hot``: what a hot host is cooled to, and no other is heated above; None for ``hot`` itself."""
    cool_down_s: Annotated[float, Field(ge=0)] = 300.0
    """A machine that moved less than this ago stays."""
    stay: tuple[Selector, ...] = ()
    """Machines that don't move, in addition to what the rules say."""
    seed: int = 0
    """Breaks ties; the same snapshot, settings and seed give the same plan."""
