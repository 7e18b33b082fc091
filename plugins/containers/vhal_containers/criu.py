"""Whether an engine can freeze a machine with its memory: what that takes, looked at without trying it on a machine.

CRIU does it, called by the runtime. The engine's API says nothing about it; so CRIU is looked for only where the
engine's process is on this machine. Where it can't be seen, the answer is yes, and the engine's own words come with the
error.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from vhal.driver import Blocker, Level
from vhal.errors import EngineError, InsufficientResources, Unsupported, VhalError
from vhal_containers import docker
from vhal_containers.api import ApiError, Failure
from vhal_containers.api.document import document, text
from vhal_containers.api.path import path
from vhal_containers.api.types import Container
from vhal_containers.engine import Engine
from vhal_containers.engine_process import EngineProcess

OLDEST = (4, 2)
"""Older ones can't freeze what runs on today's kernels."""
_PLACES = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_CHECK_S = 10.0
_VERSION = re.compile(r"Version:\s*(\d+)\.(\d+)")
_REMEDY = "run vhal_containers/setup.sh on that host; 'vhal doctor containers' checks it there"
_NOT_THERE = re.compile(r"at least CRIU|criu.*(not found|not installed)|checkpoint/restore support", re.IGNORECASE)
_FAILED = re.compile(r"(checkpoint|restore) .*failed|criu", re.IGNORECASE)
_RUNTIMES = ("runc", "crun")
_FULL = re.compile(r"no space left", re.IGNORECASE)
_LOG_MOST = 8192
_NO_CHECKPOINT = "cannot be found"


def blockers(engine: Engine, runtime: str | None = None) -> Iterator[Blocker]:
    """Yield what stands against it on this engine's host.

    Args:
        engine: The engine.
        runtime: The machine's own runtime; None for the engine's.
    """
    if engine.kind == docker.KIND:
        yield from docker.memory()
        return
    info = engine.facts().info
    if info.rootless:
        yield _blocker(
            "rootless",
            "a user's own engine can't freeze machines: CRIU needs root",
            "use root's engine for machines that are to be saved",
        )
        return
    name = Path(runtime or info.runtime).name
    # crun says what it was built with; runc always asks CRIU itself.
    blind = name == "crun" and name == Path(info.runtime).name and "+CRIU" not in info.runtime_version
    if blind or name not in _RUNTIMES:
        yield _blocker(
            "runtime-without-criu",
            f"the runtime {name} can't freeze machines",
            'install runc, and write runtime = "runc" below [engine] in containers.conf of that host',
        )
    process = EngineProcess.behind(engine.address)
    if process is not None:
        yield from _program(process)


def log(engine: Engine, podman_id: str) -> str:
    """Return the end of what CRIU wrote when it froze a container last, or ``""`` where that can't be seen.

    The engine says that CRIU failed, and not why.
    """
    process = EngineProcess.behind(engine.address)
    if process is None:
        return ""
    with contextlib.suppress(OSError, Failure):
        folder = text(document(engine.api.connection.get(path("containers", podman_id, "json"))), "StaticDir")
        if folder.startswith("/"):
            with (process.root / folder.lstrip("/") / "dump.log").open("rb") as written:
                written.seek(-min(_LOG_MOST, os.fstat(written.fileno()).st_size), os.SEEK_END)
                return written.read(_LOG_MOST).decode(errors="replace")
    return ""


def failed(error: ApiError, machine: str, log: str = "") -> VhalError | None:
    """Return what it means that the engine couldn't freeze a machine or let it go on; None if it isn't about that.

    Args:
        error: The engine's.
        machine: The machine's name.
        log: What CRIU wrote, as far as it is known.
    """
    words = f"{error.message} {error.cause}"
    if _FULL.search(words) or (_FAILED.search(words) and _FULL.search(log)):
        return InsufficientResources(
            f"there is no space left on the engine's disk for what machine {machine!r} has in memory",
            hint="make room there: /var/tmp, and the folder of the engine's storage, hold it once each",
            backend="containers",
            machine=machine,
            native=error,
        )
    if _NOT_THERE.search(words):
        return Unsupported(
            f"machine {machine!r} can't be frozen there: {error.message}",
            hint=_REMEDY,
            backend="containers",
            machine=machine,
            native=error,
        )
    if _FAILED.search(words):
        return EngineError(
            f"CRIU failed with machine {machine!r}: {error.cause or error.message}",
            hint="it can't freeze devices, GPUs and what is shared with the host; its log (dump.log, restore.log) is "
            "in the container's folder there",
            backend="containers",
            machine=machine,
            native=error,
        )
    return None


def nothing_saved(error: ApiError, container: Container) -> bool:
    """Return whether a container couldn't be brought back because there is nothing to bring it back from."""
    return not container.state.checkpointed and _NO_CHECKPOINT in error.message


def _program(process: EngineProcess) -> Iterator[Blocker]:
    try:
        if not Path(f"/proc/{process.pid}/comm").read_text().startswith("podman"):
            return
        places = _path_of(process)
        program = next((place for place in places if _is_there(process, place)), None)
        version = _version(program) if program is not None and _same_root(process) else None
    except OSError:
        return  # it may be there and not for us to see
    if program is None:
        yield _blocker("no-criu", "the engine's host has no CRIU, which freezes machines", _REMEDY)
    elif version is not None and version < OLDEST:
        yield _blocker(
            "criu-too-old",
            f"the engine's host has CRIU {_dotted(version)}; {_dotted(OLDEST)} or later is needed",
            _REMEDY,
        )


def _path_of(process: EngineProcess) -> list[str]:
    variables = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
    path = next((text[5:].decode(errors="replace") for text in variables if text.startswith(b"PATH=")), "")
    return [f"{folder}/criu" for folder in (*path.split(":"), *_PLACES) if folder.startswith("/")]


def _is_there(process: EngineProcess, path: str) -> bool:
    # A link leads on within the engine's root folder, not within ours: that it is there is enough.
    return os.path.lexists(process.root / path.lstrip("/"))


def _same_root(process: EngineProcess) -> bool:
    return (process.thread / "ns/mnt").stat().st_ino == Path("/proc/self/ns/mnt").stat().st_ino


def _version(program: str) -> tuple[int, int] | None:
    try:
        said = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=_CHECK_S, check=False
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    found = _VERSION.search(said)
    return (int(found[1]), int(found[2])) if found else None


def _blocker(code: str, message: str, remedy: str) -> Blocker:
    return Blocker(code, message, remedy, Level.HOST)


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
