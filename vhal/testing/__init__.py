"""What proves a backend, and what tests of automation are made of.

One class and one harness give a backend the whole suite::

    from vhal.testing import BackendSuite, Harness

    class TestMine(BackendSuite):
        harness = Harness(open=open_a_clean_host, spec=smallest_machine)

Faults around any driver are :class:`Chaos`, at each point in turn :func:`sweep`. :class:`Recorder` keeps what is
called, :class:`Replay` answers from it. The suite needs pytest (``pip install 'vhal[testing]'``); what is here is
imported by tests only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vhal._lazy import attach

if TYPE_CHECKING:
    from vhal.layers.chaos import Chaos
    from vhal.layers.record import Recorder
    from vhal.layers.replay import Replay
    from vhal.layers.scrub import Pseudonyms
    from vhal.testing.harness import Harness
    from vhal.testing.suite import BackendSuite
    from vhal.testing.sweeps import Outcome, one_copy, sweep

_HOMES = {
    "layers.chaos": ["Chaos"],
    "layers.record": ["Recorder"],
    "layers.replay": ["Replay"],
    "layers.scrub": ["Pseudonyms"],
    "testing.harness": ["Harness"],
    "testing.suite": ["BackendSuite"],
    "testing.sweeps": ["Outcome", "one_copy", "sweep"],
}

__all__ = ["BackendSuite", "Chaos", "Harness", "Outcome", "Pseudonyms", "Recorder", "Replay", "one_copy", "sweep"]

__getattr__ = attach(__name__, {name: f"vhal.{home}" for home, names in _HOMES.items() for name in names})
