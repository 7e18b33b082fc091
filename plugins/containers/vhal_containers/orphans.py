"""What goes on without its engine: a container, or the freezing of one, whose engine died while it worked on it.

An engine has its runtime do the work. If it is killed meanwhile, the runtime finishes; but nobody writes that down, and
afterwards the engine takes a container that runs for one that never did. Nothing but a look at the host's processes
tells, and without that look two copies of a machine could run.

At a destination such a copy is one too many, and is ended. It has the machine's open connections, and the kernel would
tell their other ends of its end; but they belong to the machine that goes on elsewhere. So it loses its network first,
and then its sockets, unheard. Where a machine was frozen and brought back, the copy is the machine itself: what it was
brought back from may be gone already. So it is frozen once more, as its engine would have.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

from vhal.errors import EngineError, MigrationInDoubt
from vhal_containers.address import Address
from vhal_containers.reach import Reach, ReachError, reach

log = logging.getLogger("vhal.containers.migration")

ENDS_S = 20.0
"""How long what is ended may take to be gone; and, for what freezes, at least this long for each look."""
TRIES = 5
"""How often a machine is frozen that its engine takes for ended: it takes the network's name away at some moment."""
_LOOK_S = 0.05
_ID = re.compile(r"[0-9a-f]{64}")
_RUNTIMES = ("runc", "crun")
_NETWORK = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_MUTED = "vhal_muted"
_MUTE = f"""
table inet {_MUTED} {{
chain out {{ type filter hook output priority -500; policy drop; }}
chain in {{ type filter hook input priority -500; policy drop; }}
}}
"""


def end(where: Address, runtime: str, podman_id: str) -> None:
    """End what runs of a container that its engine doesn't know to run. Does nothing if nothing does.

    The other ends of its connections aren't told.

    Precondition: nothing of it is to be kept: the source has its memory.

    Raises:
        vhal.errors.MigrationInDoubt: It can't be made sure that nothing of it runs.
    """
    if runtime not in _RUNTIMES or not _ID.fullmatch(podman_id):
        raise _in_doubt(f"the runtime {runtime} isn't known")
    try:
        with contextlib.closing(reach(where)) as way:

            def gone() -> bool:
                # Again and again: what is about to begin can't be ended yet.
                process = _state(way, runtime, podman_id).get("pid")
                network = _silenced(way, int(process)) if process else None
                way.run([runtime, "delete", "--force", podman_id], files=True)
                if network is not None:
                    _let_speak(way, network)
                return not any(podman_id in line for line in _processes(way))

            if not _comes_about(gone):
                raise _in_doubt("it doesn't end")
    except ReachError as error:
        raise _in_doubt(str(error)) from error


def freeze(where: Address, runtime: str, podman_id: str) -> None:
    """Freeze what runs of a container that its engine takes for frozen. Does nothing if nothing does.

    Where that can't be seen from here, nothing is done either.

    Raises:
        vhal.errors.EngineError: It runs, and can't be frozen; it goes on.
    """
    if runtime not in _RUNTIMES or not _ID.fullmatch(podman_id):
        return
    try:
        way = reach(where)
    except ReachError as error:
        log.debug("what an engine may have left of a machine can't be seen: %s", error)
        return
    with contextlib.closing(way):
        _wait_for_runtime(way, podman_id)
        state = _state(way, runtime, podman_id)
        if not state:
            return
        try:
            if state.get("status") == "stopped":
                way.run([runtime, "delete", podman_id], files=True)
                return
            if state.get("status") == "paused":
                way.run([runtime, "resume", podman_id], files=True)
            _checkpoint(way, runtime, podman_id, state)
            _comes_about(lambda: not _state(way, runtime, podman_id))
        except ReachError as error:
            raise EngineError(
                f"the engine died while it brought the machine back, and doesn't know that it runs on: {error}",
                hint=f"'{runtime} list' on that host shows it; let it end by itself, or end it ({runtime} kill)",
                backend="containers",
                native=error,
            ) from error


def _checkpoint(way: Reach, runtime: str, podman_id: str, state: dict[str, Any]) -> None:
    bundle = str(state.get("bundle", ""))
    places = ["--image-path", f"{bundle}/checkpoint", "--work-path", bundle]
    for left in reversed(range(TRIES)):
        try:
            with _network(way, bundle, str(state.get("pid"))):
                way.run([runtime, "checkpoint", *places, "--tcp-established", "--file-locks", podman_id], files=True)
            return
        except ReachError as error:
            if not left:
                raise
            log.debug("the engine may just have tidied up after %s: %s", podman_id, error)


@contextlib.contextmanager
def _network(way: Reach, bundle: str, process: str) -> Iterator[None]:
    """Give a network its name while it is needed: without it the runtime can't say which one the container had."""
    name = ""
    with contextlib.suppress(ReachError, ValueError, KeyError, TypeError):
        settings: Any = json.loads(way.run(["cat", f"{bundle}/config.json"], files=True))
        paths = [space.get("path", "") for space in settings["linux"]["namespaces"] if space["type"] == "network"]
        folder, _, name = "".join(paths).rpartition("/")
        if folder != "/run/netns" or not _NETWORK.fullmatch(name):
            name = ""
    if name and name not in way.run(["ip", "netns", "list"], files=True).split():
        way.run(["ip", "netns", "attach", name, process], files=True)
        try:
            yield
        finally:
            with contextlib.suppress(ReachError):
                way.run(["ip", "netns", "delete", name], files=True)
    else:
        yield


def wait_until_frozen(where: Address, podman_id: str) -> None:
    """Wait for the end of a freezing that goes on without its engine, as far as it can be seen."""
    with contextlib.suppress(ReachError), contextlib.closing(reach(where)) as way:
        _wait_for_runtime(way, podman_id)


def _wait_for_runtime(way: Reach, podman_id: str) -> None:
    works = re.compile(rf"^\S*({'|'.join(_RUNTIMES)}) .*\b(checkpoint|restore)\b.*{re.escape(podman_id)}")
    _comes_about(lambda: not any(works.match(line) for line in _processes(way)))


def _state(way: Reach, runtime: str, podman_id: str) -> dict[str, Any]:
    """Return what the runtime knows of what it runs under an id; nothing if it doesn't run any (yet)."""
    with contextlib.suppress(ReachError, ValueError):
        told: Any = json.loads(way.run([runtime, "state", podman_id], files=True))
        if isinstance(told, dict):
            return told
    return {}


def _silenced(way: Reach, process: int) -> str | None:
    """Take a process's network and sockets away; return the network's name if it can be given back."""
    inside = ["nsenter", "--target", str(process), "--net", "--"]
    try:
        ours, its = way.run(
            ["readlink", "/proc/self/ns/net", f"/proc/{process}/ns/net"], files=True
        ).split()  # of two that are the same, nothing may be taken away: it is the host's
        if ours == its:
            return None
        way.run([*inside, "nft", "-f", "-"], input=_MUTE, files=True)
        way.run([*inside, "ss", "--kill", "--tcp", "--all"], files=True)
        if way.run([*inside, "ss", "--tcp", "--all", "--no-header", "--numeric"], files=True).strip():
            return None  # the kernel can't; so its network stays as it is, and goes with the container
        name = way.run(["ip", "netns", "identify", str(process)], files=True).strip()
    except (ReachError, ValueError) as error:
        log.warning("connections of a machine that was brought back for nothing may be reset: %s", error)
        return None
    return name if _NETWORK.fullmatch(name) else None


def _let_speak(way: Reach, network: str) -> None:
    # The engine may use it again, for the machine; or it is gone already.
    with contextlib.suppress(ReachError):
        inside = ["nsenter", f"--net=/run/netns/{network}", "--"]
        way.run([*inside, "nft", "-f", "-"], input=f"delete table inet {_MUTED}\n", files=True)


def _processes(way: Reach) -> list[str]:
    return way.run(["ps", "-e", "-ww", "-o", "args="], files=True).splitlines()


def _comes_about(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + ENDS_S
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_S)
    return True


def _in_doubt(reason: str) -> MigrationInDoubt:
    return MigrationInDoubt(
        f"the engine died while it brought the machine back, and what it left may run: {reason}",
        hint="look for its processes on that host and end them (runc delete --force ID), before it goes on elsewhere",
        backend="containers",
    )
