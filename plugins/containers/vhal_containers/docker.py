"""What docker can't do that podman can, with a reason and a remedy for each.

Everything else is the same for both: :mod:`vhal_containers.api.docker` presents docker as podman is presented.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from vhal.driver import Answer, Blocker, Context, Level, MigrationPolicy, Offer, Ticket, Transfer
from vhal.errors import InvalidSpec
from vhal.spec import BootRootfs, MachineInfo, MachineSpec
from vhal_containers.api import Failure
from vhal_containers.api.types import EngineEvent, Network
from vhal_containers.engine import Engine
from vhal_containers.wires import network_of

KIND = "docker"
CDI_SINCE = (1, 44)
"""Version of the API with which devices are given by their names in the Container Device Interface: docker 25."""

_LISTED = {"pause": "paused", "unpause": "running", "died": "exited"}
_LISTED_S = 1.0
_PAUSE_S = 0.005
_SHORTEST_NAME = 2
_COMMAND = re.compile(r"\bpodman (?=network (?:ls|create\))|volume |images? |images\b|logs\b|save\b)")


def in_its_words(blockers: Iterable[Blocker]) -> list[Blocker]:
    """Return blockers whose remedies name podman's commands with docker's instead, where these are the same."""
    return [replace(blocker, remedy=_COMMAND.sub("docker ", blocker.remedy)) for blocker in blockers]


def memory() -> Iterator[Blocker]:
    """Yield why docker keeps no machine's memory."""
    yield Blocker(
        "docker-no-memory",
        "docker keeps no machine's memory: its checkpoints are an experiment, leave open connections out, and can't be "
        "taken to another host",
        "use podman for machines that are saved, or kept or moved with their memory; or snapshot(memory=False)",
        Level.HOST,
    )


def until_listed(engine: Engine, told: EngineEvent) -> None:
    """Wait, for a second at most, until the listing shows what was told.

    Docker lists a copy of what it knows, that it renews only after it has told of an end, or of a pause and its end.
    """
    state, deadline = _LISTED.get(told.action), time.monotonic() + _LISTED_S
    with contextlib.suppress(Failure):  # it is gone; what was told stays true
        while state is not None and time.monotonic() < deadline:
            if all(found.state == state for found in engine.api.containers.list(filters={"id": [told.id]})):
                return
            time.sleep(_PAUSE_S)


def blockers(engine: Engine, spec: MachineSpec) -> Iterator[Blocker]:
    """Yield what a spec asks for that only podman has. Nothing is asked of the engine."""
    if len(spec.name) < _SHORTEST_NAME:
        yield Blocker(
            "docker-name",
            f"docker takes no name of one character, such as {spec.name!r}",
            "choose a longer name",
            Level.HOST,
            InvalidSpec,
        )
    if isinstance(spec.boot, BootRootfs):
        yield _host(
            "docker-rootfs",
            "docker doesn't boot a folder of its host",
            "make an image of it (docker import), or use podman",
        )
    if any(gpu.cdi is not None for gpu in spec.gpus) and engine.api_version < CDI_SINCE:
        yield _host(
            "docker-cdi",
            f"docker {engine.facts().versions['docker']} doesn't know devices by their names (CDI)",
            "use docker 25 or later, or podman",
        )
    if spec.process is not None and "as" in spec.process.ulimits:
        yield _host("docker-ulimit", "docker doesn't limit a process's address space", "leave ulimits.as out")
    if len(spec.nics) > 1:
        yield _host(
            "docker-nics",
            "docker names a container's cards in an order that changes from start to start",
            "give the machine one card, or use podman",
        )


def addresses(spec: MachineSpec, networks: Sequence[Network]) -> Iterator[Blocker]:
    """Yield which of a machine's addresses docker can't give it."""
    for nic in spec.nics:
        network = network_of(nic, networks)
        if network is None:
            continue
        if nic.ip is not None and network.default:
            yield _host(
                "docker-address",
                f"docker chooses the addresses in its network {network.name} itself",
                "name a network of your own (docker network create --subnet …)",
            )
        if nic.mac is not None and network.driver == "ipvlan":
            yield _host(
                "docker-mac",
                f"in the network {network.name} (ipvlan) all machines have the host's hardware address",
                "leave mac out, or choose a macvlan or a bridge",
            )


class NoMigration:
    """Says why no machine moves from a docker engine or to one. Nothing is touched by it."""

    def answer(self, info: MachineInfo | None) -> Answer:
        """Return no."""
        return Answer.of(_stays())

    def offer(self, id: str, policy: MigrationPolicy) -> Offer:
        """Raise the answer.

        Raises:
            vhal.errors.Unsupported: Always.
        """
        raise Answer.of(_stays()).error(backend="containers")

    def examine(self, offer: Offer, policy: MigrationPolicy) -> Answer:
        """Return no."""
        return Answer.of(_stays())

    def prepare(self, offer: Offer, policy: MigrationPolicy, ctx: Context) -> Ticket:
        """Raise the answer."""
        raise Answer.of(_stays()).error(backend="containers", machine=offer.machine.name)

    def transfer(self, offer: Offer, ticket: Ticket, policy: MigrationPolicy, ctx: Context) -> Transfer:
        """Raise the answer."""
        raise Answer.of(_stays()).error(backend="containers", machine=offer.machine.name)

    def commit(self, ticket: Ticket, ctx: Context) -> MachineInfo:
        """Raise the answer."""
        raise Answer.of(_stays()).error(backend="containers")

    def cancel(self, ticket: Ticket, ctx: Context) -> None:
        """Do nothing: nothing was prepared."""

    def release(self, offer: Offer, ctx: Context) -> None:
        """Do nothing: nothing was offered."""

    def resume(self, offer: Offer, ctx: Context) -> None:
        """Do nothing: nothing was offered."""


def _stays() -> Iterator[Blocker]:
    yield _host(
        "docker-migration",
        "machines aren't moved from docker engines, or to them",
        "use podman on both hosts; or save what is in volumes, and create() the machine anew over there",
    )


def _host(code: str, message: str, remedy: str) -> Blocker:
    return Blocker(code, message, remedy, Level.HOST)
