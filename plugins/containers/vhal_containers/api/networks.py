"""The engine's networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vhal_containers.api.connection import Connection
from vhal_containers.api.containers import Filters, found
from vhal_containers.api.document import document, documents
from vhal_containers.api.errors import ApiError
from vhal_containers.api.path import path
from vhal_containers.api.types import Network


class Networks:
    """What can be done with networks. Safe to use from several threads."""

    def __init__(self, connection: Connection, answer_s: float) -> None:
        self._connection = connection
        self._answer_s = answer_s

    def create(self, asked: Mapping[str, Any]) -> Network:
        """Make a network from the engine's own document: name, driver, network_interface, subnets, labels, ….

        Raises:
            ApiError: The name is taken (409, ``"network already exists"``), or the document is wrong.
        """
        made = self._connection.post(path("networks", "create"), document=asked, timeout_s=self._answer_s)
        return Network.read(document(made))

    def inspect(self, name: str) -> Network:
        """Return all that is used of it.

        Raises:
            ApiError: There is none (404).
        """
        return Network.read(document(self._connection.get(path("networks", name, "json"), timeout_s=self._answer_s)))

    def exists(self, name: str) -> bool:
        """Return whether there is one."""
        return found(self._connection, path("networks", name, "exists"), self._answer_s)

    def list(self, *, filters: Filters | None = None) -> tuple[Network, ...]:
        """Return the networks."""
        listed = self._connection.get(path("networks", "json"), {"filters": filters}, timeout_s=self._answer_s)
        return tuple(Network.read(item) for item in documents(listed))

    def remove(self, name: str, *, force: bool = False) -> None:
        """Delete it.

        Args:
            name: Which.
            force: Delete the containers in it first.

        Raises:
            ApiError: There is none (404), or containers are in it.
        """
        where = path("networks", name)
        for report in documents(self._connection.delete(where, {"force": force}, timeout_s=self._answer_s)):
            if report.get("Err"):
                raise ApiError(200, str(report["Err"]), "", "DELETE", where)
