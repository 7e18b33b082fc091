"""Files on the host, seen through libvirt's storage API: it works wherever the host is.

A file is looked up as a volume of a pool that has its folder, or of a pool that exists only while it is looked up.
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
    def _pool(self, folder: str) -> Iterator[libvirt.virStoragePool | None]:
        pool = self._existing(folder)
        if pool is not None:
            with contextlib.suppress(libvirt.libvirtError):
                pool.refresh(0)  # files may have come since libvirt looked; a busy pool is taken as it is
            yield pool
            return
        pool = self._transient(folder)
        try:
            yield pool
        finally:
            if pool is not None:
                with contextlib.suppress(libvirt.libvirtError):
                    pool.destroy()

    def _existing(self, folder: str) -> libvirt.virStoragePool | None:
        for pool in self._conn.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE):
            with contextlib.suppress(libvirt.libvirtError):  # another process's look may have ended meanwhile
                target = parse(pool.XMLDesc(0)).findtext("target/path")
                if not pool.name().startswith(LOOK_PREFIX) and target and str(_plain(target)) == folder:
                    return pool
        return None

    def _transient(self, folder: str) -> libvirt.virStoragePool | None:
        root = etree.Element("pool", type="dir")
        child(root, "name", LOOK_PREFIX + uuid.uuid4().hex)
        child(child(root, "target"), "path", folder)
        text = dump(root)
        waiting = Context()
        for _ in range(_ATTEMPTS):
            try:
                return self._conn.storagePoolCreateXML(text, 0)
            except libvirt.libvirtError as error:
                message = error.get_error_message() or ""
                if "cannot open path" in message or "cannot open directory" in message or "No such file" in message:
                    return None
                if "conflict" not in message and "already" not in message:
                    raise
            # Two pools on one folder aren't allowed; another process is looking, which takes milliseconds.
            waiting.wait(_PAUSE_S)
        raise Busy(f"the folder {folder} is in use by another storage pool", hint="try again", backend="libvirt")

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
