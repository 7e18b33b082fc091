"""The console of a machine: what its first process says from now on, and its input, if it has one."""

from __future__ import annotations

import contextlib

from vhal.errors import InvalidState, Unsupported
from vhal.spec import MachineState
from vhal_containers.api import Failure, Hijacked
from vhal_containers.engine import Engine
from vhal_containers.inventory import Found, Inventory


class ContainerConsole:
    """Both directions of one machine's console. One reader and one writer at a time; closed from any thread.

    Args:
        hijacked: The attached connection.
        name: The machine's name.
        has_input: Whether its first process reads anything at all.
    """

    def __init__(self, hijacked: Hijacked, name: str, *, has_input: bool) -> None:
        self._hijacked = hijacked
        self._name = name
        self._has_input = has_input

    def read(self, timeout_s: float | None = None) -> bytes:
        """Return what came, output and errors alike; ``b""`` at the machine's end, or when ``timeout_s`` passed."""
        return self._hijacked.read(timeout_s)[1]

    def write(self, data: bytes) -> None:
        """Send all of ``data``.

        Raises:
            vhal.errors.Unsupported: The machine was made without an input.
            vhal_containers.api.Unreachable: It has ended.
        """
        if not self._has_input:
            raise Unsupported(
                f"nothing in machine {self._name!r} reads its console",
                hint="make it with process.terminal = true",
                backend="containers",
                machine=self._name,
            )
        self._hijacked.write(data)

    def close(self) -> None:
        """End it; the machine goes on. Idempotent."""
        self._hijacked.close()


class Consoles:
    """The consoles of one engine's machines, whoever made them. Safe to use from several threads."""

    def __init__(self, engine: Engine, inventory: Inventory) -> None:
        self._engine = engine
        self._inventory = inventory

    def console(self, id: str) -> ContainerConsole:
        """Return a new stream from now on.

        Raises:
            vhal.errors.InvalidState: It doesn't run, or is paused. A console that is open stays so while it is paused.
        """
        found = self._inventory.find(id)
        container = found.container
        # The engine would make one that doesn't run ready to start, and wait for that.
        if container.state.status != "running":
            raise _not_running(found)
        hijacked = self._engine.api.containers.attach(
            found.podman_id, terminal=container.terminal, stdin=container.stdin
        )
        try:
            self._check_still_running(found)
        except BaseException:
            hijacked.close()
            raise
        return ContainerConsole(hijacked, found.info.name, has_input=container.stdin)

    def _check_still_running(self, found: Found) -> None:
        containers = self._engine.api.containers
        if containers.inspect(found.podman_id).state.status == "initialized":
            # It ended a moment before, and was made ready to start by us.
            with contextlib.suppress(Failure):
                containers.stop(found.podman_id, 0)
            raise _not_running(found)


def _not_running(found: Found) -> InvalidState:
    if found.info.state is MachineState.PAUSED:
        return InvalidState(
            f"the console of machine {found.info.name!r} can't be opened while it is paused",
            hint="resume() it first; one that was opened before stays open",
            backend="containers",
            machine=found.info.name,
        )
    return InvalidState(
        f"machine {found.info.name!r} doesn't run, so it has no console",
        hint="start() it first; its engine keeps what it said before (podman logs)",
        backend="containers",
        machine=found.info.name,
    )
