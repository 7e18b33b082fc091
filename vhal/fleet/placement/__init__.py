"""Where a machine goes, and why there.

Begin with :func:`vhal.fleet.placement.placement.explain`: ``filters`` leave the hosts that can take the machine,
``scores`` choose among them, an ``extension`` brings more of both, and an ``explanation`` says what came of it. All of
these are pure functions of a snapshot. ``creation`` makes the machine there; ``claims`` are what others make at the
same moment, and ``coming`` is how a machine looks that isn't there yet.
"""
