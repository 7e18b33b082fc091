"""An archive that a stranger made, unpacked so that nothing of it gets anywhere else.

Everything is unpacked into a new folder beside the place it is for, and only put into that place when all of it is
there: after an error nothing of it is left, except that a folder which was there before may have got a part. Two things
keep it in: no member is written through a link, so that it doesn't matter where links lead; and tarfile's ``data``
filter, which refuses links that lead out, absolute links and devices, and takes away owners and dangerous modes
(https://docs.python.org/3/library/tarfile.html#tarfile.data_filter).
"""

from __future__ import annotations

import os
import posixpath
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from vhal.driver.context import Context
from vhal.errors import AlreadyExists, EngineError, ImageRejected, InvalidSpec, Unsupported
from vhal.files import Opened, guest_path, is_folder, kind_of, local_errors, opened

if TYPE_CHECKING:
    from vhal.driver.capability import Files


def copy_out(files: Files, id: str, path: str, local: str | os.PathLike[str], ctx: Context) -> None:
    """Copy a file or folder of a machine to a local place.

    Raises:
        vhal.errors.NotFound: There is no such thing in the machine, or the local place's folder is missing.
        vhal.errors.AlreadyExists: The local place is a folder and this a file, or the other way round.
        vhal.errors.ImageRejected: The archive has something in it that leads out of it, or is a device.
        vhal.errors.AccessDenied: The local place may not be written.
        vhal.errors.InsufficientResources: There is no room for it.
        vhal.errors.Unsupported: Python is too old to unpack what a stranger made.
    """
    if not hasattr(tarfile, "data_filter"):
        raise Unsupported("this Python can't unpack a stranger's archive safely", hint="use Python 3.11.4 or later")
    text = os.fspath(local)
    guest = guest_path(path)
    if not guest.strip("/"):
        raise InvalidSpec("a machine's root isn't copied as a whole", hint="name a folder in it")
    target = Path(text)
    if text.endswith("/"):
        target /= posixpath.basename(guest.rstrip("/"))
    with local_errors(target), opened(files, id, guest, ctx) as archive:
        first, folder = archive.first, is_folder(target)
        if folder is not None and folder is not first.isdir():
            raise AlreadyExists(
                f"{target} is {'a folder' if folder else 'a file'}, and {path!r} is {kind_of(first)}",
                hint="end the local path with / to copy into a folder" if folder else "choose another name",
            )
        # Within a folder that is there: it may be on a disk of its own.
        beside = target if folder else target.parent
        new = Path(tempfile.mkdtemp(prefix=".vhal-", dir=beside))
        try:
            _unpack(archive, new, ctx)
            _put(new / archive.name, target)
        finally:
            shutil.rmtree(new, ignore_errors=True)


def _unpack(opened: Opened, folder: Path, ctx: Context) -> None:
    archive, name = opened.archive, opened.name
    member: tarfile.TarInfo | None = opened.first
    while member is not None:
        ctx.check()
        _judge(member, name, folder)
        try:
            archive.extract(member, folder, filter="data")
        except tarfile.FilterError as error:
            raise _refused(member, str(error)) from error
        # In memory tarfile would keep the header of every member.
        archive.members.clear()  # type: ignore[attr-defined]
        member = archive.next()
    if not opened.source.whole():
        raise EngineError(f"the archive of {name!r} ended early", hint="try again")
    if not os.path.lexists(folder / name):
        raise _refused(opened.first, f"nothing in it is called {name!r}")


def _judge(member: tarfile.TarInfo, name: str, folder: Path) -> None:
    """Refuse a member that would be written elsewhere, or through a link."""
    _inside(member, member.name, name, folder)
    if (folder / member.name).is_symlink():
        raise _refused(member, "it would be written through a link")
    if member.islnk():
        _inside(member, member.linkname, name, folder)
        if not (folder / member.linkname).is_file() or (folder / member.linkname).is_symlink():
            raise _refused(member, f"it is a second name of {member.linkname!r}, which is no file before it")


def _inside(member: tarfile.TarInfo, path: str, name: str, folder: Path) -> None:
    parts = [part for part in path.split("/") if part != "."]
    if path.startswith("/"):
        raise _refused(member, "its name is absolute")
    if ".." in parts or not parts or parts[0] != name or "\0" in path:
        raise _refused(member, f"its name isn't one in {name!r}")
    here = folder
    for part in parts[:-1]:
        here /= part
        if here.is_symlink() or (here.exists() and not here.is_dir()):
            raise _refused(member, "its name leads through something that is no folder")


def _refused(member: tarfile.TarInfo, why: str) -> ImageRejected:
    return ImageRejected(
        f"the machine's archive was refused at {member.name!r}: {why}",
        hint="nothing was copied; name the files that you want, without such links and devices",
    )


def _put(made: Path, target: Path) -> None:
    """Move what was unpacked to its place; folders that are there get what is new, and files replace files."""
    if not os.path.lexists(target) or not made.is_dir():
        made.replace(target)
        return
    moves: list[tuple[Path, Path]] = []
    left = [(made, target)]
    while left:
        source, place = left.pop()
        for entry in sorted(source.iterdir()):
            there = place / entry.name
            if not os.path.lexists(there):
                moves.append((entry, there))
                continue
            both = entry.is_dir() and not entry.is_symlink(), there.is_dir() and not there.is_symlink()
            if both[0] is not both[1]:
                raise AlreadyExists(
                    f"{there} is {'a folder, and what comes is not' if both[1] else 'no folder, and what comes is'}",
                    hint="move it away, or copy to another place",
                )
            if both[0]:
                left.append((entry, there))
            else:
                moves.append((entry, there))
    for entry, there in moves:
        entry.replace(there)
