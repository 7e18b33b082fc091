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
    """Return what ``podman inspect`` says on each engine of the lab, and whether there is the process that it names."""
    found = []
    for engine in lab.engines:
        said = engine.run(["podman", "container", "inspect", "--", name], check=False)
        if said.returncode == 0:
            container = json.loads(said.stdout)[0]
            # Of one that was frozen podman still tells which process it was.
            living = engine.run(
                ["grep", "-sq", container["Id"], f"/proc/{container['State']['Pid']}/cgroup"], check=False
            )
            found.append(_sighting(engine.name, container["State"], processes=int(living.returncode == 0)))
    return found


def _sighting(host: str, state: dict[str, Any], processes: int) -> Sighting:
    ended = None if state.get("Checkpointed") else MachineState.STOPPED  # it may be saved, or not any more
    return Sighting(host, _STATES.get(state["Status"], ended), processes=processes)
