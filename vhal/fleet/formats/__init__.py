"""Snapshots of fleets that aren't asked: in the text format of ``ganeti``, and made-up ones, ``sample``."""
