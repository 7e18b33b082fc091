"""A host of the container backend on a real engine, empty after each test: what the tests of several files share.

Not a conftest.py: of those, a type checker that sees all plugins takes only one. A module that wants a fixture from
here gives it a name of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from vhal_containers.driver import ContainersDriver

from tests.testbed import Engine, wait_until
from vhal.driver import Context, HostUrl
from vhal.host import Host, connect
from vhal.spec import BootImage, MachineKind, MachineSpec, Process

if TYPE_CHECKING:
    # The fixture's class is in the conftest.py above, which pytest loads but nobody can import.
    Engines = Any

FOREVER = ("/bin/sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.05; done")
"""Runs until it is asked to end."""
DEAF = ("/bin/sh", "-c", "trap '' TERM; while :; do sleep 0.05; done")
"""Doesn't listen."""


def settle(condition: Callable[[], bool], what: str, within_s: float = 30.0) -> None:
    """Wait until something has come about."""
    wait_until(condition, deadline=within_s, what=what)


@dataclass(frozen=True)
class Place:
    """One engine with a connection to it."""

    node: Engine
    driver: ContainersDriver
    host: Host

    def spec(self, name: str, *, command: tuple[str, ...] = FOREVER, **fields: Any) -> MachineSpec:
        """Return a small container of the test image."""
        process = fields.pop("process", None) or {}
        return MachineSpec(
            **{
                "name": name,
                "kind": MachineKind.CONTAINER,
                "memory": "32MiB",
                "boot": BootImage(image="localhost/counter:1"),
                "process": Process(**{"command": command, **process}),
                **fields,
            }
        )

    def run(self, *command: str, check: bool = True) -> str:
        """Run a command on the engine's host and return what it says."""
        return self.node.run(list(command), check=check).stdout.strip()

    def group(self, name: str, file: str) -> int:
        """Return a number of a machine's control group, read on the host: ``memory.limit_in_bytes``."""
        path = self.driver.inventory.find(name).container.state.cgroup
        return int(self.run("cat", f"/sys/fs/cgroup/{file.partition('.')[0]}{path}/{file}"))


@pytest.fixture
def place(engines: Engines) -> Iterator[Place]:
    """The first engine."""
    node = engines.lab.engines[0]
    driver = ContainersDriver.open(HostUrl.parse(node.url))
    with connect(driver) as host:
        yield Place(node, driver, host)


@pytest.fixture
def ctx() -> Context:
    return Context(60)


@pytest.fixture
def counted(place: Place, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Return a function that says how many requests were made since it was called last."""
    connection = place.driver.engine.api.connection
    original = connection.stream
    made: list[str] = []

    def stream(method: str, path: str, *args: Any, **kwargs: Any) -> Any:
        made.append(f"{method} {path}")
        return original(method, path, *args, **kwargs)

    monkeypatch.setattr(connection, "stream", stream)

    def count() -> int:
        number = len(made)
        made.clear()
        return number

    return count
