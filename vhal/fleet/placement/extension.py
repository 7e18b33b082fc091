"""The filters and scores that plugins bring to placement: found by entry point, and isolated when they are broken.

A plugin that can't be loaded is named and left out; the others stay. What one looks like is
:mod:`vhal.driver.placement`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

import pluggy

from vhal.driver.placement import PlacementFilter, PlacementHooks, PlacementScore
from vhal.errors import PluginError
from vhal.installed import Plugin, imported, installed
from vhal.registry import Registry

GROUP = "vhal.placement"
"""The entry-point group: the entry names a module with hooks."""


@dataclass(frozen=True, slots=True)
class Extensions:
    """What plugins brought."""

    filters: tuple[PlacementFilter, ...] = ()
    """Each with the plugin's name before its own."""
    scores: tuple[PlacementScore, ...] = ()
    problems: tuple[str, ...] = ()
    """Which plugins are left out, and why."""


def extensions(registry: Registry) -> Extensions:
    """Load what plugins bring, except those that ``registry`` doesn't permit."""
    whole = Extensions()
    for name, claims in sorted(installed(GROUP).items()):
        if not registry.permits(name):
            continue
        try:
            brought = _brought(name, claims)
        except (Exception, SystemExit) as error:
            if os.environ.get("VHAL_STRICT_PLUGINS"):
                raise
            said = error.message if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"
            problem = f"placement plugin {name!r} of {claims[0].distribution} is left out: {said}"
            whole = replace(whole, problems=(*whole.problems, problem))
        else:
            whole = replace(whole, filters=(*whole.filters, *brought.filters), scores=(*whole.scores, *brought.scores))
    return whole


def _brought(name: str, claims: list[Plugin]) -> Extensions:
    if len(claims) > 1:
        raise PluginError(f"{' and '.join(sorted(claim.distribution for claim in claims))} claim one name")
    # A manager of its own, so that no plugin sees another's hooks fail.
    manager = pluggy.PluginManager("vhal")
    manager.add_hookspecs(PlacementHooks)
    manager.register(imported(claims[0]), name)
    manager.check_pending()
    filters = [each for given in manager.hook.vhal_placement_filters() for each in given]
    scores = [each for given in manager.hook.vhal_placement_scores() for each in given]
    for each, kind in [(one, PlacementFilter) for one in filters] + [(one, PlacementScore) for one in scores]:
        if not isinstance(each, kind):
            raise PluginError(f"it hands over a {type(each).__name__}, not a {kind.__name__}")
    return Extensions(
        tuple(replace(each, name=f"{name}:{each.name}") for each in filters),
        tuple(replace(each, name=f"{name}:{each.name}") for each in scores),
    )
