"""Making a machine, all or nothing, and removing it with what was made for it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from vhal.driver import Answer, Context
from vhal.errors import EngineError
from vhal.spec import BootArchive, BootImage, BootRootfs, Health, MachineInfo, MachineSpec, Mount
from vhal_containers import identity, limits, volumes, wires
from vhal_containers import image as images
from vhal_containers.api import ApiError
from vhal_containers.api.errors import Failure
from vhal_containers.engine import NOT_FOUND, Engine
from vhal_containers.inventory import Found, Inventory
from vhal_containers.record import Records
from vhal_containers.requirements import Findings, signal_number

LOG_MOST = 16 << 20
"""Bytes of what a machine says that its engine keeps; without an end it would fill the host's disk."""
_NS = 1_000_000_000
_IN_USE = 409


def create(engine: Engine, inventory: Inventory, spec: MachineSpec, found: Findings, ctx: Context) -> MachineInfo:
    """Make the machine, stopped. After an error nothing of it is left.

    An image that was fetched from a registry stays: it is the engine's, for the next machine too.

    Args:
        engine: Where.
        inventory: What is told of the new machine.
        spec: What it shall be.
        found: What was found out about the spec a moment ago. What has changed since, the engine refuses.
        ctx: Deadline, abort and progress.
    """
    if found.blockers:
        raise Answer.of(found.blockers).error(backend="containers", machine=spec.name)
    machine = identity.new_id()
    with _undone(engine, machine) as loaded:
        image = _image(engine, spec, ctx, loaded, there=found.has_image)
        ctx.check()
        volumes.make(engine, spec, machine)
        ctx.check()
        document = container_document(spec, found, image=image, labels=identity.labels_of(spec, machine))
        return inventory.made(machine, engine.api.containers.create(document), spec)


def container_document(
    spec: MachineSpec, found: Findings, *, image: str | None, labels: Mapping[str, str]
) -> dict[str, Any]:
    """Return the engine's document (SpecGenerator) of a machine.

    Args:
        spec: What it shall be.
        found: What :func:`vhal_containers.requirements.examine` found out, without blockers.
        image: Name or id of its image; None for one with a root file system of its own.
        labels: What :func:`vhal_containers.identity.labels_of` returned.
    """
    process, options = spec.process, found.options
    document: dict[str, Any] = {
        "name": spec.name,
        "hostname": spec.name,
        "labels": dict(labels),
        "stop_timeout": options.stop_timeout_s,
        "resource_limits": limits.resources(spec.cpus.count, spec.memory.size, limits.cpuset(spec)),
        "r_limits": limits.ulimits(spec, found.process),
        "log_configuration": {"driver": "k8s-file", "size": LOG_MOST},
        "mounts": [_mount(mount) for mount in spec.mounts if mount.volume is None],
        "volumes": [_volume(mount) for mount in spec.mounts if mount.volume is not None],
        "devices": [{"path": gpu.cdi} for gpu in spec.gpus],
        **wires.document(spec, found.networks, host=options.network_mode == "host"),
    }
    if isinstance(spec.boot, BootRootfs):
        document["rootfs"] = spec.boot.rootfs
    else:
        document["image"] = image
    if process is not None:
        given = {
            "entrypoint": None if process.entrypoint is None else list(process.entrypoint),
            "command": None if process.command is None else list(process.command),
            "user": process.user,
            "work_dir": process.cwd,
            "stop_signal": None if process.stop_signal is None else signal_number(process.stop_signal),
            "healthconfig": None if process.health is None else _health(process.health),
        }
        document |= {key: value for key, value in given.items() if value is not None}
        document |= {
            "env": dict(process.env),
            "read_only_filesystem": process.read_only,
            "cap_add": sorted(process.capabilities_add),
            "cap_drop": sorted(process.capabilities_drop),
            # Without a terminal a program that reads its input shall see the end of it, and not wait for ever.
            "terminal": process.terminal,
            "stdin": process.terminal,
        }
    return document


def delete(engine: Engine, records: Records, found: Found, *, keep_disks: bool) -> None:
    """Remove a machine that isn't active, what is remembered of it, and, unless they are to be kept, its volumes.

    Raises:
        vhal.errors.EngineError: The machine is gone, but something of it couldn't be removed.
        vhal_containers.api.ApiError: It wasn't removed: it runs, for one.
    """
    machine = found.info.id
    # Not by force: that would end one that somebody has just started.
    with contextlib.suppress(_Gone):
        _remove_container(engine, found.podman_id, with_volumes=not keep_disks)
    images_of = [snapshot.image for snapshot in found.record.snapshots if snapshot.image]
    left = [f"image {image[:12]}" for image in images_of if not _remove_image(engine, image)]
    if not keep_disks:
        left += [f"volume {name}" for name in volumes.remove(engine, machine)]
    records.remove(machine)
    if left:
        raise EngineError(
            f"the machine {found.info.name!r} is deleted, but not {', '.join(left)}",
            hint="remove it by hand (podman volume rm, podman image rm)",
            backend="containers",
            machine=found.info.name,
        )


class _Gone(Exception):
    """It was removed already."""


def _remove_container(engine: Engine, id: str, *, with_volumes: bool, force: bool = False) -> None:
    try:
        engine.api.containers.delete(id, force=force, volumes=with_volumes)
    except ApiError as error:
        if error.status == NOT_FOUND:
            raise _Gone from error
        raise


def _remove_image(engine: Engine, id: str) -> bool:
    try:
        engine.api.images.remove(id)
    except ApiError as error:
        return error.status in (NOT_FOUND, _IN_USE)
    return True


@contextmanager
def _undone(engine: Engine, machine: str) -> Iterator[list[str]]:
    """Have everything removed that was made for a machine if the block fails.

    Gives a list for the ids of images that only this machine needs.
    """
    loaded: list[str] = []
    try:
        yield loaded
    except BaseException:
        # Whether the engine made it before its answer was lost, nobody told us; so it is looked for.
        with contextlib.suppress(Failure):
            for container in engine.api.containers.list(filters={"label": [f"{identity.ID}={machine}"]}):
                with contextlib.suppress(_Gone):
                    _remove_container(engine, container.id, with_volumes=True, force=True)
        with contextlib.suppress(Failure):
            volumes.remove(engine, machine)
        with contextlib.suppress(Failure):
            for new in loaded:
                _remove_image(engine, new)
        raise


def _image(engine: Engine, spec: MachineSpec, ctx: Context, loaded: list[str], *, there: bool) -> str | None:
    if isinstance(spec.boot, BootArchive):
        image, new = images.load(engine, spec.boot.archive, ctx)
        if new:
            loaded.append(image.id)
        return image.id
    if isinstance(spec.boot, BootImage):
        if not there:
            images.fetch(engine, spec.boot.image, ctx)
        return spec.boot.image
    return None


def _mount(mount: Mount) -> dict[str, Any]:
    # No devices and no rights by file mode come in with a folder.
    common = ["nosuid", "nodev"]
    if mount.tmpfs is not None:
        # Without "notmpcopyup" it would begin as a copy of what the image has there, whatever its size.
        options = [*common, f"size={int(mount.tmpfs)}", "mode=1777", "notmpcopyup"]
        return {"type": "tmpfs", "source": "tmpfs", "destination": mount.target, "options": options}
    return {
        "type": "bind",
        "source": mount.path,
        "destination": mount.target,
        "options": [*common, "ro" if mount.read_only else "rw", "rbind", "rprivate"],
    }


def _volume(mount: Mount) -> dict[str, Any]:
    options = ["nosuid", "nodev", "ro" if mount.read_only else "rw"]
    return {"Name": mount.volume, "Dest": mount.target, "Options": options}


def _health(health: Health) -> dict[str, Any]:
    return {
        "Test": ["CMD", *health.command],
        "Interval": int(health.interval_s * _NS),
        "Timeout": int(health.timeout_s * _NS),
        "StartPeriod": int(health.start_period_s * _NS),
        "Retries": health.retries,
    }
