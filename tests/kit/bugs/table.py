"""All bugs, what of the kit finds them, and the table of it for the documentation."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.docs.markdown import table
from tests.kit.bugs import claims, ends, errors, events, guests, moves, races, snapshots, specs, states
from tests.kit.bugs.seeding import Bug
from vhal.testing.conformance.rows import LAYERS

KEPT = Path(__file__).with_name("caught.json")

Caught = dict[str, dict[str, list[str]]]
"""Bug → layer → the rows that fail, the quickest first."""


def _bugs(modules: Iterable[ModuleType]) -> dict[str, Bug]:
    found: dict[str, Bug] = {}
    for module in modules:
        for name, value in vars(module).items():
            if getattr(value, "__module__", "") == module.__name__ and callable(value) and not name.startswith("_"):
                assert name not in found, f"two bugs are called {name}"
                found[name] = Bug(module.__name__.rpartition(".")[2], value)
    return found


BUGS = _bugs((claims, states, events, errors, specs, snapshots, guests, moves, races, ends))
"""By name."""


def caught() -> Caught:
    """Return what was found out when it was last asked."""
    found: dict[str, Any] = json.loads(KEPT.read_text())
    return {bug: found.get(bug, {}) for bug in BUGS}


def expected(layers: dict[str, list[str]]) -> list[str]:
    """Return the rows that must fail for a bug: of each layer one. Races are chance, where something else finds it."""
    return [rows[0] for layer, rows in layers.items() if layer != "concurrency" or len(layers) == 1]


def seeded_bugs() -> str:
    """Return each bug with the layers that find it, and how many rows of each fail."""
    rows = []
    for name, layers in caught().items():
        cells = [str(len(layers[layer])) if layer in layers else "" for layer in LAYERS]
        rows.append((BUGS[name].noun, BUGS[name].sentence, *cells))
    return table(["", "bug", *LAYERS], rows)


def layer_power() -> str:
    """Return how many bugs each layer finds, and how many nothing else does."""
    found = caught()
    rows = []
    for layer in LAYERS:
        its = [bug for bug, layers in found.items() if layer in layers]
        alone = [bug for bug in its if len(found[bug]) == 1]
        rows.append((f"`{layer}`", str(len(its)), str(len(alone))))
    missed = sum(not layers for layers in found.values())
    rows.append((f"all, of {len(found)} bugs", str(len(found) - missed), ""))
    return table(["layer", "finds", "which no other layer does"], rows)
