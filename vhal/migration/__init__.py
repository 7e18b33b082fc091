"""Moves a machine between two drivers; knows no engine.

:mod:`~vhal.migration.handshake` is the order of the steps, :mod:`~vhal.migration.decision` what to do when they end
unclearly, :mod:`~vhal.migration.preflight` what stands against beginning. The steps themselves are each backend's:
:class:`vhal.driver.capability.Migration`.
"""
