"""Docker's images, where its words aren't podman's."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from vhal_containers.api.answer import Answer
from vhal_containers.api.containers import Filters, engine_error, found
from vhal_containers.api.docker_documents import as_image, plain_id
from vhal_containers.api.document import document, documents, text
from vhal_containers.api.errors import ApiError
from vhal_containers.api.feed import Feed
from vhal_containers.api.images import Images
from vhal_containers.api.path import Parameters, path
from vhal_containers.api.types import Image

_LOADED = re.compile(r"Loaded image(?: ID)?: (\S+)")
_NO_IMAGE = "the archive does not match any of the supported image formats (docker-archive)"
_NO_ARCHIVE = re.compile(r"docker-import-|archive/tar|unexpected EOF|repositories|manifest\.json")


class DockerImages(Images):
    """What can be done with docker's images. Safe to use from several threads."""

    def exists(self, name: str) -> bool:
        return found(self._connection, path("images", name, "json"), self._answer_s)

    def inspect(self, name: str) -> Image:
        got = self._connection.get(path("images", name, "json"), timeout_s=self._answer_s)
        return Image.read(as_image(document(got)))

    def pull(
        self,
        reference: str,
        *,
        progress: Callable[[str], None] | None = None,
        policy: str = "always",
        tls_verify: bool = True,
        timeout_s: float | None = None,
    ) -> str:
        """Fetch an image as :class:`Images` does. Which registries needn't prove who they are, the daemon decides."""
        if policy in ("missing", "never") and self.exists(reference):
            return self.inspect(reference).id
        last = reference.rpartition("/")[2]
        # Without a tag docker would fetch them all.
        whole = reference if ":" in last or "@" in last else f"{reference}:latest"
        where = path("images", "create")
        self._told(where, {"fromImage": whole}, None, progress, timeout_s)
        return self.inspect(whole).id

    def load(self, archive: Iterable[bytes]) -> tuple[str, ...]:
        where = path("images", "load")
        names = []
        try:
            for line in self._told(where, {"quiet": True}, archive):
                names += _LOADED.findall(line)
        except ApiError as error:
            # What it is, docker says in words about files that it misses.
            if _NO_ARCHIVE.search(error.message) and "no space left" not in error.message:
                raise ApiError(error.status, f"{_NO_IMAGE}: {error.message}", "", "POST", where) from error
            raise
        if not names:
            raise ApiError(200, _NO_IMAGE, "", "POST", where)
        return tuple(plain_id(name) for name in names)

    def import_(self, archive: Iterable[bytes], reference: str, *, changes: Sequence[str] = ()) -> str:
        parameters: Parameters = {"fromSrc": "-", "repo": reference, "changes": changes}
        lines = self._told(path("images", "create"), parameters, archive)
        return plain_id(next((line for line in lines if line.startswith("sha256:")), ""))

    def save(self, name: str, *, format: str = "docker-archive") -> Feed[bytes]:
        """Return an archive of an image, always docker's own kind."""
        return Feed(self._connection.stream("GET", path("images", name, "get")), Answer.iter_bytes)

    def _told(
        self,
        where: str,
        parameters: Parameters,
        body: Iterable[bytes] | None,
        progress: Callable[[str], None] | None = None,
        timeout_s: float | None = None,
    ) -> Sequence[str]:
        """Return what docker says while it is at it, line by line. Raises :class:`ApiError` for what went wrong."""
        said = []
        with self._connection.stream("POST", where, parameters, body=body, timeout_s=timeout_s) as answer:
            for line in map(document, answer.iter_documents()):
                if error := engine_error(line):
                    raise ApiError(answer.status, error, "", "POST", where)
                words = (text(line, "stream") or text(line, "status")).strip()
                if words:
                    said.append(words)
                    if progress is not None:
                        progress(" ".join(part for part in (words, text(line, "id")) if part))
        return said

    def list(self, *, filters: Filters | None = None) -> tuple[Image, ...]:
        listed = self._connection.get(path("images", "json"), {"filters": filters}, timeout_s=self._answer_s)
        return tuple(Image.read(as_image(item)) for item in documents(listed))
