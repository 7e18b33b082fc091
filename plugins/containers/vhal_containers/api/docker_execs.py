"""Programs started beside a docker container's own, where its words aren't podman's."""

from __future__ import annotations

import threading
import time

from vhal_containers.api.docker_documents import as_exec
from vhal_containers.api.document import document
from vhal_containers.api.errors import ApiError, Unreachable
from vhal_containers.api.execs import Execs
from vhal_containers.api.hijack import Hijacked
from vhal_containers.api.path import path
from vhal_containers.api.types import ExecState

_WORDS_MOST = 16 << 10
_WORDS_S = 5.0
_FIRST_LOOK_S = 0.005
_LAST_LOOK_S = 0.1


class DockerExecs(Execs):
    """What can be done with such programs. Safe to use from several threads."""

    def start(self, id: str, *, terminal: bool = False) -> Hijacked:
        """Run it, and return its input and output. Returns when it has begun, or ended.

        Raises:
            ApiError: There is no such id (404), it was run before, or it couldn't be started: ``message`` is then what
                the runtime says. Docker itself says yes before it knows, and writes these words to the output.
        """
        hijacked = super().start(id, terminal=terminal)
        try:
            self._check_begun(id, hijacked)
        except BaseException:
            hijacked.close()
            raise
        return hijacked

    def start_alone(self, id: str) -> None:
        """Run it without its input and output. Returns at once."""
        where = path("exec", id, "start")
        self._connection.post(where, document={"Detach": True, "Tty": False}, timeout_s=self._answer_s)

    def inspect(self, id: str) -> ExecState:
        got = self._connection.get(path("exec", id, "json"), timeout_s=self._answer_s)
        return ExecState.read(as_exec(document(got)))

    def _check_begun(self, id: str, hijacked: Hijacked) -> None:
        if not self._begun(id):
            said = _first_words(hijacked) or "the runtime couldn't start it"
            raise ApiError(500, said, "", "POST", path("exec", id, "start"))

    def _begun(self, id: str) -> bool:
        deadline = time.monotonic() + self._answer_s
        never = threading.Event()
        pause_s = _FIRST_LOOK_S
        while True:
            state = self.inspect(id)
            # Without a number it never was a process, whatever its exit code is.
            if state.pid or state.exit_code >= 0:
                return bool(state.pid)
            if time.monotonic() > deadline:
                raise Unreachable("the engine doesn't start the program", sent=True)
            never.wait(pause_s)
            pause_s = min(_LAST_LOOK_S, 2 * pause_s)


def _first_words(hijacked: Hijacked) -> str:
    said = b""
    deadline = time.monotonic() + _WORDS_S
    while len(said) < _WORDS_MOST:
        stream, data = hijacked.read(max(0.0, deadline - time.monotonic()))
        if not stream:
            break
        said += data
    return said.decode(errors="replace").strip()
