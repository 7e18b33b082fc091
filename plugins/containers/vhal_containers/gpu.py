"""GPUs for containers, by their names in the Container Device Interface (CDI).

A CDI specification says what a device's name means: device files, mounts, and programs that the runtime runs as root on
the host. So one that others than root could have written is not used. Where the engine is on this machine, its
specifications are read here; of another host only its engine can say whether a device is there, and does so when the
machine starts.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vhal.driver import Blocker, Level
from vhal.errors import AccessDenied, NotFound
from vhal.spec import GpuInfo, MachineSpec
from vhal_containers.engine_process import EngineProcess

FOLDERS = ("/etc/cdi", "/var/run/cdi")
"""Where engines look; what is in the later ones counts more."""
_MOST = 4 << 20
"""Bytes of a specification that are read."""
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


@dataclass(slots=True)
class Specifications:
    """What the specifications of a host say."""

    devices: dict[str, str] = field(default_factory=dict)
    """Full name → the file that says what it means."""
    doubtful: dict[str, str] = field(default_factory=dict)
    """Path → why what is there can't be trusted."""

    @property
    def gpus(self) -> tuple[GpuInfo, ...]:
        """The devices whose kind is a GPU."""
        return tuple(
            GpuInfo(id=name, vendor=name.partition("/")[0], model=name.partition("/")[2])
            for name in sorted(self.devices)
            if "gpu" in name.partition("/")[2].partition("=")[0]
        )


def read(process: EngineProcess) -> Specifications:
    """Return what a host's specifications say. Never raises: what can't be read isn't there."""
    found = Specifications()
    for folder in FOLDERS:
        place = _resolved(process, folder)
        if place is None:
            continue
        if problem := _doubt(place):
            found.doubtful[folder] = problem
            continue
        for file in sorted(place.iterdir()):
            if file.suffix == ".json" or file.suffix in (".yaml", ".yml"):
                _read_file(file, f"{folder}/{file.name}", found)
    return found


def blockers(spec: MachineSpec, process: EngineProcess | None) -> Iterator[Blocker]:
    """Yield what stands against giving the machine the GPUs it asks for."""
    for gpu in spec.gpus:
        if gpu.cdi is None:
            yield Blocker(
                "gpu-unnamed",
                "a container's GPU is given by its name in the Container Device Interface",
                "write gpus = [{cdi = 'vendor/class=name'}]; 'podman info' or the vendor's tool lists them",
                Level.BACKEND,
            )
    names = [gpu.cdi for gpu in spec.gpus if gpu.cdi is not None]
    if len(names) != len(set(names)):
        yield Blocker("gpu-twice", "one device is asked for twice", "ask for it once")
    if not names or process is None:
        return
    known = read(process)
    for path, problem in known.doubtful.items():
        yield Blocker(
            "cdi-untrusted",
            f"{path} isn't trusted: {problem}, and what it says is done by root",
            f"give it to root, and let nobody else write to it (chown root: {path}; chmod go-w {path})",
            Level.HOST,
            AccessDenied,
        )
    for name in dict.fromkeys(names):
        if name not in known.devices and not known.doubtful and not _unread(known):
            listed = ", ".join(sorted(known.devices)) or "none"
            yield Blocker(
                "gpu-missing",
                f"the host has no device {name}; its devices: {listed}",
                "correct the name, or have the vendor's tool write its specification to /etc/cdi",
                Level.HOST,
                NotFound,
            )


def _unread(known: Specifications) -> bool:
    return "" in known.devices


def _resolved(process: EngineProcess, folder: str) -> Path | None:
    # /var/run is a link to /run, an absolute one: below another root it would lead out of it.
    parts = folder.replace("/var/run/", "/run/", 1) if (process.root / "var/run").is_symlink() else folder
    place = process.root / parts.lstrip("/")
    try:
        return place if place.is_dir() and not place.is_symlink() else None
    except OSError:
        return None


def _doubt(path: Path) -> str:
    """Return why a file or folder can't be trusted, or ``""``."""
    try:
        found = path.lstat()
    except OSError as error:
        return f"it can't be looked at ({error.strerror})"
    if stat.S_ISLNK(found.st_mode):
        return "it is a symbolic link"
    if found.st_uid != 0:
        return f"it belongs to user {found.st_uid}"
    if found.st_mode & _OTHERS_WRITE:
        return "others than its owner may write to it"
    return ""


def _read_file(file: Path, shown: str, found: Specifications) -> None:
    if problem := _doubt(file):
        found.doubtful[shown] = problem
        return
    if file.suffix != ".json":
        # There is no reader for YAML here; what it declares is the engine's to say.
        found.devices[""] = shown
        return
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as stream:
            declared: Any = json.loads(stream.read(_MOST))
        kind = declared["kind"]
        for device in declared["devices"]:
            found.devices[f"{kind}={device['name']}"] = shown
    except (OSError, ValueError, KeyError, TypeError):
        return
