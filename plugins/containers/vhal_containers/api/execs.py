"""Programs started beside a container's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vhal_containers.api.connection import Connection
from vhal_containers.api.document import document, text
from vhal_containers.api.hijack import Hijacked
from vhal_containers.api.path import path
from vhal_containers.api.types import ExecState


class Execs:
    """What can be done with such programs. Safe to use from several threads."""

    def __init__(self, connection: Connection, answer_s: float) -> None:
        self._connection = connection
        self._answer_s = answer_s

    def create(
        self,
        container: str,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        cwd: str | None = None,
        terminal: bool = False,
        stdin: bool = False,
        privileged: bool = False,
    ) -> str:
        """Say what to run in a container, without running it yet, and return the id under which it can be.

        Raises:
            ApiError: There is no such container (404), or it doesn't run (``"container state improper"``).
        """
        asked = {
            "Cmd": list(command),
            "Env": [f"{name}={value}" for name, value in (env or {}).items()],
            "User": user or "",
            "WorkingDir": cwd or "",
            "Tty": terminal,
            "AttachStdin": stdin,
            "AttachStdout": True,
            "AttachStderr": True,
            "Privileged": privileged,
        }
        made = self._connection.post(path("containers", container, "exec"), document=asked, timeout_s=self._answer_s)
        return text(document(made), "Id")

    def start(self, id: str, *, terminal: bool = False) -> Hijacked:
        """Run it, and return its input and output. It ends the output when it ends; :meth:`inspect` has its exit code.

        Args:
            id: What :meth:`create` returned.
            terminal: Whether it was made with one.

        Raises:
            ApiError: There is no such id (404), it was run before, or the container has no such user (500,
                ``"no matching entries in passwd file"``). A program or folder that isn't there is no error here: the
                runtime's words come as errors of the program, and its exit code is 126 or 127.
        """
        asked = {"Detach": False, "Tty": terminal}
        return self._connection.hijack(
            path("exec", id, "start"), document=asked, multiplexed=not terminal, timeout_s=self._answer_s
        )

    def inspect(self, id: str) -> ExecState:
        """Return how it is.

        Raises:
            ApiError: There is no such id: the engine forgets it some minutes after its end, or with its container.
        """
        return ExecState.read(document(self._connection.get(path("exec", id, "json"), timeout_s=self._answer_s)))

    def resize(self, id: str, rows: int, columns: int) -> None:
        """Tell its terminal its size."""
        self._connection.post(path("exec", id, "resize"), {"h": rows, "w": columns}, timeout_s=self._answer_s)
