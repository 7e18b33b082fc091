"""What proves a backend, and what tests people's automation without one.

A backend is proved by one class and one harness; this needs pytest (``pip install 'vhal[testing]'``)::

    from vhal.testing import BackendSuite, Harness

    class TestMine(BackendSuite):
        harness = Harness(open=open_a_clean_host, spec=smallest_machine)

Code that calls :func:`vhal.connect` reaches simulated hosts within :func:`simulated`, which needs nothing::

    @vhal.testing.simulated
    def test_deploy():
        deploy("libvirt+tls://alpha.example.org/system")

The fixtures are in the module ``pytest_vhal``, which pytest finds by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vhal._lazy import attach

if TYPE_CHECKING:
    from vhal.testing.faults import WorldFaults
    from vhal.testing.harness import Harness
    from vhal.testing.simulation import Simulation, simulated
    from vhal.testing.suite import BackendSuite

_HOMES = {
    "faults": ["WorldFaults"],
    "harness": ["Harness"],
    "simulation": ["Simulation", "simulated"],
    "suite": ["BackendSuite"],
}

__all__ = ["BackendSuite", "Harness", "Simulation", "WorldFaults", "simulated"]

__getattr__ = attach(__name__, {name: f"vhal.testing.{home}" for home, names in _HOMES.items() for name in names})
