"""Programs started in a machine beside its own.

The engine says nothing of a program that couldn't be started: it sends the runtime's words as if the program had
written them, and an exit code that a program could have, too. So one is looked at once after its start, and its first
words are taken for the runtime's where they are exactly that.
"""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping

from vhal.driver import Context
from vhal.errors import AccessDenied, EngineError, NotFound, VhalError
from vhal_containers.api import ApiError, Failure, Hijacked
from vhal_containers.engine import NOT_FOUND, Engine
from vhal_containers.inventory import Inventory

_NOT_STARTED = (125, 126, 127)
"""What the engine reports for a program that couldn't be started."""
_WORDS = re.compile(rb"Error: .*: OCI [^\n]*")
_WORDS_MOST = 16 << 10
_WORDS_S = 10.0
"""The words come right after the exit code, or never."""
_NO_USER = re.compile(r"unable to find (user|group)|no matching entries in (passwd|group)")
_KILLED = 128 + 9
_FIRST_LOOK_S = 0.01
_LAST_LOOK_S = 0.25


class ContainerProcess:
    """A program in a machine. One reader and one writer at a time; closed from any thread.

    Args:
        engine: The machine's engine.
        container: Podman's id of the machine's container.
        id: The engine's id of the program.
        hijacked: Its input and output.
    """

    def __init__(self, engine: Engine, container: str, id: str, hijacked: Hijacked) -> None:
        self._engine = engine
        self._container = container
        self._id = id
        self._hijacked = hijacked
        self._first: deque[tuple[int, bytes]] = deque()
        self._code: int | None = None

    def read(self, timeout_s: float | None = None) -> tuple[int, bytes]:
        """Return the descriptor (1: output, 2: errors) and what came on it; ``(0, b"")`` at the end or after a time.

        Raises:
            vhal_containers.api.Unreachable: The engine broke off.
        """
        if self._first:
            return self._first.popleft()
        return self._hijacked.read(timeout_s)

    def write(self, data: bytes) -> None:
        """Send all of ``data`` to its input.

        Raises:
            BrokenPipeError: It has ended, or reads no more.
        """
        try:
            self._hijacked.write(data)
        except Failure as error:
            raise BrokenPipeError(str(error)) from error

    def close_input(self) -> None:
        """Have it see the end of its input. Idempotent."""
        self._hijacked.end_input()

    def exit_code(self, timeout_s: float | None = None) -> int | None:
        """Return what it ended with, waiting for that at most ``timeout_s``; None if it runs. By a signal: 128 more.

        One whose machine ended was killed with it. Of one whose engine was restarted meanwhile, the engine learns only
        some minutes after its end that it has ended.

        Raises:
            vhal.errors.EngineError: It ended so long ago that the engine has forgotten with what.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        pause_s = _FIRST_LOOK_S
        never = threading.Event()
        while self._code is None:
            self._code = self._look()
            left_s = _LAST_LOOK_S if deadline is None else deadline - time.monotonic()
            if self._code is not None or left_s <= 0:
                break
            never.wait(min(pause_s, left_s))
            pause_s = min(_LAST_LOOK_S, 2 * pause_s)
        return self._code

    def close(self) -> None:
        """Let go of it; one that still runs goes on. Idempotent."""
        self._hijacked.close()

    def check_started(self, command: str, cwd: str | None, machine: str) -> None:
        """Return if it was started.

        Raises:
            vhal.errors.NotFound: There is no such program or folder.
            vhal.errors.AccessDenied: It is no program, or may not be run by that user.
            vhal.errors.EngineError: The runtime couldn't start it for another reason.
        """
        state = self._engine.api.execs.inspect(self._id)
        if state.running or state.exit_code not in _NOT_STARTED:
            return
        said = self._first_words()
        found = _WORDS.match(said)
        if found is not None:
            raise _not_started(found[0].decode(errors="replace"), state.exit_code, command, cwd, machine)
        self._code = state.exit_code

    def _first_words(self) -> bytes:
        """Return what it wrote, of which nothing is lost for whoever reads."""
        said = b""
        deadline = time.monotonic() + _WORDS_S
        while len(said) < _WORDS_MOST and not _WORDS.match(said):
            descriptor, data = self._hijacked.read(max(0.0, deadline - time.monotonic()))
            if not descriptor:
                break
            self._first.append((descriptor, data))
            said += data
        return said

    def _look(self) -> int | None:
        try:
            state = self._engine.api.execs.inspect(self._id)
        except ApiError as error:
            if error.status == NOT_FOUND:
                return self._forgotten(error)
            raise
        # A code below 0 is that of one that wasn't started yet.
        return None if state.running or state.exit_code < 0 else state.exit_code

    def _forgotten(self, error: ApiError) -> int:
        # The engine forgets it with its container's end, or some minutes after its own.
        try:
            state = self._engine.api.containers.inspect(self._container).state
        except ApiError as gone:
            if gone.status == NOT_FOUND:
                return _KILLED
            raise
        if state.status not in ("running", "paused"):
            return _KILLED
        raise EngineError(
            "the engine has forgotten what the program ended with",
            hint="ask for it within some minutes of its end, and before the machine is started again",
            backend="containers",
            native=error,
        )


class Execution:
    """Starts programs in one engine's machines. Safe to use from several threads."""

    def __init__(self, engine: Engine, inventory: Inventory) -> None:
        self._engine = engine
        self._inventory = inventory

    def execute(
        self,
        id: str,
        command: Iterable[str],
        ctx: Context,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        cwd: str | None = None,
        terminal: bool = False,
    ) -> ContainerProcess:
        """Start ``command``, without a shell, and return it running.

        Raises:
            vhal.errors.NotFound: There is no such program, user, group or folder in the machine.
            vhal.errors.AccessDenied: What is named as a program is none, or that user may not run it.
        """
        words = list(command)
        found = self._inventory.find(id)
        execs = self._engine.api.execs
        made = execs.create(found.podman_id, words, env=env, user=user, cwd=cwd, terminal=terminal, stdin=True)
        try:
            hijacked = execs.start(made, terminal=terminal)
        except ApiError as error:
            if _NO_USER.search(f"{error.message} {error.cause}"):
                raise NotFound(
                    f"machine {found.info.name!r} has no user {user!r}",
                    hint="name one of its /etc/passwd, or a number; UID:GID too",
                    backend="containers",
                    machine=found.info.name,
                    native=error,
                ) from error
            raise
        running = ContainerProcess(self._engine, found.podman_id, made, hijacked)
        try:
            running.check_started(words[0], cwd, found.info.name)
            ctx.check()
        except BaseException:
            running.close()
            raise
        return running


def _not_started(words: str, code: int, command: str, cwd: str | None, machine: str) -> VhalError:
    native = EngineError(words)
    if "chdir to cwd" in words:
        return NotFound(
            f"machine {machine!r} has no folder {cwd!r}",
            hint="make it first, or choose another cwd",
            backend="containers",
            machine=machine,
            native=native,
        )
    if code == 127:
        return NotFound(
            f"machine {machine!r} has no program {command!r}",
            hint="correct its name, or write its whole path; there is no shell in between",
            backend="containers",
            machine=machine,
            native=native,
        )
    if code == 126:
        return AccessDenied(
            f"{command!r} can't be run in machine {machine!r}: it is no program, or not for that user",
            hint="make it executable (chmod +x), or choose another user",
            backend="containers",
            machine=machine,
            native=native,
        )
    return EngineError(
        f"{command!r} couldn't be started in machine {machine!r}",
        hint=words,
        backend="containers",
        machine=machine,
        native=native,
    )
