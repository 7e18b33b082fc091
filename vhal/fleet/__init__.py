"""Several hosts: what they are and hold, where a machine goes, and which machines should move.

Begin with :class:`vhal.fleet.fleet.Fleet`. Everything that decides is a pure function of a
:class:`~vhal.fleet.snapshot.FleetSnapshot`, so that a decision can be repeated from a file, without a host.

The nouns lie here: ``snapshot`` and ``room`` (what there is, and what is left of it), ``rules``, ``contradiction`` and
``selector`` (what must hold, and of what), ``plan``, ``cost`` and ``settings`` (what shall move), ``file`` (what a
fleet is described in) and ``document`` (what is kept in files). What is done with them has a folder each, from what
users hold down to what is asked:

- ``watch``: a hot host is cooled, again and again
- ``figures``: how well a fleet is used, for people and for Prometheus
- ``moves``: plans are carried out, hosts are emptied and filled again
- ``balance``: which machines should move so that hosts are evenly used
- ``members``: the hosts of a fleet, opened and asked; snapshots are made here
- ``placement``: where a new machine goes, and why there
- ``show``: tables, bars, pictures and pages
- ``formats``: fleets of other tools, and made-up ones
"""
