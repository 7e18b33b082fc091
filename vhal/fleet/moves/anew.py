"""How a plan is made anew when some of its moves failed: by what made it, for what is left of it."""

from __future__ import annotations

from functools import partial

from vhal.fleet.balance import plan_balance
from vhal.fleet.moves.carrier import Replan
from vhal.fleet.moves.drain import plan_drain
from vhal.fleet.plan import Plan
from vhal.fleet.settings import BalanceSettings
from vhal.fleet.snapshot import FleetSnapshot
from vhal.spec.units import Bytes


def anew(plan: Plan) -> Replan | None:
    """Return what makes a new plan instead of this one, or None if nothing can.

    A drain looks for other places. The balancer, for a plan of its own, plans by the same settings, with no more moves
    and no more memory than the old one had left. What a restore can't bring back, or somebody planned by hand, stays.
    """
    if plan.kind == "drain":
        return lambda now: plan_drain(now, plan.emptied)
    return None if plan.settings is None else partial(_balanced, plan, plan.settings)


def _balanced(plan: Plan, settings: BalanceSettings, now: FleetSnapshot) -> Plan:
    at = {machine.id: machine.host for machine in now.machines}
    left = [move for move in plan.moves if at.get(move.id) != move.destination]
    memory = Bytes(sum(move.memory for move in left))
    return plan_balance(now, settings.model_copy(update={"max_moves": len(left), "max_memory": memory}))
