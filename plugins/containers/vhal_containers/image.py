"""The image of a machine: found in the engine's store, fetched from a registry, or sent there from an archive."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from typing import BinaryIO

from vhal.driver import Blocker, Context, Level, Progress
from vhal.errors import ImageRejected, NotFound
from vhal.spec import BootArchive, BootImage
from vhal_containers.api import Unreachable
from vhal_containers.api.types import Image
from vhal_containers.engine import Engine

_CHUNK = 1 << 20
_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"(?:[A-Za-z0-9.-]+(?::[0-9]{{1,5}})?/)?{_PART}(?:/{_PART})*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?"
    r"(?:@sha256:[0-9a-f]{64})?|(?:sha256:)?[0-9a-f]{12,64}"
)
_ID = re.compile(r"(?:sha256:)?[0-9a-f]{12,64}")
_MAGICS = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\x00", b"BZh")
_TAR_MAGIC = slice(257, 262)
_HEADER = 512


def is_there(engine: Engine, boot: BootImage) -> bool:
    """Return whether the engine has the image in its store."""
    # What is no name isn't asked about: the engine takes more for an image than it should.
    return _REFERENCE.fullmatch(boot.image) is not None and engine.has_image(boot.image)


def blockers(boot: BootImage | BootArchive, *, there: bool, may_pull: bool) -> Iterator[Blocker]:
    """Yield what stands against booting an image that is ``there`` or isn't.

    Nothing is fetched to find out what a registry has.
    """
    if isinstance(boot, BootArchive):
        problem = _archive_problem(boot.archive)
        if problem is not None:
            yield problem
        return
    if not _REFERENCE.fullmatch(boot.image):
        # The engine takes more for an image: an archive, a folder, another engine's store.
        yield Blocker(
            "image-name",
            f"{boot.image!r} is no name of an image",
            "write REGISTRY/NAME:TAG, NAME:TAG, or an image's id; for an archive, boot = {source = 'archive', …}",
            Level.MACHINE,
            ImageRejected,
        )
    elif not there:
        if not may_pull:
            yield _missing(boot.image, "and options.containers.pull says never to fetch one")
        elif boot.image.startswith("localhost/") or _ID.fullmatch(boot.image):
            yield _missing(boot.image, "and no registry could have it")


def _missing(name: str, why: str) -> Blocker:
    return Blocker(
        "image-missing",
        f"the engine has no image {name}, {why}",
        "pull, load or build it there (podman images lists what is there), or correct its name",
        Level.HOST,
        NotFound,
    )


def fetch(engine: Engine, reference: str, ctx: Context) -> None:
    """Have the engine fetch an image from its registry, if it doesn't have it.

    Raises:
        vhal.errors.OperationTimeout: The registry took longer than the deadline.
        vhal_containers.api.ApiError: There is none.
    """

    def told(line: str) -> None:
        ctx.report(Progress("pull", message=line))
        ctx.check()

    try:
        engine.api.images.pull(reference, progress=told, policy="missing", timeout_s=ctx.remaining_s)
    except Unreachable:
        ctx.check()
        raise


def load(engine: Engine, path: str, ctx: Context) -> tuple[Image, bool]:
    """Send an archive of this machine to the engine; return its image, and whether the engine didn't have it before.

    Raises:
        vhal.errors.NotFound: There is no such file here.
        vhal.errors.ImageRejected: It is no archive of one image.
    """
    before = {image.id for image in engine.api.images.list()}
    with _opened(path) as file:
        size = os.fstat(file.fileno()).st_size

        def pieces() -> Iterator[bytes]:
            done = 0
            while piece := file.read(_CHUNK):
                ctx.check()
                yield piece
                done += len(piece)
                ctx.report(Progress("load", done, size))

        names = engine.api.images.load(pieces())
    ids = {engine.api.images.inspect(name).id: name for name in names}
    if len(ids) != 1:
        for new in ids.keys() - before:
            engine.api.images.remove(new)
        raise ImageRejected(
            f"{path} holds {len(ids)} images", hint="give an archive with the one that the machine boots"
        )
    image = engine.api.images.inspect(next(iter(ids)))
    return image, image.id not in before


def _opened(path: str) -> BinaryIO:
    # What isn't a plain file could make this wait for ever, or change under our hands.
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise NotFound(f"{path} can't be read here: {error.strerror}", hint="correct the archive's path") from error
    file = os.fdopen(handle, "rb")
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        file.close()
        raise ImageRejected(f"{path} is no plain file", hint="give an archive as 'podman save' writes it")
    return file


def _archive_problem(path: str) -> Blocker | None:
    try:
        with _opened(path) as file:
            header = file.read(_HEADER)
    except NotFound as error:
        return Blocker("archive-missing", error.message, error.hint or "", Level.MACHINE, NotFound)
    except ImageRejected as error:
        return Blocker("archive-rejected", error.message, error.hint or "", Level.MACHINE, ImageRejected)
    if header[_TAR_MAGIC] == b"ustar" or header.startswith(_MAGICS):
        return None
    return Blocker(
        "archive-rejected",
        f"{path} is no archive",
        "give one as 'podman save' or 'docker save' writes it",
        Level.MACHINE,
        ImageRejected,
    )
