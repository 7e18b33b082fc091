"""Scenarios: a world, what is done to it when, and what came of it.

``spec`` is the file and ``event`` one line of its story, ``run`` lets it happen, ``result`` is what there is
afterwards; ``timeline`` and ``plot`` show that to people. What one does to machines in it goes through the users' API,
with its states, locks and handshakes; since a plugin can't import that, it is handed in::

    from vhal_mock.scenario import Scenario, run

    result = run(Scenario.load("fleet.toml"), vhal.connect)
"""

from __future__ import annotations

from vhal_mock.scenario.result import Failure, Move, Result
from vhal_mock.scenario.run import run
from vhal_mock.scenario.spec import Scenario

__all__ = ["Failure", "Move", "Result", "Scenario", "run"]
