"""Docker's volumes and networks, where its words aren't podman's."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from vhal_containers.api.containers import Filters, found
from vhal_containers.api.docker_creation import network
from vhal_containers.api.docker_documents import as_network
from vhal_containers.api.document import Document, document, documents, text, texts
from vhal_containers.api.errors import ApiError
from vhal_containers.api.networks import Networks
from vhal_containers.api.path import path
from vhal_containers.api.types import Network, Volume
from vhal_containers.api.volumes import Volumes

TOKEN = "io.vhal.token"  # noqa: S105 - the name of a label
"""Label by which whoever makes a volume knows that it is theirs."""
_CONFLICT = 409


class DockerVolumes(Volumes):
    """What can be done with docker's volumes. Safe to use from several threads."""

    def create(
        self,
        name: str,
        *,
        labels: Mapping[str, str] | None = None,
        options: Mapping[str, str] | None = None,
        driver: str = "local",
    ) -> Volume:
        # Docker says yes too where there is one of that name, and returns that; only a label tells which one it is.
        token = secrets.token_hex(8)
        asked = {
            "Name": name,
            "Driver": driver,
            "Labels": {**(labels or {}), TOKEN: token},
            "DriverOpts": dict(options or {}),
        }
        where = path("volumes", "create")
        self._connection.post(where, document=asked, timeout_s=self._answer_s)
        made = document(self._connection.get(path("volumes", name), timeout_s=self._answer_s))
        if texts(made, "Labels").get(TOKEN) != token:
            raise ApiError(_CONFLICT, f"volume with name {name} already exists", "volume already exists", "POST", where)
        return _read(made)

    def inspect(self, name: str) -> Volume:
        return _read(document(self._connection.get(path("volumes", name), timeout_s=self._answer_s)))

    def exists(self, name: str) -> bool:
        return found(self._connection, path("volumes", name), self._answer_s)

    def list(self, *, filters: Filters | None = None) -> tuple[Volume, ...]:
        listed = document(self._connection.get(path("volumes"), {"filters": filters}, timeout_s=self._answer_s))
        return tuple(_read(item) for item in documents(listed.get("Volumes")))


class DockerNetworks(Networks):
    """What can be done with docker's networks. Safe to use from several threads."""

    def create(self, asked: Mapping[str, Any]) -> Network:
        made = self._connection.post(path("networks", "create"), document=network(asked), timeout_s=self._answer_s)
        return self.inspect(text(document(made), "Id"))

    def inspect(self, name: str) -> Network:
        got = self._connection.get(path("networks", name), timeout_s=self._answer_s)
        return Network.read(as_network(document(got)))

    def exists(self, name: str) -> bool:
        return found(self._connection, path("networks", name), self._answer_s)

    def list(self, *, filters: Filters | None = None) -> tuple[Network, ...]:
        listed = self._connection.get(path("networks"), {"filters": filters}, timeout_s=self._answer_s)
        return tuple(Network.read(as_network(item)) for item in documents(listed))

    def remove(self, name: str, *, force: bool = False) -> None:
        """Delete it. Containers in it are never deleted with it."""
        self._connection.delete(path("networks", name), timeout_s=self._answer_s)


def _read(whole: Document) -> Volume:
    labels = {key: value for key, value in texts(whole, "Labels").items() if key != TOKEN}
    return Volume.read({**whole, "Labels": labels})
