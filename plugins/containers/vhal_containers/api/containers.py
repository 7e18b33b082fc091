"""The engine's containers. A container is named by its id or its name; each call says what it raises beside the usual.

The usual: :class:`~vhal_containers.api.errors.ApiError` with 404 where there is no such container, and with 409 or 500
where its state doesn't allow the call (``cause`` is then ``"container state improper"``);
:class:`~vhal_containers.api.errors.Unreachable` where the engine doesn't answer.
"""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from vhal_containers.api.answer import Answer
from vhal_containers.api.connection import Connection
from vhal_containers.api.document import document, documents, part, text
from vhal_containers.api.errors import ApiError, Unreachable
from vhal_containers.api.feed import Feed
from vhal_containers.api.framing import BrokenFrame, Chunk, Demultiplexer
from vhal_containers.api.hijack import Hijacked
from vhal_containers.api.path import Parameters, path
from vhal_containers.api.types import Container, FileFacts, Health, ListedContainer, Processes, Stats

NOT_FOUND = 404
NOT_MODIFIED = 304
Filters = Mapping[str, Sequence[str]]


class Containers:
    """What can be done with containers. Safe to use from several threads."""

    def __init__(self, connection: Connection, answer_s: float) -> None:
        self._connection = connection
        self._answer_s = answer_s

    def create(self, asked: Mapping[str, Any]) -> str:
        """Make a container from the engine's own document (SpecGenerator), and return its id.

        Raises:
            ApiError: The name is taken (500, ``"that name is already in use"``), the image is missing (500,
                ``"image not known"``), or the document is wrong.
        """
        made = self._connection.post(path("containers", "create"), document=asked, timeout_s=self._answer_s)
        return text(document(made), "Id")

    def start(self, id: str) -> bool:
        """Start it; return False if it runs already."""
        return self._unless_so(path("containers", id, "start"), {})

    def prepare(self, id: str) -> None:
        """Make it ready to start, which runs nothing of it yet.

        Raises:
            ApiError: It runs, or is ready already.
        """
        self._connection.post(path("containers", id, "init"), timeout_s=self._answer_s)

    def stop(self, id: str, timeout_s: int) -> bool:
        """Ask it to end, and end it after ``timeout_s``; return False if it doesn't run."""
        return self._unless_so(path("containers", id, "stop"), {"timeout": timeout_s}, self._answer_s + timeout_s)

    def restart(self, id: str, timeout_s: int) -> None:
        """Stop it as :meth:`stop` does, if it runs, and start it."""
        self._connection.post(
            path("containers", id, "restart"),
            {"t": timeout_s, "timeout": timeout_s},
            timeout_s=self._answer_s + timeout_s,
        )

    def kill(self, id: str, signal: str = "SIGKILL") -> None:
        """Send its first process a signal."""
        self._connection.post(path("containers", id, "kill"), {"signal": signal}, timeout_s=self._answer_s)

    def pause(self, id: str) -> None:
        """Have its processes stand still."""
        self._connection.post(path("containers", id, "pause"), timeout_s=self._answer_s)

    def unpause(self, id: str) -> None:
        """Have its processes go on."""
        self._connection.post(path("containers", id, "unpause"), timeout_s=self._answer_s)

    def delete(self, id: str, *, force: bool = False, timeout_s: int = 0, volumes: bool = False) -> None:
        """Delete it.

        Args:
            id: Which.
            force: End it first, if it runs.
            timeout_s: For how long to wait between asking it to end and ending it.
            volumes: Delete its anonymous volumes too.

        Raises:
            ApiError: There is none, or it runs and ``force`` isn't given.
        """
        where = path("containers", id)
        # Without force a timeout is refused.
        parameters = {"force": force, "v": volumes, "timeout": timeout_s if force else None}
        answer = self._connection.delete(where, parameters, timeout_s=self._answer_s + timeout_s)
        for report in documents(answer):
            if report.get("Err"):
                raise ApiError(200, str(report["Err"]), "", "DELETE", where)

    def inspect(self, id: str) -> Container:
        """Return all that is used of it."""
        return Container.read(document(self._connection.get(path("containers", id, "json"), timeout_s=self._answer_s)))

    def exists(self, id: str) -> bool:
        """Return whether there is one."""
        return found(self._connection, path("containers", id, "exists"), self._answer_s)

    def list(self, *, all: bool = True, filters: Filters | None = None) -> tuple[ListedContainer, ...]:
        """Return the containers, or only those that run.

        Args:
            all: Those that don't run too.
            filters: Key → values, such as ``{"label": ["a=b"], "name": ["^x$"]}``. All keys must fit.

        Raises:
            ApiError: There is no such filter.
        """
        listed = self._connection.get(
            path("containers", "json"), {"all": all, "filters": filters}, timeout_s=self._answer_s
        )
        return tuple(ListedContainer.read(item) for item in documents(listed))

    def update(self, id: str, resources: Mapping[str, Any]) -> None:
        """Change its limits while it runs: OCI's LinuxResources, such as ``{"memory": {"limit": 67108864}}``.

        Engines before 5 change the control group only: :meth:`inspect` goes on saying the old values.
        """
        with self._connection.stream(
            "POST", path("containers", id, "update"), document=resources, timeout_s=self._answer_s
        ) as answer:
            answer.discard()  # the id, and not as JSON

    def rename(self, id: str, name: str) -> None:
        """Give it another name."""
        self._connection.post(path("containers", id, "rename"), {"name": name}, timeout_s=self._answer_s)

    def wait(self, id: str, conditions: Sequence[str] = ("stopped",), timeout_s: float | None = None) -> int:
        """Wait until it is in one of these states, and return what it ended with (-1 if it hasn't).

        Raises:
            Unreachable: ``timeout_s`` passed.
        """
        parameters = {"condition": conditions, "interval": "50ms"}
        code = self._connection.post(path("containers", id, "wait"), parameters, timeout_s=timeout_s)
        return code if isinstance(code, int) else -1

    def logs(
        self,
        id: str,
        *,
        follow: bool = False,
        since: int | None = None,
        tail: int | None = None,
        timestamps: bool = False,
    ) -> Feed[Chunk]:
        """Return what it has said, stream by stream, and with ``follow`` what it says from now on.

        Args:
            id: Which.
            follow: Don't end before it ends.
            since: From this moment on, in seconds of Unix time.
            tail: Only the last lines, this many.
            timestamps: Begin each line with its time.
        """
        parameters = {
            "stdout": True,
            "stderr": True,
            "follow": follow,
            "since": since,
            "tail": tail,
            "timestamps": timestamps,
        }
        timeout_s = None if follow else self._answer_s
        return Feed(
            self._connection.stream("GET", path("containers", id, "logs"), parameters, timeout_s=timeout_s), _chunks
        )

    def attach(self, id: str, *, terminal: bool, stdin: bool = True, logs: bool = False) -> Hijacked:
        """Attach to its first process: what it says from now on (with ``logs`` also what it said), and its input.

        One that doesn't run is made ready to (``initialized``): attached before its start, nothing is missed.

        Args:
            id: Which.
            terminal: Whether it was made with one.
            stdin: Attach its input too. Closing it ends the input only if the container was made so.
            logs: Begin with what was said before.
        """
        parameters = {"stream": True, "stdout": True, "stderr": True, "stdin": stdin, "logs": logs}
        return self._connection.hijack(
            path("containers", id, "attach"), parameters, multiplexed=not terminal, timeout_s=self._answer_s
        )

    def resize(self, id: str, rows: int, columns: int) -> None:
        """Tell its terminal its size."""
        self._connection.post(path("containers", id, "resize"), {"h": rows, "w": columns}, timeout_s=self._answer_s)

    def top(self, id: str) -> Processes:
        """Return its processes."""
        got = self._connection.get(path("containers", id, "top"), {"stream": False}, timeout_s=self._answer_s)
        return Processes.read(document(got))

    def stats(self, ids: Sequence[str] = ()) -> tuple[Stats, ...]:
        """Return what these containers use, or all of them. One that doesn't run uses nothing.

        Raises:
            ApiError: One isn't there. The engine doesn't say which, and says 200.
        """
        where = path("containers", "stats")
        got = document(self._connection.get(where, {"stream": False, "containers": ids}, timeout_s=self._answer_s))
        if got.get("Error") is not None:
            raise ApiError(200, "the engine can't measure all of these containers", text(got, "Error"), "GET", where)
        return tuple(Stats.read(item) for item in documents(got.get("Stats")))

    def stats_of(self, id: str) -> Stats:
        """Return what one container uses; nothing, if it doesn't run."""
        try:
            measured = self.stats((id,))
        except ApiError:
            self.inspect(id)  # says what is wrong with it, if it is the container
            raise
        if not measured:
            raise ApiError(200, "the engine didn't measure it", "", "GET", path("containers", id, "stats"))
        return measured[0]

    def check_health(self, id: str, *, timeout_s: float | None = None) -> Health:
        """Run its health check and return the outcome.

        Raises:
            ApiError: It has none, or doesn't run (409).
            Unreachable: ``timeout_s`` passed.
        """
        got = self._connection.get(path("containers", id, "healthcheck"), timeout_s=timeout_s)
        return Health.read(document(got))

    def commit(self, id: str, repository: str, tag: str, *, pause: bool = True, changes: Sequence[str] = ()) -> str:
        """Make an image of its files, and return the image's id. It stands still meanwhile, if ``pause``."""
        parameters: Parameters = {
            "container": id,
            "repo": repository,
            "tag": tag,
            "pause": pause,
            "changes": changes,
        }
        return text(document(self._connection.post(path("commit"), parameters)), "Id")

    def read_archive(self, id: str, where: str) -> Feed[bytes]:
        """Return a tar archive of the file or folder at ``where``.

        Raises:
            ApiError: There is no such path (404).
        """
        return Feed(
            self._connection.stream("GET", path("containers", id, "archive"), {"path": where}), Answer.iter_bytes
        )

    def write_archive(self, id: str, where: str, archive: Iterable[bytes]) -> None:
        """Unpack a tar archive into the folder at ``where``. What was unpacked before an error stays.

        A folder that isn't there is made.

        Raises:
            ApiError: It is no archive.
        """
        self._connection.put(path("containers", id, "archive"), {"path": where}, body=archive)

    def file_facts(self, id: str, where: str) -> FileFacts:
        """Return what is at ``where``.

        Raises:
            ApiError: There is no such path (404).
        """
        with self._connection.stream(
            "HEAD", path("containers", id, "archive"), {"path": where}, timeout_s=self._answer_s
        ) as answer:
            written = answer.headers.get("x-docker-container-path-stat", "")
        facts: Any = {}
        with contextlib.suppress(ValueError):
            facts = json.loads(base64.b64decode(written))
        return FileFacts.read(document(facts))

    def _unless_so(self, where: str, parameters: Mapping[str, int], timeout_s: float | None = None) -> bool:
        try:
            self._connection.post(where, parameters, timeout_s=timeout_s or self._answer_s)
        except ApiError as error:
            if error.status == NOT_MODIFIED:
                return False
            raise
        return True


def found(connection: Connection, where: str, answer_s: float) -> bool:
    """Return whether the engine says that there is something at a path, by its status alone."""
    try:
        connection.get(where, timeout_s=answer_s)
    except ApiError as error:
        if error.status == NOT_FOUND:
            return False
        raise
    return True


def engine_error(reported: Mapping[str, Any]) -> str:
    """Return the error in a document that was answered with 200, or ``""``."""
    return text(reported, "error") or text(part(reported, "errorDetail"), "message")


def _chunks(answer: Answer) -> Iterator[Chunk]:
    frames = Demultiplexer()
    try:
        for piece in answer.iter_bytes():
            yield from frames.feed(piece)
        if not answer.ended:
            frames.end()
    except BrokenFrame as error:
        raise Unreachable(f"the engine's log makes no sense: {error}", sent=True) from error
