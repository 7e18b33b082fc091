"""Hypothesis judges results here, not how long a busy machine took for them."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
