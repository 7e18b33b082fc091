"""vhal's own suite, on two real engines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from vhal_containers.driver import ContainersDriver

from tests.parity import tells
from vhal.driver import HostUrl
from vhal.spec import BootImage, Health, MachineKind, MachineSpec, Process
from vhal.testing import BackendSuite, Harness

from .containers_sabotage import sabotage
from .containers_witness import seen_by_podman

if TYPE_CHECKING:
    # The fixture's class is in the conftest.py above, which pytest loads but nobody can import.
    Engines = Any

REPORTS = Path(__file__).parents[3] / "docs" / "reference" / "reports"


def _spec(name: str, image: str) -> MachineSpec:
    health = Health(command=("/bin/busybox", "true"))
    return MachineSpec(
        name=name,
        kind=MachineKind.CONTAINER,
        memory="32MiB",
        boot=BootImage(image=image),
        process=Process(command=("/bin/counter",), health=health),
    )


class TestContainers(BackendSuite):
    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _harness(cls, shared_engines: Engines) -> None:
        first, second = (engine.url for engine in shared_engines.lab.engines)
        cls.harness = Harness(
            open=lambda: ContainersDriver.open(HostUrl.parse(first)),
            peer=lambda: ContainersDriver.open(HostUrl.parse(second)),
            spec=lambda name: _spec(name, shared_engines.image),
            kept=REPORTS / "containers-podman.json",
            slow=True,
            witness=lambda name: seen_by_podman(shared_engines.lab, name),
            sabotage=sabotage,
            tells=tells("containers"),
        )
