"""Which machines should move so that hosts are evenly used, at what cost, and how far that is from the best possible.

Begin with :func:`vhal.fleet.balance.planner.plan_balance`. Everything here is a pure function of a
:class:`~vhal.fleet.snapshot.FleetSnapshot` and needs numpy (``vhal[fleet]``), except :mod:`~vhal.fleet.balance.verify`,
which checks plans and shares nothing with what makes them. ``docs/explanation/balancing.md`` tells how it works.
"""
