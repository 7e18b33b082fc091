"""New disks: volumes in libvirt's storage pools, on whichever host the connection reaches.

Only what was made here is ever removed here. Disks that exist already are looked at by :mod:`vhal_libvirt.host_files`.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import libvirt
from lxml import etree

from vhal.errors import Unsupported, VhalError
from vhal.spec import Disk, MachineSpec
from vhal_libvirt.device_xml import DiskSource
from vhal_libvirt.document import child, dump, parse
from vhal_libvirt.host_files import HostFiles

DEFAULT_POOL = "default"
DEFAULT_FOLDER = "/var/lib/libvirt/images"
"""Where libvirt's own tools make the pool ``default`` if there is none."""

_BLOCK_POOLS = frozenset({"logical", "disk", "iscsi", "iscsi-direct", "scsi", "mpath", "zfs"})
_FILE_POOLS = frozenset({"dir", "fs", "netfs", "vstorage"})


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume that is to be made."""

    pool: str
    name: str
    disk: Disk


def volumes_of(spec: MachineSpec) -> dict[int, Volume]:
    """Return, by its place, each disk of the spec that is to be made."""
    wanted = {}
    for place, disk in enumerate(spec.disks):
        if disk.path is None:
            name = disk.name or f"{spec.name}-{place}.{disk.format}"
            wanted[place] = Volume(disk.pool or DEFAULT_POOL, name, disk)
    return wanted


def pool_named(conn: libvirt.virConnect, name: str) -> libvirt.virStoragePool | None:
    """Return the pool, or None if there is none."""
    try:
        return conn.storagePoolLookupByName(name)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_STORAGE_POOL:
            return None
        raise


def pool_type(pool: libvirt.virStoragePool) -> str:
    """Return libvirt's word for the kind of pool."""
    return parse(pool.XMLDesc(0)).get("type", "")


def holds_disks(kind: str) -> bool:
    """Return whether volumes of such a pool are files or block devices of the host."""
    return kind in _FILE_POOLS or kind in _BLOCK_POOLS


def blocks(kind: str) -> bool:
    """Return whether new volumes of such a pool are parts of a device, with what was written there before."""
    return kind in _BLOCK_POOLS


def volume_named(pool: libvirt.virStoragePool, name: str) -> libvirt.virStorageVol | None:
    """Return the volume, or None if there is none. An inactive pool shows none."""
    if not pool.isActive():
        return None
    try:
        return pool.storageVolLookupByName(name)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_STORAGE_VOL:
            return None
        raise


def make(conn: libvirt.virConnect, volume: Volume) -> DiskSource:
    """Make a volume, and the pool ``default`` for it if there is none.

    Raises:
        vhal.errors.Unsupported: The pool's volumes are neither files nor block devices.
        libvirt.libvirtError: It can't be made, or the name is taken; nothing of it is left.
    """
    pool = _ready(conn, volume.pool)
    made = pool.createXML(_volume_xml(volume), 0)
    try:
        return _source(volume, made)
    except BaseException:
        with contextlib.suppress(libvirt.libvirtError):
            made.delete(0)
        raise


def _source(volume: Volume, made: libvirt.virStorageVol) -> DiskSource:
    kind, *_ = made.info()
    if kind not in (libvirt.VIR_STORAGE_VOL_FILE, libvirt.VIR_STORAGE_VOL_BLOCK):
        raise Unsupported(
            f"volumes of pool {volume.pool!r} are neither files nor block devices",
            hint="choose a pool of files",
            backend="libvirt",
        )
    return DiskSource(made.path(), kind == libvirt.VIR_STORAGE_VOL_BLOCK)


def remove(conn: libvirt.virConnect, path: str) -> None:
    """Remove a volume that :func:`make` made. Does nothing if it is gone.

    Its pool may not know it any more, or not be there itself: it is looked for as any file is.
    """
    with HostFiles(conn).volume(path) as volume:
        if volume is not None:
            volume.delete(0)


def remove_all(conn: libvirt.virConnect, paths: list[str]) -> None:
    """Remove volumes while another error is on its way; what fails here must not hide it."""
    for path in paths:
        with contextlib.suppress(libvirt.libvirtError, VhalError):
            remove(conn, path)


def disks_of(conn: libvirt.virConnect, dom: libvirt.virDomain) -> set[str]:
    """Return the paths of all that a machine has or will have as a disk, what lies below a disk among it."""
    kinds = {0, libvirt.VIR_DOMAIN_XML_INACTIVE} if dom.isPersistent() else {0}
    paths: set[str] = set()
    for flags in kinds:
        for source in parse(dom.XMLDesc(flags)).iterfind("devices/disk//source"):
            path = source.get("file") or source.get("dev")
            pool, name = source.get("pool"), source.get("volume")
            if path is None and pool is not None and name is not None:
                with contextlib.suppress(libvirt.libvirtError):  # nobody can use what isn't there
                    path = conn.storagePoolLookupByName(pool).storageVolLookupByName(name).path()
            if path is not None:
                paths.add(path)
    return paths


def _ready(conn: libvirt.virConnect, name: str) -> libvirt.virStoragePool:
    pool = pool_named(conn, name)
    if pool is None and name == DEFAULT_POOL:
        pool = _default(conn)
    if pool is None:
        return conn.storagePoolLookupByName(name)
    if not pool.isActive():
        try:
            pool.create(0)
        except libvirt.libvirtError:
            # Somebody may have started it at the same moment.
            if not pool.isActive():
                raise
    return pool


def _default(conn: libvirt.virConnect) -> libvirt.virStoragePool:
    root = etree.Element("pool", type="dir")
    child(root, "name", DEFAULT_POOL)
    child(child(root, "target"), "path", DEFAULT_FOLDER)
    try:
        pool = conn.storagePoolDefineXML(dump(root), 0)
        pool.build(0)
    except libvirt.libvirtError:
        # Somebody may have made it at the same moment.
        pool = pool_named(conn, DEFAULT_POOL)
        if pool is None:
            raise
    pool.setAutostart(1)
    return pool


def _volume_xml(volume: Volume) -> str:
    root = etree.Element("volume")
    child(root, "name", volume.name)
    child(root, "capacity", str(int(volume.disk.size or 0)), unit="bytes")
    child(root, "allocation", "0", unit="bytes")
    child(child(root, "target"), "format", type=volume.disk.format)
    return dump(root)
