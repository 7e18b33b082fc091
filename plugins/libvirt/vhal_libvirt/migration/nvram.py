"""The file of a machine's UEFI variables, which libvirt makes at the destination and leaves there after a failure.

It may lie where both hosts see it, so the rule is: only a file that wasn't there when the place was prepared, while the
source had it in use, can be a copy of the destination's own.
"""

from __future__ import annotations

import contextlib
import logging
import uuid
from pathlib import PurePosixPath

import libvirt
from lxml import etree

from vhal.errors import Busy, VhalError
from vhal_libvirt.document import attribute, child, dump, parse
from vhal_libvirt.host_files import LOOK_PREFIX, HostFiles

log = logging.getLogger("vhal.libvirt")


def absent(conn: libvirt.virConnect, path: str | None) -> str | None:
    """Return the path if the host certainly hasn't got such a file."""
    if path is None:
        return None
    with contextlib.suppress(VhalError, libvirt.libvirtError):
        return None if HostFiles(conn).look([path]) else path
    return None


def remove(conn: libvirt.virConnect, path: str | None) -> None:
    """Remove a file that was absent before the migration, unless one of the host's machines names it.

    One that can't be removed stays, and is told of in the log: it does no harm.
    """
    try:
        if path is not None and path not in _named(conn):
            _unlink(conn, path)
    except (Busy, libvirt.libvirtError) as error:
        log.warning("the UEFI variables %s couldn't be removed: %s", path, error)


def _named(conn: libvirt.virConnect) -> set[str | None]:
    named: set[str | None] = set()
    for dom in conn.listAllDomains():
        for flags in (0, libvirt.VIR_DOMAIN_XML_INACTIVE):
            domain = parse(dom.XMLDesc(flags))
            named |= {domain.findtext("os/nvram"), attribute(domain, "os/nvram/source", "file")}
    return named


def _unlink(conn: libvirt.virConnect, path: str) -> None:
    if not HostFiles(conn).look([path]):
        return
    try:
        conn.storageVolLookupByPath(path).delete(0)
        return
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_STORAGE_VOL:
            raise
    place = PurePosixPath(path)
    root = etree.Element("pool", type="dir")
    child(root, "name", LOOK_PREFIX + uuid.uuid4().hex)
    child(child(root, "target"), "path", str(place.parent))
    pool = conn.storagePoolCreateXML(dump(root), 0)
    try:
        pool.storageVolLookupByName(place.name).delete(0)
    finally:
        pool.destroy()
