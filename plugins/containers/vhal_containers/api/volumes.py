"""The engine's volumes: folders that outlive containers."""

from __future__ import annotations

from collections.abc import Mapping

from vhal_containers.api.connection import Connection
from vhal_containers.api.containers import Filters, found
from vhal_containers.api.document import document, documents
from vhal_containers.api.path import path
from vhal_containers.api.types import Volume


class Volumes:
    """What can be done with volumes. Safe to use from several threads."""

    def __init__(self, connection: Connection, answer_s: float) -> None:
        self._connection = connection
        self._answer_s = answer_s

    def create(
        self,
        name: str,
        *,
        labels: Mapping[str, str] | None = None,
        options: Mapping[str, str] | None = None,
        driver: str = "local",
    ) -> Volume:
        """Make a volume.

        Raises:
            ApiError: The name is taken (500, ``"volume already exists"``), or is no name.
        """
        # Version 4 reads Label, 5 Labels too.
        asked = {
            "Name": name,
            "Driver": driver,
            "Label": dict(labels or {}),
            "Labels": dict(labels or {}),
            "Options": dict(options or {}),
        }
        made = self._connection.post(path("volumes", "create"), document=asked, timeout_s=self._answer_s)
        return Volume.read(document(made))

    def inspect(self, name: str) -> Volume:
        """Return all that is used of it.

        Raises:
            ApiError: There is none (404).
        """
        return Volume.read(document(self._connection.get(path("volumes", name, "json"), timeout_s=self._answer_s)))

    def exists(self, name: str) -> bool:
        """Return whether there is one."""
        return found(self._connection, path("volumes", name, "exists"), self._answer_s)

    def list(self, *, filters: Filters | None = None) -> tuple[Volume, ...]:
        """Return the volumes."""
        listed = self._connection.get(path("volumes", "json"), {"filters": filters}, timeout_s=self._answer_s)
        return tuple(Volume.read(item) for item in documents(listed))

    def remove(self, name: str, *, force: bool = False) -> None:
        """Delete it with all that is in it.

        Args:
            name: Which.
            force: Delete the containers that use it first.

        Raises:
            ApiError: There is none (404), or a container uses it (409).
        """
        self._connection.delete(path("volumes", name), {"force": force}, timeout_s=self._answer_s)
