"""Machines as they were, kept on their engine as images: their files, or with memory, a checkpoint.

What a machine has outside of its own files isn't in a snapshot: volumes and mounted folders stay as they are. A revert
makes a new container, which is the same machine: same id, name, sizes, networks, mounts. The old one is put aside under
another name and deleted when the new one stands; who finds one put aside finishes, or undoes, what somebody else
didn't.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from vhal.driver import Answer, Blocker, Context
from vhal.errors import AlreadyExists, NotFound, Unsupported
from vhal.spec import BootRootfs, Bytes, MachineInfo, MachineSpec, MachineState
from vhal.spec.snapshot import SnapshotInfo
from vhal_containers import changes as changed
from vhal_containers import creation, criu, gpu, host_paths, identity, limits, wires
from vhal_containers.api import ApiError, Failure
from vhal_containers.api.document import Document, document, moment, part, text
from vhal_containers.api.path import path
from vhal_containers.engine import NOT_FOUND, Engine
from vhal_containers.engine_process import EngineProcess
from vhal_containers.identity import ID, PREFIX
from vhal_containers.inventory import Found, Inventory
from vhal_containers.options import ContainersOptions
from vhal_containers.record import Record, Records, Snapshot
from vhal_containers.requirements import Findings
from vhal_containers.steps import Meanings, Steps

REPOSITORY = "localhost/vhal-snapshot-"
"""What the names of the images begin with."""
MACHINE = f"{PREFIX}snapshot.machine"
NAME = f"{PREFIX}snapshot.name"
MEMORY = f"{PREFIX}snapshot.memory"
ASIDE = ".vhal-old"
"""What the name of a container ends with while a new one takes its place."""

_BASE = "io.podman.annotations.checkpoint.rootfsImageID"
_GOES_ON: Meanings = {"pause": None, "unpause": None, "checkpoint": None}
"""What the engine does to keep a machine that goes on as before."""
_NOT_STARTED = ("created", "configured", "initialized")
_SHORT_ID = 12


def repository(machine: str) -> str:
    """Return the name, without tag, of the images of a machine's snapshots."""
    return f"{REPOSITORY}{machine.replace('-', '')[:_SHORT_ID]}"


class Snapshots:
    """The snapshots of one engine's machines. Safe to use from several threads."""

    def __init__(self, engine: Engine, inventory: Inventory, records: Records, steps: Steps) -> None:
        self._engine = engine
        self._inventory = inventory
        self._records = records
        self._steps = steps

    def answer(self, info: MachineInfo | None) -> Answer:
        """Return whether this machine can have snapshots."""
        return Answer.of(()) if info is None else Answer.of(self._blockers(self._inventory.find(info.id)))

    def snapshot(self, id: str, name: str, memory: bool, ctx: Context) -> SnapshotInfo:
        """Keep its files, with ``memory`` also its memory. A failure leaves no snapshot.

        It stands still while its files are read; a paused one goes on for a moment while its memory is.

        Raises:
            vhal.errors.AlreadyExists: It has one of that name.
            vhal.errors.Unsupported: Its memory is wanted, and CRIU isn't there, or the engine would forget files.
        """
        found = self.settled(self._inventory.find(id))
        self._check(found, memory=memory)
        _check_free(found.record, name, found.info.name)
        if memory:
            self._check_files(found)
        ctx.check()
        tag = f"{repository(found.info.id)}:{name}"
        image = ""
        try:
            # One that was forgotten there would lose its name, and nobody would find it any more.
            self._sweep(found.info.id, found.record)
            with self._steps.meaning(found.info.id, _GOES_ON):
                image = self._freeze(found, tag) if memory else self._commit(found, name)
            created, (cpus, size) = _created(self._image(image)), (found.info.cpus, int(found.info.memory))
            taken = Snapshot(name, created, memory, image, cpus=cpus, size=size)

            def add(record: Record) -> Record:
                _check_free(record, name, found.info.name)
                return replace(record, snapshots=(*record.snapshots, taken))

            self._records.change(found.info.id, add)
        except BaseException as error:
            self._drop(image or tag)
            if isinstance(error, ApiError) and memory and (ours := criu.failed(error, found.info.name)):
                raise ours from error
            raise
        return _info(taken)

    def snapshots(self, id: str) -> list[SnapshotInfo]:
        """Return its snapshots, the oldest first."""
        record = self._inventory.find(id).record
        return [_info(snapshot) for snapshot in record.snapshots]

    def revert(self, id: str, name: str, ctx: Context) -> None:
        """Make a stopped machine what it was then: stopped, or with memory, running. All or nothing.

        Raises:
            vhal.errors.NotFound: It has no such snapshot, or somebody removed its image, network or folder.
            vhal.errors.EngineError: CRIU can't let it go on: it needs what isn't there any more.
        """
        found = self.settled(self._inventory.find(id))
        snapshot = found.record.snapshot(name)
        if snapshot is None:
            raise _unknown(found, name)
        self._check(found, memory=snapshot.memory)
        if not self._engine.api.images.exists(snapshot.image):
            raise NotFound(
                f"the image of snapshot {name!r} of machine {found.info.name!r} was removed",
                hint="delete_snapshot() it: there is nothing left to go back to",
                backend="containers",
                machine=found.info.name,
            )
        asked = None if snapshot.memory else self._document(found, snapshot)
        ctx.check()
        self._replace(found, snapshot, asked)
        self._inventory.forget(id)

    def delete_snapshot(self, id: str, name: str, ctx: Context) -> None:
        """Forget one. The machine isn't changed. An image that something still needs goes when nothing does.

        Raises:
            vhal.errors.NotFound: It has no such snapshot.
        """
        found = self._inventory.find(id)
        if found.record.snapshot(name) is None:
            raise _unknown(found, name)

        def remove(record: Record) -> Record:
            return replace(record, snapshots=tuple(one for one in record.snapshots if one.name != name))

        self._sweep(found.info.id, self._records.change(found.info.id, remove))

    def remove_all(self, machine: str) -> None:
        """Remove the images of a machine that is gone. What can't be removed stays."""
        self._sweep(machine, Record())

    def settled(self, found: Found) -> Found:
        """Finish, or undo, a revert of the machine that somebody began and didn't end; return the machine then."""
        # Only a machine with snapshots was ever reverted.
        if not found.record.snapshots and not found.info.name.endswith(ASIDE):
            return found
        containers = self._engine.api.containers
        copies = containers.list(filters={"label": [f"{ID}={found.info.id}"]})
        old = next((copy for copy in copies if copy.name.endswith(ASIDE)), None)
        if old is None:
            return found
        name = old.name.removesuffix(ASIDE)
        new = next((copy for copy in copies if copy.name == name), None)
        if new is not None and self._stands(new.id, found.record):
            containers.delete(old.id)
        else:
            if new is not None:
                containers.delete(new.id, force=True)
            containers.rename(old.id, name)
        self._inventory.forget(found.info.id)
        return self._inventory.find(found.info.id)

    def _stands(self, container: str, record: Record) -> bool:
        # Made from its files, it is there as a whole or not at all. Made from its memory, it is before it runs.
        made = self._engine.api.containers.inspect(container)
        files = {snapshot.image for snapshot in record.snapshots if not snapshot.memory}
        return made.image in files or made.state.status not in _NOT_STARTED

    def _blockers(self, found: Found) -> Iterator[Blocker]:
        if found.spec is None:
            yield Blocker(
                "not-managed",
                f"vhal didn't make {found.info.name!r}, and doesn't know what it would have to be made anew with",
                "make machines that are to have snapshots with vhal",
            )
        elif isinstance(found.spec.boot, BootRootfs):
            yield Blocker(
                "boot-rootfs",
                f"machine {found.info.name!r} runs in a folder of its host, of which the engine keeps no layers",
                "boot it from an image",
            )

    def _check(self, found: Found, *, memory: bool) -> None:
        blockers = list(self._blockers(found))
        if memory:
            blockers += criu.blockers(self._engine, found.container.runtime)
        if blockers:
            raise Answer.of(blockers).error(backend="containers", machine=found.info.name)

    def _check_files(self, found: Found) -> None:
        lost = changed.forgotten(self._engine.api, found.podman_id)
        if lost:
            raise Answer.no(
                "files-forgotten",
                f"podman would forget what machine {found.info.name!r} changed of its image's files: "
                f"{changed.shown(lost)}",
                "take it without its memory, keep such files in a volume, or have them made when the machine starts",
            ).error(backend="containers", machine=found.info.name)

    def _commit(self, found: Found, name: str) -> str:
        labels = {MACHINE: found.info.id, NAME: name, MEMORY: "false"}
        changes = [f"LABEL {key}={value}" for key, value in labels.items()]
        was_running = found.info.state is MachineState.RUNNING
        try:
            return self._engine.api.containers.commit(found.podman_id, repository(found.info.id), name, changes=changes)
        except Failure:
            with contextlib.suppress(Failure):
                # The engine has it stand still meanwhile, and may have died over it.
                if was_running and self._engine.api.containers.inspect(found.podman_id).state.paused:
                    self._engine.api.containers.unpause(found.podman_id)
            raise

    def _freeze(self, found: Found, tag: str) -> str:
        containers = self._engine.api.containers
        paused = found.info.state is MachineState.PAUSED
        try:
            if paused:
                # The engine doesn't freeze what is paused.
                containers.unpause(found.podman_id)
            self._engine.api.connection.post(
                path("containers", found.podman_id, "checkpoint"),
                {"leaveRunning": True, "tcpEstablished": True, "fileLocks": True, "createImage": tag},
            )
        finally:
            if paused:
                with contextlib.suppress(Failure):
                    containers.pause(found.podman_id)
        return self._engine.api.images.inspect(tag).id

    def _document(self, found: Found, snapshot: Snapshot) -> dict[str, Any]:
        """Return the engine's document of the machine as it was, made of what it is.

        Raises:
            vhal.errors.VhalError: Something that it hangs on isn't there any more, or isn't given any more.
        """
        spec, findings = _spec(found), self._examined(_spec(found))
        labels = identity.labels_of(spec, found.info.id, found.info.epoch)
        asked = creation.container_document(spec, findings, image=snapshot.image, labels=labels)
        asked["name"] = found.info.name
        named = {volume["Name"] for volume in asked["volumes"]}
        # Volumes that its image asks for have no name in the spec; it keeps those that it has.
        asked["volumes"] += [
            {"Name": mount.name, "Dest": mount.target}
            for mount in found.container.mounts
            if mount.type == "volume" and mount.name not in named
        ]
        return asked

    def _examined(self, spec: MachineSpec) -> Findings:
        findings = Findings(spec.options_for("containers", ContainersOptions))
        findings.process = EngineProcess.behind(self._engine.address)
        findings.blockers += host_paths.refused(spec, findings.process)
        findings.blockers += gpu.blockers(spec, findings.process)
        if spec.nics:
            findings.networks = self._engine.api.networks.list()
            rootless = self._engine.facts().info.rootless
            findings.blockers += wires.blockers(spec, findings.networks, (), rootless=rootless)
        if findings.blockers:
            raise Answer.of(findings.blockers).error(backend="containers", machine=spec.name)
        return findings

    def _replace(self, found: Found, snapshot: Snapshot, asked: dict[str, Any] | None) -> None:
        containers, name = self._engine.api.containers, found.info.name
        containers.rename(found.podman_id, f"{name}{ASIDE}")
        try:
            if asked is not None:
                containers.create(asked)
            else:
                self._go_on(found, snapshot)
            self._records.change(found.info.id, lambda record: _sized(record, found, snapshot))
        except BaseException as error:
            with contextlib.suppress(Failure):
                self._remove_copy(found, name)
                containers.rename(found.podman_id, name)
            if isinstance(error, ApiError) and asked is None and (ours := criu.failed(error, name)):
                raise ours from error
            raise
        # The machine is what it was. What can't be deleted now, the next one who comes by deletes.
        with contextlib.suppress(Failure):
            containers.delete(found.podman_id)

    def _go_on(self, found: Found, snapshot: Snapshot) -> None:
        answer = self._engine.api.connection.post(
            path("containers", snapshot.image, "restore"),
            {"name": found.info.name, "tcpEstablished": True, "fileLocks": True, "ignoreVolumes": True},
        )
        if _sized(found.record, found, snapshot).resized:
            cpus, memory = snapshot.cpus or found.info.cpus, Bytes(snapshot.size or found.info.memory)
            resources = limits.resources(cpus, memory)
            self._engine.api.containers.update(text(document(answer), "Id"), resources)

    def _remove_copy(self, found: Found, name: str) -> None:
        """Remove what a failed revert may have left; never a container of somebody else's who took the name."""
        try:
            left = self._engine.api.containers.inspect(name)
        except ApiError as error:
            if error.status == NOT_FOUND:
                return
            raise
        if left.name == name and left.labels.get(ID) == found.info.id:
            self._engine.api.containers.delete(left.id, force=True)

    def _sweep(self, machine: str, record: Record) -> None:
        """Remove the images of a machine's snapshots that nothing needs, whoever forgot them."""
        with contextlib.suppress(Failure):
            needed = {snapshot.image for snapshot in record.snapshots}
            # A checkpoint holds what changed since the image that its machine was made from then.
            needed |= {self._base(snapshot.image) for snapshot in record.snapshots if snapshot.memory}
            prefix = f"{repository(machine)}:"
            for image in self._engine.api.images.list():
                named = any(name.startswith(prefix) for name in image.names)
                if (named or image.labels.get(MACHINE) == machine) and image.id not in needed:
                    self._drop(image.id)

    def _drop(self, image: str) -> None:
        # The machine may have been made from it; then it goes with the machine.
        with contextlib.suppress(Failure):
            self._engine.api.images.remove(image)

    def _base(self, image: str) -> str:
        try:
            return text(part(self._image(image), "Annotations"), _BASE)
        except ApiError as error:
            if error.status == NOT_FOUND:
                return ""
            raise

    def _image(self, image: str) -> Document:
        return document(self._engine.api.connection.get(path("images", image, "json")))


def _sized(record: Record, found: Found, snapshot: Snapshot) -> Record:
    """Return the record of a machine that has the sizes that it had in the snapshot."""
    spec = _spec(found)
    cpus, memory = snapshot.cpus or found.info.cpus, snapshot.size or int(found.info.memory)
    return replace(
        record,
        cpus=None if cpus == spec.cpus.count else cpus,
        memory=None if memory == spec.memory.size else memory,
    )


def _created(image: Document) -> float:
    when = moment(image, "Created")
    return when.timestamp() if when else 0.0


def _info(snapshot: Snapshot) -> SnapshotInfo:
    return SnapshotInfo(name=snapshot.name, memory=snapshot.memory, created=snapshot.created)


def _check_free(record: Record, name: str, machine: str) -> None:
    if record.snapshot(name) is not None:
        raise AlreadyExists(
            f"machine {machine!r} has a snapshot {name!r}",
            hint="delete_snapshot() it, or choose another name",
            backend="containers",
            machine=machine,
        )


def _unknown(found: Found, name: str) -> NotFound:
    listed = ", ".join(snapshot.name for snapshot in found.record.snapshots) or "none"
    return NotFound(
        f"machine {found.info.name!r} has no snapshot {name!r}",
        hint=f"it has: {listed}",
        backend="containers",
        machine=found.info.name,
    )


def _spec(found: Found) -> MachineSpec:
    if found.spec is None:
        raise Unsupported(f"vhal didn't make {found.info.name!r}", hint="make it with vhal", backend="containers")
    return found.spec
