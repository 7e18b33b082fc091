"""The files of a simulated machine: a tree in memory, which moves with it and is in its snapshots.

There are no disks behind it, no owners that forbid anything, and links are kept but not followed.
"""

from __future__ import annotations

import io
import posixpath
import tarfile
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from vhal.errors import AlreadyExists, EngineError, NotFound

if TYPE_CHECKING:
    from vhal.driver.context import Context
    from vhal_mock.driver import MockDriver

PIECE = 1 << 16
"""Bytes that are handed on at once."""

Kind = Literal["file", "folder", "link"]

_TYPES: dict[Kind, bytes] = {"file": tarfile.REGTYPE, "folder": tarfile.DIRTYPE, "link": tarfile.SYMTYPE}


@dataclass(frozen=True, slots=True)
class Entry:
    """What is at one path."""

    kind: Kind
    mode: int = 0o755
    data: bytes = b""
    target: str = ""
    """Where a link leads."""
    uid: int = 0
    gid: int = 0


FOLDER = Entry("folder")


class FileTree:
    """Paths and what is at them. Safe to use from several threads.

    Args:
        entries: What is there at first.
    """

    def __init__(self, entries: Iterable[tuple[str, Entry]] = ()) -> None:
        self._entries = dict(entries) or dict.fromkeys(("/", "/etc", "/root", "/tmp"), FOLDER)  # noqa: S108
        self._lock = threading.RLock()

    def copy(self) -> FileTree:
        """Return a tree of its own with the same in it."""
        with self._lock:
            return FileTree(self._entries.items())

    def become(self, other: FileTree) -> None:
        """Have what ``other`` has."""
        with self._lock:
            self._entries = dict(other._entries)

    def entry(self, path: str) -> Entry | None:
        """Return what is at ``path``."""
        with self._lock:
            return self._entries.get(_normal(path))

    def read(self, path: str) -> bytes:
        """Return what is in a file.

        Raises:
            vhal.errors.NotFound: There is none.
        """
        entry = self.entry(path)
        if entry is None or entry.kind != "file":
            raise NotFound(f"there is no file {path!r}", hint="is it another name, or a folder?")
        return entry.data

    def write(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Make or replace a file.

        Raises:
            vhal.errors.NotFound: There is no such folder.
            vhal.errors.AlreadyExists: A folder has that name.
        """
        with self._lock:
            self.folder(posixpath.dirname(_normal(path)))
            self._put(self._entries, _normal(path), Entry("file", mode, data))

    def make_folders(self, path: str) -> None:
        """Make a folder and those that it is in, where they aren't there."""
        with self._lock:
            self._make(self._entries, _normal(path))

    def folder(self, path: str) -> None:
        """Return if there is such a folder.

        Raises:
            vhal.errors.NotFound: There isn't.
        """
        entry = self.entry(path)
        if entry is None or entry.kind != "folder":
            raise NotFound(f"there is no folder {path!r} in the machine", hint="make it first, or choose another")

    def archive(self, path: str) -> Iterator[bytes]:
        """Yield a tar archive of what is at ``path``."""
        path = _normal(path)
        with self._lock:
            inside = path.rstrip("/") + "/"
            found = sorted((at, entry) for at, entry in self._entries.items() if at == path or at.startswith(inside))
        if not found:
            raise NotFound(f"there is nothing at {path!r} in the machine", hint="paths there begin with /")
        cut = len(posixpath.dirname(path).rstrip("/")) + 1
        written = io.BytesIO()
        with tarfile.open(fileobj=written, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for at, entry in found:
                member = tarfile.TarInfo(at[cut:] or ".")
                member.type, member.mode, member.size = _TYPES[entry.kind], entry.mode, len(entry.data)
                member.linkname, member.uid, member.gid = entry.target, entry.uid, entry.gid
                tar.addfile(member, io.BytesIO(entry.data))
        data = written.getvalue()
        for place in range(0, len(data), PIECE):
            yield data[place : place + PIECE]

    def unpack(self, path: str, archive: Iterable[bytes], ctx: Context) -> None:
        """Unpack an archive into the folder at ``path``: all of it or nothing.

        Raises:
            vhal.errors.NotFound: There is no such folder.
            vhal.errors.AlreadyExists: A file is to replace a folder, or the other way round.
        """
        self.folder(path)
        unpacked = io.BytesIO()
        for piece in archive:
            ctx.check()
            unpacked.write(piece)
        unpacked.seek(0)
        with self._lock:
            entries = dict(self._entries)
            try:
                with tarfile.open(fileobj=unpacked, mode="r:") as tar:
                    for member in tar:
                        self._take(entries, path, tar, member)
            except tarfile.TarError as error:
                raise EngineError(f"that is no archive: {error}", hint="send a tar archive") from error
            self._entries = entries

    def _take(self, entries: dict[str, Entry], path: str, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        if ".." in member.name.split("/"):
            raise EngineError(f"the archive has {member.name!r} in it", hint="a name has no '..'")
        at = _normal(posixpath.join(path, member.name.lstrip("/")))
        self._make(entries, posixpath.dirname(at))
        if member.isdir():
            self._make(entries, at)
            entries[at] = Entry("folder", member.mode, uid=member.uid, gid=member.gid)
        elif member.issym():
            self._put(entries, at, Entry("link", 0o777, target=member.linkname, uid=member.uid, gid=member.gid))
        elif member.islnk():
            first = entries.get(_normal(posixpath.join(path, member.linkname)))
            if first is None:
                raise EngineError(f"{member.name!r} is a second name of nothing", hint="send the first one before")
            self._put(entries, at, first)
        else:
            content = tar.extractfile(member)
            data = content.read() if content is not None else b""
            self._put(entries, at, Entry("file", member.mode, data, uid=member.uid, gid=member.gid))

    def _put(self, entries: dict[str, Entry], path: str, entry: Entry) -> None:
        there = entries.get(path)
        if there is not None and there.kind == "folder":
            raise AlreadyExists(f"{path!r} is a folder in the machine", hint="end the path with / to copy into it")
        entries[path] = entry

    def _make(self, entries: dict[str, Entry], path: str) -> None:
        there = entries.get(path)
        if there is not None and there.kind != "folder":
            raise AlreadyExists(f"{path!r} is no folder in the machine", hint="choose another name")
        if there is None:
            self._make(entries, posixpath.dirname(path))
            entries[path] = FOLDER


def _normal(path: str) -> str:
    return posixpath.normpath("/" + path.lstrip("/"))


class MockFiles:
    """Files into and out of the machines of one host."""

    def __init__(self, driver: MockDriver) -> None:
        self._driver = driver

    def read_archive(self, id: str, path: str) -> Iterator[bytes]:
        """Yield an archive of the file or folder at ``path``."""
        with self._driver.host.lock:
            self._driver.begin("read_archive", id)
            tree = self._driver.find(id, "copy").guest.files
            self._driver.end("read_archive", id)
        yield from tree.archive(path)

    def write_archive(self, id: str, path: str, archive: Iterable[bytes], ctx: Context) -> None:
        """Unpack ``archive`` into the folder at ``path``."""
        with self._driver.host.lock:
            self._driver.begin("write_archive", id, ctx)
            tree = self._driver.find(id, "copy").guest.files
        tree.unpack(path, archive, ctx)
        with self._driver.host.lock:
            self._driver.end("write_archive", id, ctx)
