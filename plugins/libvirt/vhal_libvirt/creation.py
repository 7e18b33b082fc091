"""Making a machine, all or nothing, and removing it with what was made for it."""

from __future__ import annotations

import contextlib
import uuid

import libvirt

from vhal.driver import Answer, Context
from vhal.errors import EngineError, VhalError
from vhal.spec import MachineInfo, MachineSpec
from vhal_libvirt import emulation, requirements, storage
from vhal_libvirt.domain_xml import Blueprint, domain_xml
from vhal_libvirt.host_facts import Facts
from vhal_libvirt.inventory import Inventory, read_record
from vhal_libvirt.metadata import record_of


def create(
    conn: libvirt.virConnect, facts: Facts, inventory: Inventory, spec: MachineSpec, ctx: Context
) -> MachineInfo:
    """Make the machine, stopped. After an error nothing of it is left."""
    found = requirements.examine(conn, facts, spec)
    if found.blockers:
        raise Answer.of(found.blockers).error(backend="libvirt", machine=spec.name)
    identity = str(uuid.uuid4())
    made: list[str] = []
    try:
        sources = dict(found.files)
        for place, volume in storage.volumes_of(spec).items():
            ctx.check()
            sources[place] = storage.make(conn, volume)
            made.append(sources[place].path)
        blueprint = Blueprint(
            id=identity,
            domain_type=found.domain_type,
            arch=found.arch,
            machine=found.machine,
            disks=tuple(sources[place] for place in range(len(spec.disks))),
            loses_writes=emulation.loses_writes(found.domain_type, conn.getVersion()),
            record=record_of(spec, tuple(made), identity),
        )
        ctx.check()
        return inventory.inspect(conn.defineXMLFlags(domain_xml(spec, blueprint), libvirt.VIR_DOMAIN_DEFINE_VALIDATE))
    except BaseException:
        # It may have been defined all the same: the answer was lost, or it couldn't be looked at.
        with contextlib.suppress(libvirt.libvirtError):
            conn.lookupByUUIDString(identity).undefine()
        storage.remove_all(conn, made)
        raise


def delete(conn: libvirt.virConnect, dom: libvirt.virDomain, *, simulated: bool, keep_disks: bool) -> None:
    """Remove a machine that isn't active, and, unless they are to be kept, the volumes that were made for it.

    A volume that isn't among its disks any more, or that another machine uses too, stays.

    Raises:
        vhal.errors.EngineError: The machine is gone, but a volume of it couldn't be removed.
    """
    record = read_record(dom)
    name = dom.name()
    flags = libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    if not simulated:
        # The variables of a machine that somebody else made may be somebody else's file.
        flags |= libvirt.VIR_DOMAIN_UNDEFINE_NVRAM if record.managed else libvirt.VIR_DOMAIN_UNDEFINE_KEEP_NVRAM
        flags |= libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
    volumes = () if keep_disks or not record.volumes else _own(conn, dom, record.volumes)
    dom.undefineFlags(flags)
    left: list[str] = []
    failure: Exception | None = None
    for path in volumes:
        try:
            storage.remove(conn, path)
        except (libvirt.libvirtError, VhalError) as error:
            left.append(path)
            failure = error
    if left:
        raise EngineError(
            f"the machine {name!r} is deleted, but {', '.join(left)} couldn't be removed",
            hint="remove it by hand",
            backend="libvirt",
            machine=name,
            native=failure,
        )


def _own(conn: libvirt.virConnect, dom: libvirt.virDomain, volumes: tuple[str, ...]) -> list[str]:
    """Return those of the volumes that are disks of the machine and of no other one."""
    own = storage.disks_of(conn, dom)
    others: set[str] = set()
    for other in conn.listAllDomains():
        if other.UUID() != dom.UUID():
            try:
                others |= storage.disks_of(conn, other)
            except libvirt.libvirtError as error:
                if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:  # it went away meanwhile
                    raise
    return [path for path in volumes if path in own - others]
