"""Files on the host, seen through libvirt's storage API: it works wherever the host is.

A file is looked up as a volume of a pool that has its folder, or of a pool that is there or started only meanwhile.
Nothing is changed. Making volumes is :mod:`vhal_libvirt.storage`.
"""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

import libvirt
from lxml import etree

from vhal.driver import Context
from vhal.errors import Busy
from vhal_libvirt.document import child, dump, parse
from vhal_libvirt.image_header import HEADER_SIZE

LOOK_PREFIX = "vhal-look-"
_looking = threading.Lock()
_ATTEMPTS = 20
_PAUSE_S = 0.05


@dataclass(frozen=True, slots=True)
class HostFile:
    """A file that is there."""

    path: str
    size: int
    block: bool
    header: bytes | None
    """Its first bytes, if they were asked for and the driver can hand them out."""


def _plain(path: str) -> PurePosixPath:
    return PurePosixPath("/" + path.lstrip("/"))


def pool_folders(conn: libvirt.virConnect) -> set[str]:
    """Return the folders of the host's storage pools."""
    found = set()
    for pool in conn.listAllStoragePools():
        with contextlib.suppress(libvirt.libvirtError):  # it may have gone meanwhile
            target = parse(pool.XMLDesc(0)).findtext("target/path")
            if target and not pool.name().startswith(LOOK_PREFIX):
                found.add(str(_plain(target)))
    return found


def _started(pool: libvirt.virStoragePool) -> libvirt.virStoragePool | None:
    try:
        pool.create(0)
    except libvirt.libvirtError as error:
        if not _no_folder(error):
            raise
        return None
    return pool


def _no_folder(error: libvirt.libvirtError) -> bool:
    message = error.get_error_message() or ""
    return any(words in message for words in ("cannot open path", "cannot open directory", "No such file"))


class HostFiles:
    """Looks files up on one host."""

    def __init__(self, conn: libvirt.virConnect) -> None:
        self._conn = conn

    def look(self, paths: Iterable[str], headers: Iterable[str] = ()) -> dict[str, HostFile]:
        """Return those of ``paths`` that are there, with the first bytes of those in ``headers``.

        Raises:
            vhal.errors.Busy: A folder is being looked at by others all the time.
        """
        wanted = frozenset(headers)
        folders: dict[str, list[str]] = {}
        for path in dict.fromkeys(paths):
            folders.setdefault(str(_plain(path).parent), []).append(path)
        found: dict[str, HostFile] = {}
        for folder, members in folders.items():
            with _looking, self._pool(folder) as pool:
                for path in members if pool is not None else ():
                    volume = self._volume(pool, path)
                    if volume is not None:
                        found[path] = self._file(volume, path, header=path in wanted)
        return found

    @contextlib.contextmanager
    def volume(self, path: str) -> Iterator[libvirt.virStorageVol | None]:
        """Have a file as libvirt's volume, or None if it isn't there, as long as the context lasts.

        Raises:
            vhal.errors.Busy: Its folder is being looked at by others all the time.
        """
        with _looking, self._pool(str(_plain(path).parent)) as pool:
            yield None if pool is None else self._volume(pool, path)

    @contextlib.contextmanager
    def _pool(self, folder: str) -> Iterator[libvirt.virStoragePool | None]:
        pool = self._existing(folder)
        if pool is not None and pool.isActive():
            with contextlib.suppress(libvirt.libvirtError):
                pool.refresh(0)  # files may have come since libvirt looked; a busy pool is taken as it is
            yield pool
            return
        # Two pools on one folder aren't allowed, be one of them inactive; so that one is started for a moment.
        pool = self._transient(folder) if pool is None else _started(pool)
        try:
            yield pool
        finally:
            if pool is not None:
                with contextlib.suppress(libvirt.libvirtError):
                    pool.destroy()

    def _existing(self, folder: str) -> libvirt.virStoragePool | None:
        for pool in self._pools_on(folder):
            if not pool.name().startswith(LOOK_PREFIX):
                return pool
        return None

    def _pools_on(self, folder: str) -> list[libvirt.virStoragePool]:
        found = []
        for pool in self._conn.listAllStoragePools():
            with contextlib.suppress(libvirt.libvirtError):  # another process's look may have ended meanwhile
                target = parse(pool.XMLDesc(0)).findtext("target/path")
                if target and str(_plain(target)) == folder:
                    found.append(pool)
        return found

    def _transient(self, folder: str) -> libvirt.virStoragePool | None:
        root = etree.Element("pool", type="dir")
        child(root, "name", LOOK_PREFIX + uuid.uuid4().hex)
        child(child(root, "target"), "path", folder)
        text = dump(root)
        waiting = Context()
        others: set[str] | None = None
        for attempt in range(_ATTEMPTS + 1):
            if attempt == _ATTEMPTS and others:
                self._clear(folder, others)
            try:
                return self._conn.storagePoolCreateXML(text, 0)
            except libvirt.libvirtError as error:
                if _no_folder(error):
                    return None
                message = error.get_error_message() or ""
                if "conflict" not in message and "already" not in message:
                    raise
            # Two pools on one folder aren't allowed; another process is looking, which takes milliseconds.
            names = {pool.name() for pool in self._pools_on(folder)}
            others = names if others is None else others & names
            waiting.wait(_PAUSE_S)
        raise Busy(
            f"the folder {folder} is in use by another storage pool",
            hint="try again",
            backend="libvirt",
        )

    def _clear(self, folder: str, names: set[str]) -> None:
        """Remove what a look that was killed half-way left: the same pool there all the time isn't a look any more."""
        for pool in self._pools_on(folder):
            if pool.name().startswith(LOOK_PREFIX) and pool.name() in names:
                with contextlib.suppress(libvirt.libvirtError):
                    pool.destroy()

    def _volume(self, pool: libvirt.virStoragePool, path: str) -> libvirt.virStorageVol | None:
        try:
            return pool.storageVolLookupByName(_plain(path).name)
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_STORAGE_VOL:
                return None
            raise

    def _file(self, volume: libvirt.virStorageVol, path: str, *, header: bool) -> HostFile:
        kind, size, _ = volume.info()
        return HostFile(
            path=str(_plain(path)),
            size=size,
            block=kind == libvirt.VIR_STORAGE_VOL_BLOCK,
            header=self._header(volume) if header else None,
        )

    def _header(self, volume: libvirt.virStorageVol) -> bytes | None:
        stream = self._conn.newStream(0)
        # A length of more than the file has is refused; the physical size is that of the bytes, not of the disk.
        info = volume.infoFlags(libvirt.VIR_STORAGE_VOL_GET_PHYSICAL)
        length = min(HEADER_SIZE, info[2])
        if length == 0:
            return b""
        try:
            volume.download(stream, 0, length, 0)
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_SUPPORT:
                return None
            raise
        parts: list[bytes] = []
        try:
            while part := stream.recv(HEADER_SIZE):
                parts.append(part)
            stream.finish()
        except libvirt.libvirtError:
            with contextlib.suppress(libvirt.libvirtError):
                stream.abort()
            raise
        return b"".join(parts)
