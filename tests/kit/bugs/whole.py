"""The whole suite on some bugs, or on none: only run when it is named, by :mod:`tests.kit.bugs.__main__`."""

from __future__ import annotations

import os

from tests.kit.bugs.suites import suite
from tests.kit.bugs.table import BUGS

for _name in os.environ.get("VHAL_KIT_BUGS", "").split(","):
    _suite = suite(BUGS.get(_name))
    globals()[_suite.__name__] = _suite
