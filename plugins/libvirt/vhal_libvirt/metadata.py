"""What vhal remembers about a machine, kept in the machine's own ``<metadata>``.

So there is no inventory that could contradict the engine, and the memory moves with the machine. It is read leniently:
what somebody has edited beyond recognition counts as not there, and the machine stays usable.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace

from lxml import etree

from vhal.errors import VhalError
from vhal.spec import FrozenDict, MachineSpec, parse_spec
from vhal_libvirt.document import child

NAMESPACE = "urn:vhal:machine:1"
PREFIX = "vhal"


@dataclass(frozen=True, slots=True)
class Record:
    """One machine's memory."""

    epoch: int = 1
    """Counts the hosts it has lived on."""
    labels: FrozenDict[str, str] = field(default_factory=FrozenDict)
    spec: str | None = None
    """The spec it was made from, as JSON; None for a machine of somebody else."""
    volumes: tuple[str, ...] = ()
    """Paths of the volumes that were made for it, and go with it."""
    id: str | None = None
    """Id of the machine that it was written for; a copy of the machine's document carries it on to another one."""

    @property
    def managed(self) -> bool:
        """Whether vhal made the machine."""
        return self.spec is not None

    def moved(self) -> Record:
        """Return the memory of the copy on the next host."""
        return replace(self, epoch=self.epoch + 1)

    def read_from(self, id: str) -> Record:
        """Return what of this memory is true for the machine with that id, in whose document it was found.

        A clone is another machine: vhal didn't make it, and the volumes are those of the original.
        """
        return self if self.id == id else replace(self, spec=None, volumes=())


def record_of(spec: MachineSpec, volumes: tuple[str, ...], id: str) -> Record:
    """Return the memory of a new machine."""
    kept = spec.without_secrets()
    # ASCII only: JSON may hold characters that XML may not.
    text = json.dumps(kept.model_dump(mode="json"), ensure_ascii=True)
    return Record(1, spec.labels, text, volumes, id)


def spec_of(record: Record) -> MachineSpec | None:
    """Return the spec that a machine was made from, or None if there is none or it can't be read any more."""
    if record.spec is None:
        return None
    try:
        return parse_spec(record.spec, "json", source="the machine's metadata")
    except VhalError:
        return None


def element(record: Record) -> etree._Element:
    """Return the memory as the element that goes below ``<metadata>``."""
    root = etree.Element(_tag("machine"), {"epoch": str(record.epoch)}, nsmap={PREFIX: NAMESPACE})
    if record.id is not None:
        root.set("id", record.id)
    for key, value in sorted(record.labels.items()):
        child(root, _tag("label"), value, key=key)
    for path in record.volumes:
        child(root, _tag("volume"), path)
    if record.spec is not None:
        child(root, _tag("spec"), record.spec)
    return root


def read(root: etree._Element | None) -> Record:
    """Return the memory in an element; an empty one if there is no element.

    libvirt hands the element out without its namespace, so only the tags' local names count.
    """
    if root is None:
        return Record()
    labels: dict[str, str] = {}
    volumes: list[str] = []
    spec: str | None = None
    for item in root:
        name = etree.QName(item).localname
        if name == "label" and (key := item.get("key")):
            labels[key] = item.text or ""
        elif name == "volume" and item.text:
            volumes.append(item.text)
        elif name == "spec":
            spec = item.text or ""
    epoch = root.get("epoch", "1")
    return Record(
        int(epoch) if epoch.isdecimal() else 1, FrozenDict(labels), spec, tuple(volumes), root.get("id") or None
    )


def find(domain: etree._Element) -> etree._Element | None:
    """Return vhal's element in a whole domain document, or None."""
    return domain.find(f"metadata/{_tag('machine')}")


def put(domain: etree._Element, record: Record) -> None:
    """Give a whole domain document this memory in place of what it has."""
    metadata = domain.find("metadata")
    if metadata is None:
        metadata = etree.Element("metadata")
        domain.append(metadata)
    old = find(domain)
    if old is not None:
        metadata.remove(old)
    metadata.append(element(record))


def _tag(name: str) -> str:
    return f"{{{NAMESPACE}}}{name}"
