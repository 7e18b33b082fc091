"""Files into a machine and out of it, on tar archives that a backend reads and writes.

A path in a machine is absolute. What comes out of a machine is a stranger's; how it is unpacked is in
:mod:`vhal.unpack`. A copy is never held in memory.
"""

from __future__ import annotations

import errno
import io
import os
import posixpath
import stat
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vhal.driver.context import Context, Progress
from vhal.errors import (
    AccessDenied,
    AlreadyExists,
    Busy,
    EngineError,
    InsufficientResources,
    InvalidSpec,
    NotFound,
    VhalError,
)

if TYPE_CHECKING:
    from vhal.driver.capability import Files

PIECE = 1 << 17
"""Bytes that are read at once."""

READ_MOST = 1 << 30
"""Bytes of a file that :func:`read_file` holds in memory at most."""

LINKS_MOST = 16
"""Links that are followed from the path that was given."""

_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})
_MALFORMED = (tarfile.TarError, ValueError, OverflowError, EOFError)
"""What tarfile raises for what is no archive."""

_PADDING_MOST = 1 << 20
"""Bytes after the end of an archive that are read at most; tar fills up to a whole record."""


class Source(io.RawIOBase):
    """Pieces of an archive as a file that tarfile reads; looks at the deadline at each."""

    def __init__(self, pieces: Iterator[bytes], ctx: Context) -> None:
        super().__init__()
        self._pieces = pieces
        self._ctx = ctx
        self._rest = b""
        self._done = 0
        self._last = b""

    def whole(self) -> bool:
        """Return whether the archive came to its end, which is two blocks of zeros; reads what is left of it."""
        left = _PADDING_MOST
        while left > 0 and (data := self.read(PIECE)):
            left -= len(data)
        return len(self._last) == tarfile.BLOCKSIZE and not self._last.strip(b"\0")

    def read(self, size: int = -1) -> bytes:
        """Return up to ``size`` bytes; fewer at the end only."""
        found = [self._rest]
        have = len(self._rest)
        while have < size or size < 0:
            self._ctx.check()
            piece = next(self._pieces, None)
            if piece is None:
                break
            found.append(piece)
            have += len(piece)
            self._done += len(piece)
            self._ctx.report(Progress("copy", done=self._done))
        data = b"".join(found)
        if size < 0:
            size = len(data)
        self._rest = data[size:]
        data = data[:size]
        self._last = (self._last + data[-tarfile.BLOCKSIZE :])[-tarfile.BLOCKSIZE :]
        return data


class Opened(NamedTuple):
    """An archive that is being read."""

    archive: tarfile.TarFile
    first: tarfile.TarInfo
    """Its first member, which was read already."""
    name: str
    """What every name in it begins with."""
    source: Source


@contextmanager
def opened(files: Files, id: str, path: str, ctx: Context) -> Iterator[Opened]:
    """Open the archive of what is at ``path``, or of what a link there leads to.

    Raises:
        vhal.errors.NotFound: There is nothing.
        vhal.errors.EngineError: What the engine sends is no archive.
    """
    with broken_archive(path):
        for _ in range(LINKS_MOST):
            pieces = files.read_archive(id, path)
            try:
                source = Source(pieces, ctx)
                with tarfile.open(fileobj=source, mode="r|") as archive:
                    first = archive.next()
                    if first is None:
                        raise EngineError(f"the archive of {path!r} is empty", hint="this is a defect of the backend")
                    if not first.issym():
                        yield Opened(archive, first, posixpath.basename(path.rstrip("/")), source)
                        return
                    path = posixpath.normpath(posixpath.join(posixpath.dirname(path.rstrip("/")), first.linkname))
            finally:
                close = getattr(pieces, "close", None)
                if close is not None:
                    close()
    raise NotFound(f"too many links lead on from {path!r}", hint="they may lead to each other")


@contextmanager
def broken_archive(path: str) -> Iterator[None]:
    """Have an archive that can't be read be the engine's error."""
    try:
        yield
    except _MALFORMED as error:
        raise EngineError(
            f"the archive of {path!r} can't be read: {error}", hint="try again; it may have ended early", native=error
        ) from error


def read_file(files: Files, id: str, path: str, ctx: Context) -> bytes:
    """Return what is in a file.

    Raises:
        vhal.errors.NotFound: There is none.
        vhal.errors.InvalidSpec: It is a folder or a device, or larger than :data:`READ_MOST`.
    """
    with opened(files, id, guest_path(path), ctx) as archive:
        member = archive.first
        content = archive.archive.extractfile(member) if member.isreg() else None
        if content is None:
            raise InvalidSpec(f"{path!r} is {kind_of(member)}, not a file", hint="copy_out() copies folders too")
        if member.size > READ_MOST:
            raise InvalidSpec(
                f"{path!r} has {member.size} bytes, more than read_file() holds in memory", hint="copy_out() it"
            )
        return content.read()


def write_file(files: Files, id: str, path: str, data: bytes, mode: int, ctx: Context) -> None:
    """Make or replace a file, owned by the machine's root.

    Raises:
        vhal.errors.NotFound: There is no such folder.
        vhal.errors.InvalidSpec: The path or the mode isn't one.
    """
    folder, name = _place(guest_path(path), path)
    if not 0 <= mode <= 0o7777:
        raise InvalidSpec(f"{mode!r} is no mode", hint="modes are written as 0o644", problems=[("mode", "is none")])
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = len(data), mode, int(time.time())
    pieces = (data[place : place + PIECE] for place in range(0, len(data), PIECE))
    files.write_archive(id, folder, _ended(_file(member, pieces, ctx)), ctx)


def copy_in(files: Files, id: str, local: str | os.PathLike[str], path: str, ctx: Context) -> None:
    """Copy a local file or folder; in the machine it is owned by root, with the modes it has here.

    Raises:
        vhal.errors.NotFound: There is no such thing here, or no such folder in the machine.
        vhal.errors.AccessDenied: It can't be read here.
        vhal.errors.InvalidSpec: It is neither file nor folder, or has something in it that is neither.
        vhal.errors.Busy: A file became shorter while it was copied.
    """
    guest = guest_path(path)
    origin = Path(local)
    into = guest.endswith("/")
    folder, name = (guest, _own_name(origin)) if into else _place(guest, path)
    failed: list[VhalError] = []

    def archive() -> Iterator[bytes]:
        # What goes wrong here isn't the engine's fault, and must not look as if it were.
        try:
            with local_errors(origin):
                yield from _ended(_tree(origin, name, ctx))
        except VhalError as error:
            failed.append(error)
            raise

    with local_errors(origin):
        origin.stat()
    try:
        files.write_archive(id, folder, archive(), ctx)
    except Exception:
        if failed:
            raise failed[0] from failed[0].__cause__
        raise


def _tree(origin: Path, name: str, ctx: Context) -> Iterator[bytes]:
    """Yield the members of an archive of ``origin``, called ``name`` in it. Its own last link is followed."""
    done = 0
    # Only for gettarinfo(), which makes hard links of a file's second name.
    with tarfile.open(fileobj=io.BytesIO(), mode="w") as maker:
        left = [(Path(os.path.realpath(origin)), name)]
        while left:
            path, arcname = left.pop()
            ctx.check()
            member = _entry(maker, path, arcname)
            if member is None or not (member.isreg() or member.isdir() or member.issym() or member.islnk()):
                raise InvalidSpec(
                    f"{path} is neither file, folder nor link", hint="leave it out: only those are copied"
                )
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            if member.isreg():
                with path.open("rb") as opened:
                    yield from _file(member, iter(lambda opened=opened: opened.read(PIECE), b""), ctx, done)  # type: ignore[misc]
                done += member.size
            else:
                yield _header(member)
                if member.isdir():
                    left += [(child, f"{arcname}/{child.name}") for child in sorted(path.iterdir(), reverse=True)]


def _entry(maker: tarfile.TarFile, path: Path, name: str) -> tarfile.TarInfo | None:
    # None for a socket, whatever the type stubs say.
    return maker.gettarinfo(path, name)


def _file(member: tarfile.TarInfo, pieces: Iterator[bytes], ctx: Context, done: int = 0) -> Iterator[bytes]:
    yield _header(member)
    left = member.size
    for piece in pieces:
        ctx.check()
        wanted = piece[:left]
        if wanted:
            yield wanted
        left -= len(wanted)
        ctx.report(Progress("copy", done=done + member.size - left))
        if not left:
            break
    if left:
        raise Busy(f"{member.name!r} became shorter while it was copied", hint="copy it again when nobody writes to it")
    yield bytes(-member.size % tarfile.BLOCKSIZE)


def _header(member: tarfile.TarInfo) -> bytes:
    return member.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _ended(members: Iterator[bytes]) -> Iterator[bytes]:
    yield from members
    yield bytes(2 * tarfile.BLOCKSIZE)


def guest_path(path: str) -> str:
    """Return a path in a machine as it is handed on.

    Raises:
        vhal.errors.InvalidSpec: It isn't absolute, or leads through ``..``.
    """
    bad = None
    if not path.startswith("/"):
        bad = "isn't absolute"
    elif ".." in path.split("/"):
        bad = "has '..' in it"
    elif "\0" in path or len(path) > 4096:
        bad = "is none that a kernel takes"
    if bad:
        raise InvalidSpec(
            f"the path {path!r} {bad}",
            hint="a path in a machine begins with / and names every folder",
            problems=[("path", bad)],
        )
    return path


def _place(path: str, given: str) -> tuple[str, str]:
    folder, name = posixpath.split(path)
    if not name or name == ".":
        raise InvalidSpec(
            f"the path {given!r} names no file", hint="end it with a name", problems=[("path", "names no file")]
        )
    return folder, name


def _own_name(origin: Path) -> str:
    name = origin.absolute().name or origin.resolve().name
    if not name:
        raise InvalidSpec(f"{origin} has no name of its own", hint="say what it is to be called there")
    return name


def kind_of(member: tarfile.TarInfo) -> str:
    """Return what a member of an archive is, with its article."""
    if member.isdir():
        return "a folder"
    if member.isreg():
        return "a file"
    return "a link" if member.issym() or member.islnk() else "a device"


@contextmanager
def local_errors(path: object) -> Iterator[None]:
    """Have what goes wrong with local files be one of our errors."""
    try:
        yield
    except OSError as error:
        named = error.filename if isinstance(error.filename, str) else str(path)
        raise _local_error(named, error) from error


def _local_error(path: str, error: OSError) -> VhalError:
    said = error.strerror or str(error)
    if error.errno in _NO_SPACE:
        return InsufficientResources(f"no room for {path}: {said}", hint="make room there", native=error)
    if isinstance(error, PermissionError):
        return AccessDenied(f"{path}: {said}", hint="choose a place that you may use", native=error)
    if isinstance(error, FileNotFoundError):
        return NotFound(f"{path}: {said}", hint="this is a path here, not in the machine", native=error)
    if isinstance(error, (FileExistsError, NotADirectoryError, IsADirectoryError)):
        return AlreadyExists(f"{path}: {said}", hint="something of another kind is there", native=error)
    return EngineError(f"{path}: {said}", hint="this is a path here, not in the machine", native=error)


def is_folder(path: Path) -> bool | None:
    """Return whether a local path is a folder, links followed; None if there is nothing."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except FileNotFoundError:
        return None
