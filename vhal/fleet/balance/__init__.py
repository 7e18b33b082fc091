"""Which machines should move so that hosts are evenly used, at what cost, and how far that is from the best possible.

Begin with :func:`plan_balance`. Everything here is a pure function of a
:class:`~vhal.fleet.snapshot.FleetSnapshot` and needs numpy and HiGHS (``vhal[fleet]``), which are imported when a plan
needs them; but for :mod:`~vhal.fleet.balance.verify`, which checks plans and shares nothing with what makes them.
``docs/explanation/balancing.md`` tells how it works.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vhal.fleet.plan import Plan
    from vhal.fleet.settings import BalanceSettings
    from vhal.fleet.snapshot import FleetSnapshot


def plan_balance(snapshot: FleetSnapshot, settings: BalanceSettings | None = None) -> Plan:
    """Return the moves that are worth making, in their order, with reason and cost.

    A pure function: the same snapshot and settings give the same plan, unless its budget of time is at its end.
    No rule that holds is broken, and no host gets more than it has, after any of the moves. A plan without moves says
    why in its notes.

    Args:
        snapshot: The fleet.
        settings: How far to go, and what it may cost.

    Raises:
        vhal.errors.HostUnreachable: No host answers.
        vhal.errors.InvalidConfig: Rules contradict each other.
        vhal.errors.Unsupported: numpy or highspy isn't installed.
    """
    from vhal.fleet.contradiction import refuse_contradictions

    _refuse_dead(snapshot)
    refuse_contradictions(snapshot.rules, [host.words for host in snapshot.hosts])
    try:
        from vhal.fleet.balance.planner import plan

        return plan(snapshot, settings)
    except ModuleNotFoundError as error:
        if error.name not in ("numpy", "highspy"):
            raise
        from vhal.errors import Unsupported

        lacks = f"planning needs {error.name}, which isn't installed"
        raise Unsupported(lacks, hint="pip install 'vhal[fleet]'") from None


def _refuse_dead(snapshot: FleetSnapshot) -> None:
    from vhal.errors import HostUnreachable

    if snapshot.hosts and all(host.status == "unreachable" for host in snapshot.hosts):
        reasons = "; ".join(f"{host.name}: {host.reason or 'unreachable'}" for host in snapshot.hosts[:3])
        raise HostUnreachable(
            f"no host of the fleet answers: {reasons}", hint="'vhal fleet hosts' shows what is wrong with each"
        )
