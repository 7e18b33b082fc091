"""What the suite has learnt about a backend, for the report: one dictionary for each class of tests, JSON-ready.

It is kept per class, not per test: ``can()`` is asked once. How it gets into a report's file is in
:mod:`vhal.testing.conformance.report`.
"""

from __future__ import annotations

from typing import Any

from vhal.driver.answer import Answer, Blocker
from vhal.driver.capability import CAPABILITIES, Capability
from vhal.driver.version import SPI
from vhal.errors import Unsupported, VhalError
from vhal.host import Host
from vhal.installed import installed
from vhal.registry import GROUP, registry
from vhal.testing.conformance.rows import Version, rows

_FACTS: dict[type, dict[str, Any]] = {}


def facts(suite: type) -> dict[str, Any]:
    """Return what is known of the backend that ``suite`` tests; the caller may add to it."""
    if suite not in _FACTS:
        _FACTS[suite] = {"rows": list(rows(suite)), "changed": [], "capabilities": {}}
    return _FACTS[suite]


def spi(suite: type) -> Version:
    """Return the version of the contract that the backend was written for; the newest while it isn't known."""
    major, minor = facts(suite).get("spi", SPI)
    return major, minor


def name(suite: type, backend: str) -> None:
    """Put down which backend it is, and the plugin that brings it; from metadata alone, whatever the plugin does."""
    found = installed(GROUP).get(backend, [])
    facts(suite).update(backend=backend, plugin=", ".join(map(str, found)) or None)


def meet(suite: type, host: Host) -> None:
    """Learn what an open host says about itself, once. Never raises: what is wrong with it is for the rows to find."""
    known = facts(suite)
    if "versions" in known:
        return
    name(suite, host.backend)
    try:
        known["spi"] = list(registry.backend(host.backend).spi)
    except VhalError:
        known["spi"] = list(SPI)  # a driver of a test's own, which no plugin brought
    try:
        known["versions"] = dict(host.info().versions)
    except Exception:  # noqa: BLE001
        known["versions"] = {}
    for key in CAPABILITIES.values():
        try:
            known["capabilities"][key.id] = answered(host.can(key))
        except Exception as error:  # noqa: BLE001
            problem = f"can() raised {type(error).__name__}: {error}"
            known["capabilities"][key.id] = answered(Answer.no("no-answer", problem, "correct the driver's can()"))


def limited(suite: type, capability: Capability[Any], what: str, said: Answer | Unsupported) -> None:
    """Have the report say what of a capability can't be done, and why; nothing if nothing is against it.

    Args:
        suite: The class of tests.
        capability: What the backend can do in general.
        what: What it can't, a few words.
        said: The answer, or the refusal, with the reasons.
    """
    reasons = said.blockers
    if not reasons and isinstance(said, Unsupported):
        reasons = (Blocker(said.code, said.message, said.hint or ""),)
    known = facts(suite)["capabilities"].get(capability.id)
    if known is not None and reasons:
        known["limits"][what] = [blocker.as_dict() for blocker in reasons]


def answered(answer: Answer) -> dict[str, Any]:
    """Return an answer JSON-ready; raises what a broken one raises."""
    return {**answer.as_dict(), "limits": {}}
