"""Bugs that are put into the mock on purpose, to see that the conformance kit finds them.

A bug is a function that patches the simulator, a few lines long, as an author of a backend might get it wrong. The
modules have a noun each; all of them together are in :mod:`tests.kit.bugs.table`, and what of the kit finds them is
kept in ``caught.json``. ``python -m tests.kit.bugs --keep`` makes that anew, in a few minutes.
"""
