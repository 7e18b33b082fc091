"""Drivers around drivers: each adds one thing to every backend, and is itself a driver.

:mod:`~vhal.layers.guard` is around every driver that users reach. What a driver is: :mod:`vhal.driver.driver`.
"""
