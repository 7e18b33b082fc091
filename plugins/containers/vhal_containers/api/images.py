"""The engine's images. An image is named by a name with a tag or digest, or by its id."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from vhal_containers.api.answer import Answer
from vhal_containers.api.connection import Connection
from vhal_containers.api.containers import Filters, engine_error, found
from vhal_containers.api.document import document, documents, text, words
from vhal_containers.api.errors import ApiError
from vhal_containers.api.feed import Feed
from vhal_containers.api.path import Parameters, path
from vhal_containers.api.types import Image


class Images:
    """What can be done with images. Safe to use from several threads."""

    def __init__(self, connection: Connection, answer_s: float) -> None:
        self._connection = connection
        self._answer_s = answer_s

    def exists(self, name: str) -> bool:
        """Return whether there is one."""
        return found(self._connection, path("images", name, "exists"), self._answer_s)

    def inspect(self, name: str) -> Image:
        """Return all that is used of it.

        Raises:
            ApiError: There is none (404).
        """
        return Image.read(document(self._connection.get(path("images", name, "json"), timeout_s=self._answer_s)))

    def list(self, *, filters: Filters | None = None) -> tuple[Image, ...]:
        """Return the images."""
        listed = self._connection.get(path("images", "json"), {"filters": filters}, timeout_s=self._answer_s)
        return tuple(Image.read(item) for item in documents(listed))

    def pull(
        self,
        reference: str,
        *,
        progress: Callable[[str], None] | None = None,
        policy: str = "always",
        tls_verify: bool = True,
        timeout_s: float | None = None,
    ) -> str:
        """Fetch an image from its registry, and return its id.

        Args:
            reference: The registry, name and tag or digest.
            progress: Told each line of what the engine says. What it raises ends the pull.
            policy: ``always``, ``missing``, ``newer`` or ``never``.
            tls_verify: Whether the registry must prove who it is.
            timeout_s: For how long the engine may say nothing.

        Raises:
            ApiError: The registry can't be reached, doesn't have it, or doesn't let the engine in. The status is 200,
                because the engine had begun to answer.
        """
        where = path("images", "pull")
        parameters: Parameters = {"reference": reference, "policy": policy, "tlsVerify": tls_verify}
        pulled = ""
        with self._connection.stream("POST", where, parameters, timeout_s=timeout_s) as answer:
            for line in map(document, answer.iter_documents()):
                if error := engine_error(line):
                    raise ApiError(answer.status, error, "", "POST", where)
                pulled = text(line, "id") or pulled
                if progress is not None and text(line, "stream"):
                    progress(text(line, "stream").rstrip("\n"))
        if not pulled:
            raise ApiError(200, f"the engine ended its answer before it had {reference}", "", "POST", where)
        return pulled

    def load(self, archive: Iterable[bytes]) -> tuple[str, ...]:
        """Take in an archive of :meth:`save`, with its names, and return them. Ids are kept.

        Raises:
            ApiError: It is no archive of images.
        """
        return words(document(self._connection.post(path("images", "load"), body=archive)), "Names")

    def import_(self, archive: Iterable[bytes], reference: str, *, changes: Sequence[str] = ()) -> str:
        """Make an image of a root file system, and return its id: another one each time.

        The engine takes anything for an archive, and makes an empty image of what isn't one.

        Args:
            archive: A tar archive of the root file system.
            reference: The image's name and tag.
            changes: Lines of a Containerfile: CMD, ENTRYPOINT, ENV, LABEL, USER, WORKDIR, ….
        """
        got = self._connection.post(
            path("images", "import"), {"reference": reference, "changes": changes}, body=archive
        )
        return text(document(got), "Id").removeprefix("sha256:")

    def save(self, name: str, *, format: str = "oci-archive") -> Feed[bytes]:
        """Return an archive of an image, with its name if ``name`` isn't an id.

        Raises:
            ApiError: There is none (404).
        """
        return Feed(self._connection.stream("GET", path("images", name, "get"), {"format": format}), Answer.iter_bytes)

    def remove(self, name: str, *, force: bool = False) -> None:
        """Take the name away, and delete the image if it was its last.

        Args:
            name: Which.
            force: Delete what uses it too, containers included.

        Raises:
            ApiError: There is none (404), or it is in use (409).
        """
        self._connection.delete(path("images", name), {"force": force}, timeout_s=self._answer_s)

    def tag(self, name: str, repository: str, tag: str) -> None:
        """Give it one more name. If another image has that name, it loses it."""
        self._connection.call_quietly(
            "POST", path("images", name, "tag"), {"repo": repository, "tag": tag}, self._answer_s
        )
