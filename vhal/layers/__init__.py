"""Drivers around drivers: each adds one thing to every backend, and is itself a driver.

:mod:`~vhal.layers.guard` is around every driver that users reach, and inside of it :mod:`~vhal.layers.turns` around
those that take one call at a time. Inside of these, where somebody asks for them: :mod:`~vhal.layers.chaos` (faults)
and :mod:`~vhal.layers.record` (what was called, and a file that answers again). What a driver is:
:mod:`vhal.driver.driver`.
"""
