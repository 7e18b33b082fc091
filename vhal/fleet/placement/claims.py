"""What is being made or moved at this moment, so that two who do so at once don't give away the same room.

Whoever places a machine looks at a snapshot, which is as old as it took to ask all hosts. In between another one may
have chosen the same room. So a choice is made and written down in one step, and each choice counts what is written
down: what is being made or on its way, and what came after the chooser began to look. What came before is in the
snapshot.

Between threads this is a list; between processes of one user on one machine it is a file that one of them at a time
may change. Between machines there is no such thing: there the engine says no, and the next host is tried.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from vhal.errors import PluginError
from vhal.fleet.snapshot import FleetSnapshot, SeenMachine
from vhal.registry import registry
from vhal.spec.model import Model

KEPT_S = 600.0
"""How long it is remembered that a machine was made: longer than anybody takes from a snapshot to a choice."""


class Claim(Model):
    """Room on a host that a machine is being made in."""

    host: str
    """Its uuid: two fleets may have two names for it."""
    machine: SeenMachine
    pid: int
    """The process that makes it."""
    number: int
    """Of that process's claims."""
    made_s: float | None = None
    """When it was made, on the monotonic clock, which all processes of a machine share; None: not yet."""


Choose = Callable[[Sequence[Claim]], tuple[str, SeenMachine]]

_NUMBERS = itertools.count(1)
_CLAIMS: TypeAdapter[list[Claim]] = TypeAdapter(list[Claim])


class Claims:
    """The claims of this process, or of all processes that have the same file.

    Concurrency: safe from any thread and process.

    Args:
        path: The file; None for claims of this process only.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._list: list[Claim] = []
        self._lock = threading.Lock()

    @staticmethod
    def now_s() -> float:
        """Return what to call the moment before a snapshot is begun."""
        return time.monotonic()

    def take(self, since_s: float, choose: Choose) -> Claim:
        """Choose a place and write it down, in one step.

        Args:
            since_s: When the chooser began to look.
            choose: Called with what must be counted besides what was seen; returns a host's uuid and the machine that
                will be there. It asks nobody. What it raises is raised here, and nothing is written down.
        """
        with self._all() as claims:
            counted = [claim for claim in claims if claim.made_s is None or claim.made_s >= since_s]
            host, machine = choose(counted)
            claim = Claim(host=host, machine=machine, pid=os.getpid(), number=next(_NUMBERS))
            claims.append(claim)
            return claim

    def end(self, claim: Claim, made: bool) -> None:
        """Take note that the machine was made, or wasn't and never will be by this claim."""
        with self._all() as claims:
            claims[:] = [each for each in claims if (each.pid, each.number) != (claim.pid, claim.number)]
            if made:
                claims.append(claim.model_copy(update={"made_s": time.monotonic()}))

    @contextmanager
    def held(self, since_s: float, choose: Choose) -> Iterator[Claim]:
        """Hold what is chosen as long as the block runs; it counts as made if that ends well. As :meth:`take`."""
        claim = self.take(since_s, choose)
        made = False
        try:
            yield claim
            made = True
        finally:
            self.end(claim, made)

    @contextmanager
    def _all(self) -> Iterator[list[Claim]]:
        """Yield the claims that count, to be changed by nobody else meanwhile."""
        with self._lock:
            if self._path is None:
                self._list[:] = _current(self._list)
                yield self._list
                return
            with _opened(self._path) as file:
                claims = _current(_read(file))
                yield claims
                _write(file, claims)


def _current(claims: Sequence[Claim]) -> list[Claim]:
    """Leave out what was made long ago, and what processes were making that have ended."""
    now_s = time.monotonic()
    return [
        claim for claim in claims if (now_s - claim.made_s < KEPT_S if claim.made_s is not None else _alive(claim.pid))
    ]


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file
    finally:
        os.close(file)


def _read(file: int) -> list[Claim]:
    text = os.pread(file, os.fstat(file).st_size, 0)
    try:
        return _CLAIMS.validate_json(text) if text else []
    except ValidationError:
        return []  # of another version, or cut off by a crash: what it said is seen by looking


def _write(file: int, claims: list[Claim]) -> None:
    text = _CLAIMS.dump_json(claims, exclude_defaults=True)
    os.ftruncate(file, 0)
    os.pwrite(file, text, 0)


HERE = Claims()
"""Of this process: for hosts that end with it."""


def shared() -> Claims:
    """Return the claims of all processes of this user, or of this one where there is no folder to keep them in."""
    folder = _folder()
    return HERE if folder is None else Claims(folder / "claims.json")


def claims_of(snapshot: FleetSnapshot) -> Claims:
    """Return where claims on a fleet's hosts are kept: those that live in this process have uuids of others, too."""
    backends = {host.backend for host in snapshot.hosts if host.memory}
    return shared() if any(map(_outlives_us, backends)) else HERE


def _outlives_us(backend: str) -> bool:
    """Whether a backend's hosts are there for other processes, too; one that nobody knows was made in this one."""
    try:
        return not registry.backend(backend).ephemeral
    except PluginError:
        return False


def _folder() -> Path | None:
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    folder = Path(runtime) / "vhal" if runtime else Path(tempfile.gettempdir()) / f"vhal-{os.geteuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    # Another user may have been there before: in a folder that is theirs, they would decide what is claimed.
    mine = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022
    return folder if mine else None
