"""All that is asked of a docker engine, presented as what is asked of podman's: same methods, same types.

Most of podman's API is docker's with another beginning of its paths. Where a call is the same, it is podman's here
too; where it is spelled otherwise, the ``docker_*`` modules say it docker's way. What docker doesn't have at all
(checkpoints, for one) is still podman's call, which docker answers with 404: whoever uses it asks ``kind`` first.
"""

from __future__ import annotations

from vhal_containers.api.connection import Connection
from vhal_containers.api.containers import Filters
from vhal_containers.api.docker_containers import DockerContainers
from vhal_containers.api.docker_documents import as_event, as_info, as_version
from vhal_containers.api.docker_execs import DockerExecs
from vhal_containers.api.docker_images import DockerImages
from vhal_containers.api.docker_places import DockerNetworks, DockerVolumes
from vhal_containers.api.document import Document, document, documents, text
from vhal_containers.api.feed import Feed
from vhal_containers.api.libpod import ANSWER_S, Libpod
from vhal_containers.api.path import path
from vhal_containers.api.types import EngineEvent, EngineInfo, EngineVersion

SPOKEN = (1, 41)
"""The version of the API that is spoken. Engines that have dropped it are spoken to in the oldest one they have."""


class Docker(Libpod):
    """A docker engine. Made by :meth:`behind`."""

    kind = "docker"

    def __init__(self, connection: Connection, *, answer_s: float = ANSWER_S) -> None:
        super().__init__(connection, answer_s=answer_s)
        self.execs = DockerExecs(connection, answer_s)
        self.containers = DockerContainers(connection, answer_s, self.execs)
        self.images = DockerImages(connection, answer_s)
        self.volumes = DockerVolumes(connection, answer_s)
        self.networks = DockerNetworks(connection, answer_s)

    @classmethod
    def behind(cls, connection: Connection, *, timeout_s: float) -> Docker | None:
        """Return the docker engine behind a connection, or None if it is another one.

        The connection speaks docker's API from then on, also to one whose API is older than :data:`SPOKEN`.

        Raises:
            ApiError: There is nothing that tells its version.
        """
        before, connection.root = connection.root, ""
        whole: Document = {}
        try:
            whole = document(connection.get(path("version"), timeout_s=timeout_s))
        finally:
            connection.root = before
        # podman speaks docker's API too, and says who it is.
        names = [text(item, "Name").lower() for item in documents(whole.get("Components"))]
        if not (text(whole, "ApiVersion") and text(whole, "Version")) or any("podman" in name for name in names):
            return None
        newest, oldest = api_version(text(whole, "ApiVersion")), api_version(text(whole, "MinAPIVersion"))
        spoken = min(newest, max(SPOKEN, oldest))
        connection.root = f"/v{spoken[0]}.{spoken[1]}"
        return cls(connection)

    def version(self, *, timeout_s: float | None = None) -> EngineVersion:
        said = self.connection.get(path("version"), timeout_s=timeout_s or self._answer_s)
        return EngineVersion.read(as_version(document(said)))

    def info(self) -> EngineInfo:
        return EngineInfo.read(as_info(document(self.connection.get(path("info"), timeout_s=self._answer_s))))

    def events(self, *, filters: Filters | None = None, since: int | None = None) -> Feed[EngineEvent]:
        return Feed(
            self.connection.stream("GET", path("events"), {"filters": filters, "since": since}),
            lambda answer: (EngineEvent.read(as_event(document(event))) for event in answer.iter_documents()),
        )


def api_version(said: str) -> tuple[int, int]:
    """Return a version of the API as numbers; zeros where it is none."""
    major, _, minor = said.partition(".")
    return (int(major), int(minor)) if major.isdecimal() and minor.isdecimal() else (0, 0)
