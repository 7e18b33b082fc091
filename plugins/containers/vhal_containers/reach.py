"""Commands on an engine's host, for the little that the engine can't be asked: its network's rules, its CRIU.

For an engine behind a socket of this machine they run in the engine's own namespaces, whatever they are; for one behind
ssh, over there. Every command is a list of fixed words. What changes from call to call goes in through standard input:
nothing of ours is ever read by a shell.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, Self

from vhal_containers.address import Address
from vhal_containers.engine_process import EngineProcess

RUN_S = 15.0
_CONNECT_S = 10
_PIECE = 1 << 16
_SPACES = ("net", "mnt", "pid", "cgroup")
_LISTENERS = ("podman", "systemd", "init")
"""Who listens at an engine's socket. Anybody else (the ssh of a forwarded one, a proxy) doesn't say where it is."""


class ReachError(Exception):
    """A command couldn't be run there, or failed."""


class Reach(Protocol):
    """A way to run commands on an engine's host."""

    def run(self, argv: Sequence[str], *, input: str = "", files: bool = False) -> str:
        """Run a command of fixed words and return what it says.

        Args:
            argv: The command.
            input: What it reads.
            files: Whether it must be the host's own program, and see the host's files. Without it only the network is
                the host's.

        Raises:
            ReachError: It can't be run, fails, or takes too long.
        """

    def stream(self, argv: Sequence[str]) -> AbstractContextManager[Iterator[bytes]]:
        """Run a command of the host, and give what it writes, piece by piece. Left early, it is ended.

        Raises:
            ReachError: It can't be run, or, when all is read, it failed.
        """

    def close(self) -> None:
        """Let go. Idempotent."""


def reach(where: Address) -> Reach:
    """Return the way to an engine's host.

    Raises:
        ReachError: There is none from here.
    """
    return Nearby.of(where) if where.local else Remote(where)


class Nearby:
    """An engine on this machine, in whatever namespaces. They are held, so that they can be entered if it dies."""

    def __init__(self, process: EngineProcess) -> None:
        self._spaces: dict[str, int] = {}
        thread = process.thread
        try:
            for space in _SPACES:
                self._spaces[space] = os.open(thread / "ns" / space, os.O_RDONLY | os.O_CLOEXEC)
            self._path = _search_path(process.pid)
        except OSError as error:
            self.close()
            raise ReachError(f"the engine's namespaces can't be entered: {error.strerror}") from error

    @classmethod
    def of(cls, where: Address) -> Self:
        """Return the way to the process behind a socket.

        Raises:
            ReachError: It isn't known, or isn't ours to enter.
        """
        process = EngineProcess.behind(where)
        if process is None:
            raise ReachError("the engine's process isn't known")
        if os.geteuid() != 0:
            raise ReachError("only root can enter the engine's namespaces")
        with contextlib.suppress(OSError):
            name = Path(f"/proc/{process.pid}/comm").read_text().strip()
            if name.startswith(_LISTENERS):
                return cls(process)
        raise ReachError("what listens at the engine's socket only passes on to it")

    def stream(self, argv: Sequence[str]) -> AbstractContextManager[Iterator[bytes]]:
        environment = {"PATH": self._path, "LC_ALL": "C", "HOME": "/root"}
        return _stream([*self._entering(_SPACES), *argv], tuple(self._spaces.values()), environment)

    def run(self, argv: Sequence[str], *, input: str = "", files: bool = False) -> str:
        spaces = _SPACES if files else ("net",)
        environment = {"PATH": self._path if files else os.environ.get("PATH", self._path), "LC_ALL": "C"}
        return _run([*self._entering(spaces), *argv], input, tuple(self._spaces.values()), environment)

    def _entering(self, spaces: Sequence[str]) -> list[str]:
        names = {"net": "--net", "mnt": "--mount", "pid": "--pid", "cgroup": "--cgroup"}
        return ["nsenter", *(f"{names[space]}=/proc/self/fd/{self._spaces[space]}" for space in spaces), "--"]

    def close(self) -> None:
        for handle in self._spaces.values():
            os.close(handle)
        self._spaces.clear()


class Remote:
    """An engine's host behind ssh: the same that leads to the engine."""

    def __init__(self, where: Address) -> None:
        self._where = where

    def run(self, argv: Sequence[str], *, input: str = "", files: bool = False) -> str:
        return _run([*self.login(), *argv], input, (), None)

    def stream(self, argv: Sequence[str]) -> AbstractContextManager[Iterator[bytes]]:
        return _stream([*self.login(), *argv], (), None)

    def login(self) -> list[str]:
        """Return the words before the command."""
        where = self._where
        return [
            "ssh",
            "-T",
            "-oBatchMode=yes",
            f"-oConnectTimeout={_CONNECT_S}",
            "-oControlMaster=no",
            "-oControlPath=none",
            "-oPermitLocalCommand=no",
            "-oForwardAgent=no",
            "-oForwardX11=no",
            *(("-l", where.user) if where.user is not None else ()),
            *(("-p", str(where.port)) if where.port is not None else ()),
            "--",
            where.host or "",
        ]

    def close(self) -> None:
        pass


def _search_path(pid: int) -> str:
    default = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    for entry in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
        if entry.startswith(b"PATH="):
            return entry[5:].decode(errors="replace") or default
    return default


@contextlib.contextmanager
def _stream(argv: list[str], handles: tuple[int, ...], environment: dict[str, str] | None) -> Iterator[Iterator[bytes]]:
    with tempfile.TemporaryFile() as words:
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=words,
                pass_fds=handles,
                env=environment,
            )
        except OSError as error:
            raise ReachError(f"{argv[0]} can't be run: {error.strerror}") from error
        with process:

            def pieces() -> Iterator[bytes]:
                while process.stdout is not None and (piece := process.stdout.read(_PIECE)):
                    yield piece
                if process.wait():
                    words.seek(0)
                    said = words.read().decode(errors="replace").strip().splitlines()
                    raise ReachError(said[-1] if said else f"{argv[0]} ended with {process.returncode}")

            try:
                yield pieces()
            finally:
                process.kill()


def _run(argv: list[str], input: str, handles: tuple[int, ...], environment: dict[str, str] | None) -> str:
    try:
        ended = subprocess.run(
            argv,
            input=input,
            pass_fds=handles,
            env=environment,
            capture_output=True,
            text=True,
            timeout=RUN_S,
            check=False,
        )
    except FileNotFoundError as error:
        raise ReachError(f"there is no {argv[0]} on this machine") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ReachError(f"{argv[0]} doesn't end: {error}") from error
    if ended.returncode:
        said = (ended.stderr or ended.stdout).strip().splitlines()
        raise ReachError(said[-1] if said else f"{argv[0]} ended with {ended.returncode}")
    return ended.stdout
