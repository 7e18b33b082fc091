"""Several hosts: what they are and hold, where a machine goes, and which machines should move.

Begin with :class:`vhal.fleet.fleet.Fleet`. Everything that decides is a pure function of a
:class:`~vhal.fleet.snapshot.FleetSnapshot`, so that a decision can be repeated from a file, without a host.
"""
