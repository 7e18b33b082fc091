"""Names of a package that are imported when they are first used (PEP 562).

A script that only connects shouldn't pay for models, and a plugin shouldn't pay for the whole contract.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def attach(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Return a module ``__getattr__`` for ``package`` that finds each name in its home module.

    Args:
        package: The package's ``__name__``.
        homes: Public name → absolute name of the module that defines it.
    """

    def getattr_(name: str) -> Any:
        home = homes.get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(home), name)
        importlib.import_module(package).__dict__[name] = value
        return value

    return getattr_
