"""Files into a machine and out of it. Its engine does that for one that runs, is paused, or is stopped."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator

from vhal.driver import Context
from vhal.errors import AlreadyExists, EngineError, NotFound
from vhal_containers.api import ApiError
from vhal_containers.api.path import path as request_path
from vhal_containers.api.types import FileFacts
from vhal_containers.engine import NOT_FOUND, Engine
from vhal_containers.inventory import Found, Inventory

_IN_THE_WAY = ("exists but is not a directory", "is a directory", "file exists", "not a directory")


class Files:
    """Archives into and out of one engine's machines. Safe to use from several threads."""

    def __init__(self, engine: Engine, inventory: Inventory) -> None:
        self._engine = engine
        self._inventory = inventory

    def read_archive(self, id: str, path: str) -> Iterator[bytes]:
        """Yield an archive of the file or folder at ``path``; a link there is followed, and keeps its name.

        The engine says that the user of the machine's own process owns everything; who does, it doesn't tell.

        Raises:
            vhal.errors.NotFound: There is none; raised before anything is yielded.
        """
        found, path = self._inventory.find(id), posixpath.normpath(path)
        if self._facts(found, path) is None:
            raise NotFound(
                f"there is nothing at {path!r} in machine {found.info.name!r}",
                hint="paths there begin with /, and links must lead somewhere",
                backend="containers",
                machine=found.info.name,
            )
        with self._engine.api.containers.read_archive(found.podman_id, path) as archive:
            yield from archive

    def write_archive(self, id: str, path: str, archive: Iterable[bytes], ctx: Context) -> None:
        """Unpack ``archive`` into the folder at ``path``, with the owners and modes that it says.

        Raises:
            vhal.errors.NotFound: There is no such folder.
            vhal.errors.AlreadyExists: A file is to replace a folder, or the other way round.
            vhal.errors.EngineError: It is no archive.
        """
        found, path = self._inventory.find(id), posixpath.normpath(path)
        facts = self._facts(found, path)
        # The engine would make the folder.
        if facts is None or not facts.is_folder:
            raise NotFound(
                f"there is no folder {path!r} in machine {found.info.name!r}",
                hint="make it first, or choose another",
                backend="containers",
                machine=found.info.name,
            )
        try:
            # Without these the engine gives all files to the user of the machine's own process, and empties a folder to
            # put a file in its place.
            self._engine.api.connection.put(
                request_path("containers", found.podman_id, "archive"),
                {"path": path, "copyUIDGID": False, "noOverwriteDirNonDir": True},
                body=_checked(archive, ctx),
            )
        except ApiError as error:
            raise _refused(error, path, found) from error

    def _facts(self, found: Found, path: str) -> FileFacts | None:
        try:
            return self._engine.api.containers.file_facts(found.podman_id, path)
        except ApiError as error:
            if error.status == NOT_FOUND:
                return None
            raise


def _checked(archive: Iterable[bytes], ctx: Context) -> Iterator[bytes]:
    for piece in archive:
        ctx.check()
        yield piece


def _refused(error: ApiError, path: str, found: Found) -> Exception:
    # What the engine says besides is of the length of a page.
    said = error.message.rpartition("}: ")[2]
    if any(words in said for words in _IN_THE_WAY):
        return AlreadyExists(
            f"what is copied to {path!r} in machine {found.info.name!r} is of another kind than what is there: {said}",
            hint="remove that, or choose another name",
            backend="containers",
            machine=found.info.name,
            native=error,
        )
    if "tar" in said:
        return EngineError(
            f"what is copied to {path!r} in machine {found.info.name!r} is no archive: {said}",
            hint="send a tar archive",
            backend="containers",
            machine=found.info.name,
            native=error,
        )
    return error
