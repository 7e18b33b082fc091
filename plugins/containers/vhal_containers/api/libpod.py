"""All that is asked of a podman engine, call by call. Each method is one request of its REST API, version 4."""

from __future__ import annotations

from vhal_containers.api.checkpoints import Checkpoints
from vhal_containers.api.connection import Connection
from vhal_containers.api.containers import Containers, Filters
from vhal_containers.api.document import document
from vhal_containers.api.execs import Execs
from vhal_containers.api.feed import Feed
from vhal_containers.api.images import Images
from vhal_containers.api.networks import Networks
from vhal_containers.api.path import path
from vhal_containers.api.types import EngineEvent, EngineInfo, EngineVersion
from vhal_containers.api.volumes import Volumes

ANSWER_S = 60.0
"""What the engine needs no work for is answered by then. A container that is being checkpointed answers nothing."""


class Libpod:
    """A podman engine. Safe to use from several threads; it holds no state beside the connection.

    Args:
        connection: What carries the requests. It isn't closed here.
        answer_s: For how long the engine may say nothing, in calls that take no time by themselves.

    Attributes:
        connection: The same.
        containers: Its containers.
        execs: Programs started in them.
        checkpoints: Containers frozen and brought back.
        images: Its images.
        volumes: Its volumes.
        networks: Its networks.
        kind: Which engine it is: ``"podman"``, or ``"docker"`` for :class:`~vhal_containers.api.docker.Docker`.
    """

    kind = "podman"

    def __init__(self, connection: Connection, *, answer_s: float = ANSWER_S) -> None:
        self.connection = connection
        self._answer_s = answer_s
        self.containers = Containers(connection, answer_s)
        self.execs = Execs(connection, answer_s)
        self.checkpoints = Checkpoints(connection)
        self.images = Images(connection, answer_s)
        self.volumes = Volumes(connection, answer_s)
        self.networks = Networks(connection, answer_s)

    def ping(self, *, timeout_s: float) -> None:
        """Return if the engine answers within ``timeout_s``."""
        self.connection.call_quietly("GET", path("_ping"), {}, timeout_s)

    def version(self, *, timeout_s: float | None = None) -> EngineVersion:
        """Return which engine it is; blank if it is no podman.

        Every answer of podman's says so in its headers. Asked for its version it also asks its parts, and the package
        manager about them, which takes the best part of a second: that is in :meth:`info`.

        Args:
            timeout_s: For how long it may say nothing; as long as in every call if None.
        """
        with self.connection.stream("GET", path("_ping"), timeout_s=timeout_s or self._answer_s) as answer:
            answer.discard()
            version = answer.headers.get("libpod-api-version", "")  # since 4.0 that is podman's own
        return EngineVersion(version, version)

    def info(self) -> EngineInfo:
        """Return what it says of itself, of its parts and of its host. This may take a second."""
        return EngineInfo.read(document(self.connection.get(path("info"), timeout_s=self._answer_s)))

    def events(self, *, filters: Filters | None = None, since: int | None = None) -> Feed[EngineEvent]:
        """Return what happens from now on, until it is closed.

        Args:
            filters: Key → values, such as ``{"type": ["container"], "container": ["x"]}``.
            since: Begin with what happened from this moment on, in seconds of Unix time.
        """
        return Feed(
            self.connection.stream("GET", path("events"), {"stream": True, "filters": filters, "since": since}),
            lambda answer: (EngineEvent.read(document(event)) for event in answer.iter_documents()),
        )
