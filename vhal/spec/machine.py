"""A machine as it is wanted (:class:`MachineSpec`) and as it is (:class:`MachineInfo`).

No engine's words are in here: what only one engine understands goes into ``options``, under the backend's name, and
is validated by that backend's own model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import Field, TypeAdapter, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from vhal.spec.devices import AnyDevice, Device, Disk, Gpu, Nic, Serial
from vhal.spec.frozen import FrozenDict
from vhal.spec.hardware import (
    Boot,
    BootArchive,
    BootDisk,
    BootImage,
    BootKernel,
    BootRootfs,
    Cpus,
    CpusField,
    Firmware,
    Memory,
    MemoryField,
)
from vhal.spec.init import Init
from vhal.spec.model import Model, O, backend_options
from vhal.spec.process import Mount, Process
from vhal.spec.state import MachineState
from vhal.spec.units import Bytes, LabelKey, LabelValue, Name

V = TypeVar("V")

Labels = FrozenDict[LabelKey, LabelValue]


class MachineKind(StrEnum):
    """The two kinds of machine."""

    VM = "vm"
    CONTAINER = "container"


class MachineSpec(Model):
    """What a machine shall be, for any engine.

    Raises:
        vhal.errors.InvalidSpec: With the path and the reason of each problem.
    """

    name: Name
    kind: MachineKind = MachineKind.VM
    cpus: CpusField = Cpus()
    memory: MemoryField = Memory(size=512 << 20)
    boot: Boot = BootDisk()
    process: Process | None = None
    """What a container runs; None for what its image says, and for a virtual machine."""
    mounts: tuple[Mount, ...] = ()
    """Folders of a container that aren't its image's."""
    firmware: Firmware = Firmware()
    disks: tuple[Disk, ...] = ()
    nics: tuple[Nic, ...] = ()
    serials: tuple[Serial, ...] = (Serial(),)
    gpus: tuple[Gpu, ...] = ()
    devices: tuple[AnyDevice, ...] = ()
    """Devices of kinds that plugins added."""
    init: Init | None = None
    labels: Labels = FrozenDict()
    options: FrozenDict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")], dict[str, Any]] = FrozenDict()
    """Backend → settings that only it understands. Those of other backends are carried, not judged."""

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            name: str,
            kind: MachineKind | str = ...,
            cpus: Cpus | int = ...,
            memory: Memory | Bytes | int | str = ...,
            boot: BootDisk | BootKernel | BootImage | BootArchive | BootRootfs = ...,
            process: Process | None = ...,
            mounts: Iterable[Mount] = ...,
            firmware: Firmware = ...,
            disks: Iterable[Disk] = ...,
            nics: Iterable[Nic] = ...,
            serials: Iterable[Serial] = ...,
            gpus: Iterable[Gpu] = ...,
            devices: Iterable[Device] = ...,
            init: Init | None = ...,
            labels: Mapping[str, str] = ...,
            options: Mapping[str, Mapping[str, Any]] = ...,
        ) -> None: ...

    else:

        def __init__(self, **data: Any) -> None:
            if type(self) is MachineSpec and "name" in data and _PLAIN.issuperset(map(type, data.values())):
                name = data.pop("name")
                try:
                    alike, given = _alike(**data)
                    fields = alike.copy()
                    fields["name"] = _valid_name(name)
                except ValidationError:
                    data["name"] = name
                else:
                    self._fill(fields, given)
                    return
            super().__init__(**data)

        __init__.__pydantic_base_init__ = True  # as in the base

    # Field by field, so that a machine pays only for the checks of what it has.

    @field_validator("boot")
    @classmethod
    def _boots_as_its_kind(cls, boot: Boot, info: ValidationInfo) -> Boot:
        if isinstance(boot, (BootArchive, BootRootfs)) and info.data.get("kind") is MachineKind.VM:
            raise PydanticCustomError("boot", "only a container boots an archive or a root file system")
        return boot

    @field_validator("process", "mounts")
    @classmethod
    def _has_as_its_kind(cls, value: V, info: ValidationInfo) -> V:
        if value and info.data.get("kind") is MachineKind.VM:
            field = str(info.field_name)
            raise PydanticCustomError(field, "only a container has {field}; kind = 'container'?", {"field": field})
        return value

    @field_validator("mounts")
    @classmethod
    def _one_mount_for_each_target(cls, mounts: tuple[Mount, ...]) -> tuple[Mount, ...]:
        if len({mount.target for mount in mounts}) != len(mounts):
            raise PydanticCustomError("mounts", "two mounts have one target")
        return mounts

    @field_validator("disks")
    @classmethod
    def _one_disk_for_each_name(cls, disks: tuple[Disk, ...]) -> tuple[Disk, ...]:
        names = [disk.name for disk in disks if disk.name is not None]
        if len(names) != len(set(names)):
            raise PydanticCustomError("disks", "two disks have one name")
        return disks

    @field_validator("nics")
    @classmethod
    def _one_card_for_each_address(cls, nics: tuple[Nic, ...]) -> tuple[Nic, ...]:
        macs = [nic.mac for nic in nics if nic.mac is not None]
        if len(macs) != len(set(macs)):
            raise PydanticCustomError("nics", "two cards have one address")
        return nics

    def options_for(self, backend: str, model: type[O]) -> O:
        """Return this spec's options for ``backend`` as ``model``, with its defaults filled in.

        Raises:
            vhal.errors.InvalidSpec: They don't fit the model; the path begins with ``options.<backend>``.
        """
        return backend_options(f"MachineSpec {self.name!r}", self.options, backend, model)

    def without_secrets(self) -> MachineSpec:
        """Return the spec as it may be kept and shown: without user-data."""
        if self.init is None or self.init.user_data is None:
            return self
        return self.model_copy(update={"init": self.init.model_copy(update={"user_data": None})})


# A fleet's machines differ in their names, and otherwise come in few kinds: where only numbers and words are given, all
# but the name is validated once for each kind. What is wrong isn't kept, and goes the long way to its error.

_PLAIN = frozenset({str, int, Bytes, MachineKind})

_valid_name = TypeAdapter(Name).validator.validate_python


@lru_cache(maxsize=256, typed=True)  # typed, since 1 == True
def _alike(**data: Any) -> tuple[dict[str, Any], set[str]]:
    """Return the fields of such a machine, with some name, and the names of those that are given."""
    made = MachineSpec.model_validate({"name": "some", **data})
    return made.__dict__, made.model_fields_set


class MachineInfo(Model):
    """What a machine is, at the moment its engine was asked."""

    id: str
    """The engine's own id: unique on its host, kept for life and through migration."""
    name: str
    kind: MachineKind
    state: MachineState
    cpus: int
    """Virtual processors."""
    memory: Bytes
    labels: FrozenDict[str, str] = FrozenDict()
    managed: bool = False
    """Whether vhal made it; machines of others are seen and can be used all the same."""
    epoch: int = 1
    """Counts the hosts a machine has lived on: of two copies the one with the higher epoch is the newer."""
    spec: MachineSpec | None = None
    """What it was made from, if vhal made it; a bulk listing may leave it out."""


def machine_json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a spec, with the device kinds registered by now."""
    schema = MachineSpec.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
