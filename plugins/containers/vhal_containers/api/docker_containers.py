"""Docker's containers, where its words aren't podman's."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from vhal_containers.api.connection import Connection
from vhal_containers.api.containers import NOT_FOUND, Containers, Filters
from vhal_containers.api.docker_creation import creation, in_nanos
from vhal_containers.api.docker_creation import resources as as_resources
from vhal_containers.api.docker_documents import (
    as_container,
    as_file_facts,
    as_listed,
    as_stats,
    is_link,
    plain_id,
)
from vhal_containers.api.docker_execs import DockerExecs
from vhal_containers.api.document import Document, document, documents, number, part, text, words
from vhal_containers.api.errors import ApiError, Unreachable
from vhal_containers.api.path import path
from vhal_containers.api.types import Container, FileFacts, Health, ListedContainer, Stats

_AT_ONCE = 8
_HEALTHY = "healthy"
_SHELL = ("/bin/sh", "-c")
_LOOK_S = 0.05
_MOST_LINKS = 40
_AMBIGUOUS = ("multiple ids", "moved permanently")


class DockerContainers(Containers):
    """What can be done with docker's containers. Safe to use from several threads."""

    def __init__(self, connection: Connection, answer_s: float, execs: DockerExecs) -> None:
        super().__init__(connection, answer_s)
        self._execs = execs

    def create(self, asked: Mapping[str, Any]) -> str:
        name = text(asked, "name") or None
        made = self._connection.post(
            path("containers", "create"), {"name": name}, document=creation(asked), timeout_s=self._answer_s
        )
        return text(document(made), "Id")

    def stop(self, id: str, timeout_s: int) -> bool:
        return self._unless_so(path("containers", id, "stop"), {"t": timeout_s}, self._answer_s + timeout_s)

    def prepare(self, id: str) -> None:
        """Do nothing: docker changes the sizes of one that doesn't run, too."""

    def delete(self, id: str, *, force: bool = False, timeout_s: int = 0, volumes: bool = False) -> None:
        if force and timeout_s:
            with contextlib.suppress(ApiError):
                self.stop(id, timeout_s)
        self._connection.delete(path("containers", id), {"force": force, "v": volumes}, timeout_s=self._answer_s)

    def inspect(self, id: str) -> Container:
        return Container.read(as_container(self._inspected(id)))

    def exists(self, id: str) -> bool:
        try:
            self._inspected(id)
        except ApiError as error:
            if error.status == NOT_FOUND:
                return False
            raise
        return True

    def list(self, *, all: bool = True, filters: Filters | None = None) -> tuple[ListedContainer, ...]:
        listed = self._connection.get(
            path("containers", "json"), {"all": all, "filters": filters}, timeout_s=self._answer_s
        )
        return tuple(ListedContainer.read(as_listed(item)) for item in documents(listed))

    def update(self, id: str, resources: Mapping[str, Any]) -> None:
        """Change its limits, whether it runs or not; :meth:`inspect` says the new ones, and they stay."""
        asked = as_resources(resources)
        if number(part(self._inspected(id), "HostConfig"), "NanoCpus"):
            asked = in_nanos(asked)
        self._connection.post(path("containers", id, "update"), document=asked, timeout_s=self._answer_s)

    def wait(self, id: str, conditions: Sequence[str] = ("stopped",), timeout_s: float | None = None) -> int:
        """Wait until it doesn't run, whatever ``conditions`` say, and return what it ended with."""
        ended = self._connection.post(path("containers", id, "wait"), timeout_s=timeout_s)
        return number(document(ended), "StatusCode")

    def stats(self, ids: Sequence[str] = ()) -> tuple[Stats, ...]:
        """Return what these containers use, or all that run. A request for each: docker has none for all."""
        wanted = tuple(ids) or tuple(container.id for container in self.list(all=False))
        with ThreadPoolExecutor(_AT_ONCE, "vhal-docker-stats") as pool:
            measured = pool.map(lambda one: self._measure(one, must=bool(ids)), wanted)
            return tuple(stats for stats in measured if stats is not None)

    def check_health(self, id: str, *, timeout_s: float | None = None) -> Health:
        """Run its health check and return the outcome. Docker has no call for that; so it is run as a program."""
        whole = as_container(self._inspected(id))
        check = words(part(part(whole, "Config"), "Healthcheck"), "Test")
        known = Health.read(part(part(whole, "State"), "Health"))
        if not check:
            raise ApiError(409, "it has no health check", "", "GET", path("containers", id, "healthcheck"))
        if known.status == _HEALTHY:
            return known
        command = (*_SHELL, *check[1:]) if check[0] == "CMD-SHELL" else check[1:]
        program = self._execs.create(id, command)
        self._execs.start_alone(program)
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        never = threading.Event()
        while (state := self._execs.inspect(program)).running or state.exit_code < 0:
            if deadline is not None and time.monotonic() > deadline:
                raise Unreachable("the health check takes longer than it may", sent=True)
            never.wait(_LOOK_S)
        return known if state.exit_code else Health(_HEALTHY, 0, "")

    def commit(self, id: str, repository: str, tag: str, *, pause: bool = True, changes: Sequence[str] = ()) -> str:
        return plain_id(super().commit(id, repository, tag, pause=pause, changes=changes))

    def file_facts(self, id: str, where: str) -> FileFacts:
        for _ in range(_MOST_LINKS):
            with self._connection.stream(
                "HEAD", path("containers", id, "archive"), {"path": where}, timeout_s=self._answer_s
            ) as answer:
                written = answer.headers.get("x-docker-container-path-stat", "")
            facts: Any = {}
            with contextlib.suppress(ValueError):
                facts = json.loads(base64.b64decode(written))
            if not is_link(document(facts)):
                return FileFacts.read(as_file_facts(document(facts)))
            where = text(document(facts), "linkTarget")
        raise ApiError(404, "too many links lead on", "", "HEAD", path("containers", id, "archive"))

    def _inspected(self, id: str) -> Document:
        where = path("containers", id, "json")
        try:
            return document(self._connection.get(where, timeout_s=self._answer_s))
        except ApiError as error:
            # A beginning of several ids is nobody's; nor is a name that docker takes for a path.
            if error.status // 100 == 3 or any(words in error.message.lower() for words in _AMBIGUOUS):
                raise ApiError(NOT_FOUND, f"No such container: {id}", "", "GET", where) from error
            raise

    def _measure(self, id: str, *, must: bool) -> Stats | None:
        parameters = {"stream": False, "one-shot": True}
        try:
            got = self._connection.get(path("containers", id, "stats"), parameters, timeout_s=self._answer_s)
        except ApiError as error:
            if error.status == NOT_FOUND and not must:
                return None  # it went meanwhile
            raise
        return Stats.read(as_stats(document(got)))
