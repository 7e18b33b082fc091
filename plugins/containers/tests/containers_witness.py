"""What podman's own command says of a machine, past the plugin and everything in it."""

from __future__ import annotations

import json
from typing import Any

from tests.testbed import Lab
from vhal.spec import MachineState
from vhal.testing import Sighting

_STATES = {
    "running": MachineState.RUNNING,
    "paused": MachineState.PAUSED,
    "created": MachineState.STOPPED,
    "configured": MachineState.STOPPED,
}


def seen_by_podman(lab: Lab, name: str) -> list[Sighting]:
    """Return what ``podman inspect`` says on each engine of the lab."""
    found = []
    for engine in lab.engines:
        said = engine.run(["podman", "container", "inspect", "--", name], check=False)
        if said.returncode == 0:
            found.append(_sighting(engine.name, json.loads(said.stdout)[0]))
    return found


def _sighting(host: str, container: dict[str, Any]) -> Sighting:
    state = container["State"]
    ended = MachineState.STOPPED if not state.get("Checkpointed") else None  # it may have been saved, or not any more
    return Sighting(host, _STATES.get(state["Status"], ended), processes=int(state["Pid"] > 0))
