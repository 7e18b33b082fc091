"""Moving a machine that is stopped: its files go over, and it is made anew over there.

For podman it is another container then, and for its users the same machine: with the same id, name, labels and spec.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import time
from collections.abc import Iterator
from typing import Any

from vhal.driver import Context, MigrationPolicy, Offer, Progress, Ticket, Transfer
from vhal.errors import MigrationFailed
from vhal.spec import Bytes, MachineSpec
from vhal_containers import creation, identity, limits, volumes
from vhal_containers.api import ApiError, Libpod
from vhal_containers.api.document import documents, number, text
from vhal_containers.api.path import path
from vhal_containers.engine import Engine, name_taken
from vhal_containers.engine_process import EngineProcess
from vhal_containers.inventory import Found, Inventory
from vhal_containers.migration import image_transfer
from vhal_containers.migration.cargo import Cargo, MountCargo, Place
from vhal_containers.migration.image_transfer import FILES_OF
from vhal_containers.migration.lines import Lines
from vhal_containers.migration.pace import Pace
from vhal_containers.migration.transfer import as_offered, ended_in_time
from vhal_containers.options import ContainersOptions
from vhal_containers.reach import ReachError, reach
from vhal_containers.requirements import Findings

TEMPORARY = "localhost/vhal-moving"
"""Name of images that only exist while a machine moves."""
_FOLDER = re.compile(r"/[A-Za-z0-9_./-]{1,1000}")
_ENGINES_OWN = frozenset(
    {
        "/dev", "/dev/console", "/dev/pts", "/dev/shm", "/etc", "/etc/hostname", "/etc/hosts",  # noqa: S108
        "/etc/mtab", "/etc/resolv.conf", "/proc", "/run", "/run/.containerenv", "/run/secrets", "/sys",
    }
)  # fmt: skip
"""What the engine itself changes in every container."""


class ColdSending:
    """One transfer of one machine that is stopped."""

    def __init__(
        self, engine: Engine, inventory: Inventory, offer: Offer, ticket: Ticket, policy: MigrationPolicy
    ) -> None:
        self._engine = engine
        self._inventory = inventory
        self._offer = offer
        self._cargo = Cargo.of(offer)
        self._place = Place.of(ticket)
        self._policy = policy

    def run(self, ctx: Context) -> Transfer:
        """Send it, and return what was measured.

        Raises:
            vhal.errors.VhalError: It didn't arrive; the source still has it, and the destination perhaps a part.
        """
        begun = time.monotonic()
        found = as_offered(self._inventory, self._offer)
        spec = found.spec
        if spec is None:
            raise MigrationFailed(
                f"what {found.info.name!r} was made from can't be read any more",
                hint="move it while it runs",
                backend="containers",
                machine=found.info.name,
            )
        with ended_in_time(ctx), Lines(str(self._engine.url), self._place.url, ctx) as lines:
            pace = Pace(ctx, self._policy.bandwidth, 0)
            with self._files(lines.source, found, ctx) as image:
                image_transfer.ship(lines.source, lines.destination, image, pace)
                ctx.check()
                self._make(lines, found, spec, image)
            _untag(lines.destination, image)
            there = _made(lines.destination, self._place)
            for mount in self._cargo.mounts:
                if mount.type == "volume" and not mount.shared:
                    self._fill(lines, mount, there, pace)
            return Transfer(elapsed_s=time.monotonic() - begun, transferred=Bytes(pace.done), iterations=1)

    @contextlib.contextmanager
    def _files(self, source: Libpod, found: Found, ctx: Context) -> Iterator[str]:
        """Give the id of an image with the machine's files, which is its own if it has changed none."""
        if not _has_changed(source, found):
            yield self._cargo.image
            return
        ctx.report(Progress("transfer", message="files"))
        tag = secrets.token_hex(8)
        machine = self._offer.machine.id
        # On a connection that nobody cuts: what was made must be removed.
        try:
            yield self._engine.api.containers.commit(
                found.podman_id, TEMPORARY, tag, changes=[f"LABEL {FILES_OF}={machine}"]
            ).removeprefix("sha256:")
        finally:
            with contextlib.suppress(ApiError):
                self._engine.api.images.remove(f"{TEMPORARY}:{tag}")

    def _make(self, lines: Lines, found: Found, spec: MachineSpec, image: str) -> None:
        engine = lines.destination
        machine = self._offer.machine.id
        for name in self._place.absent_volumes:
            try:
                engine.volumes.create(name, labels={volumes.OWNER: machine})
            except ApiError as error:
                if name_taken(error):
                    raise MigrationFailed(
                        f"the destination has got a volume {name} meanwhile",
                        hint="it may hold something else; rename or remove one of the two",
                        backend="containers",
                        native=error,
                    ) from error
                raise
        engine.containers.create(self._document(lines, found, spec, image))

    def _document(self, lines: Lines, found: Found, spec: MachineSpec, image: str) -> dict[str, Any]:
        facts = Findings(spec.options_for("containers", ContainersOptions))
        facts.networks = lines.destination.networks.list()
        facts.process = EngineProcess.behind(lines.where)
        labels = identity.labels_of(spec, self._offer.machine.id, self._place.epoch)
        document = creation.container_document(spec, facts, image=image, labels=labels)
        # It may have been renamed, and resized.
        document["name"] = found.info.name
        document["resource_limits"] = limits.resources(spec.cpus.count, spec.memory.size, limits.cpuset(spec))
        return document

    def _fill(self, lines: Lines, mount: MountCargo, there: str, pace: Pace) -> None:
        folder = lines.source.volumes.inspect(mount.name).mountpoint
        if not _FOLDER.fullmatch(folder):
            raise MigrationFailed(
                f"the volume {mount.name} is kept in a folder that can't be named safely: {folder!r}",
                hint="share the volume, or keep it elsewhere",
                backend="containers",
            )
        # Not as files out of the container: in these the engine gives everything to the container's user.
        command = ["tar", "-c", "-f", "-", "--numeric-owner", "-C", folder, "."]
        try:
            with contextlib.closing(reach(self._engine.address)) as way, way.stream(command) as archive:
                lines.destination.connection.put(
                    path("containers", there, "archive"),
                    {"path": mount.target, "copyUIDGID": False},
                    body=pace.through(archive, f"volume {mount.name}"),
                )
        except ReachError as error:
            raise MigrationFailed(
                f"the content of the volume {mount.name} can't be read: {error}",
                hint="look at it on the source (podman volume inspect)",
                backend="containers",
                native=error,
            ) from error


def _has_changed(engine: Libpod, found: Found) -> bool:
    """Return whether a machine has other files than its image."""
    mounted: set[str] = set()
    for mount in (*(one.target for one in found.container.mounts), *_memory_mounts(found)):
        folder = mount.rstrip("/")
        while folder:
            mounted.add(folder)
            folder = folder.rpartition("/")[0]
    changes = engine.connection.get(path("containers", found.podman_id, "changes"))
    for change in documents(changes):
        where = text(change, "Path")
        if where in mounted or (where in _ENGINES_OWN and number(change, "Kind") <= 1):
            continue
        return True
    return False


def _memory_mounts(found: Found) -> Iterator[str]:
    if found.spec is not None:
        yield from (mount.target for mount in found.spec.mounts if mount.tmpfs is not None)


def _made(engine: Libpod, place: Place) -> str:
    return engine.containers.inspect(place.name).id


def _untag(engine: Libpod, image: str) -> None:
    for name in engine.images.inspect(image).names:
        repository, _, tag = name.rpartition(":")
        if repository == TEMPORARY:
            engine.connection.post(path("images", image, "untag"), {"repo": repository, "tag": tag})
