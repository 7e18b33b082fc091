"""What proves a backend, and what tests of automation are made of.

A backend is proved by one class and one harness; this needs pytest (``pip install 'vhal[testing]'``)::

    from vhal.testing import BackendSuite, Harness

    class TestMine(BackendSuite):
        harness = Harness(open=open_a_clean_host, spec=smallest_machine)

Code that calls :func:`vhal.connect` reaches simulated hosts within :func:`simulated`, which needs nothing::

    @vhal.testing.simulated
    def test_deploy():
        deploy("libvirt+tls://alpha.example.org/system")

Faults around any driver are :class:`Chaos`, at each point in turn :func:`sweep`. :class:`Recorder` keeps what is
called, :class:`Replay` answers from it. The fixtures are in the module ``pytest_vhal``, which pytest finds by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vhal._lazy import attach

if TYPE_CHECKING:
    from vhal.layers.chaos import Chaos
    from vhal.layers.record import Recorder
    from vhal.layers.replay import Replay
    from vhal.layers.scrub import Pseudonyms
    from vhal.testing.faults import WorldFaults
    from vhal.testing.harness import Harness
    from vhal.testing.sighting import Sighting
    from vhal.testing.simulation import Simulation, simulated
    from vhal.testing.suite import BackendSuite
    from vhal.testing.sweeps import Outcome, one_copy, sweep

_HOMES = {
    "layers.chaos": ["Chaos"],
    "layers.record": ["Recorder"],
    "layers.replay": ["Replay"],
    "layers.scrub": ["Pseudonyms"],
    "testing.faults": ["WorldFaults"],
    "testing.harness": ["Harness"],
    "testing.sighting": ["Sighting"],
    "testing.simulation": ["Simulation", "simulated"],
    "testing.suite": ["BackendSuite"],
    "testing.sweeps": ["Outcome", "one_copy", "sweep"],
}

__all__ = [
    "BackendSuite",
    "Chaos",
    "Harness",
    "Outcome",
    "Pseudonyms",
    "Recorder",
    "Replay",
    "Sighting",
    "Simulation",
    "WorldFaults",
    "one_copy",
    "simulated",
    "sweep",
]

__getattr__ = attach(__name__, {name: f"vhal.{home}" for home, names in _HOMES.items() for name in names})
