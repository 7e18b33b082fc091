"""Devices of a machine: disks, network cards, serial lines, GPUs, and whatever plugins add.

A device says what the guest gets, not how an engine spells it. The four kinds that every engine knows have a field
of their own in :class:`~vhal.spec.machine.MachineSpec`; other kinds go into its ``devices``, an open union: a plugin
subclasses :class:`Device` with a ``kind`` like ``libvirt.watchdog``, and from then on specs read, write and
describe it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import (
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    field_validator,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from vhal.spec.model import Model
from vhal.spec.units import Bytes, HostPath, Name

Mac = Annotated[str, Field(pattern=r"^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$")]
Cidr = Annotated[str, Field(pattern=r"^[0-9a-fA-F.:]{2,45}(/[0-9]{1,3})?$")]

Cdi = Annotated[
    str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,62}/[A-Za-z0-9][A-Za-z0-9_.-]{0,62}=[A-Za-z0-9_.:-]{1,128}$")
]
"""A device's full name in the Container Device Interface: ``vendor/class=device``."""


class Device(Model):
    """The base of every kind of device. A subclass with a ``kind`` default is registered by it.

    Raises:
        TypeError: Two classes claim one kind (when the second is defined).
    """

    kind: str
    kinds: ClassVar[dict[str, type[Device]]] = {}

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        kind = cls.model_fields["kind"].default
        if not isinstance(kind, str):
            return
        other = Device.kinds.get(kind)
        if other is not None and f"{other.__module__}.{other.__qualname__}" != (f"{cls.__module__}.{cls.__qualname__}"):
            raise TypeError(f"device kind {kind!r} is taken by {other.__module__}.{other.__qualname__}")
        Device.kinds[kind] = cls


class Disk(Device):
    """A disk: a new blank one of ``size``, an existing ``path``, or a copy of ``image``.

    ``format`` is never guessed: it is what the bytes are declared to be, and a raw disk whose content says
    otherwise stays a raw disk.
    """

    kind: Literal["disk"] = "disk"
    name: Name | None = None
    """Names a new volume; without it the machine's name and the disk's place are used."""
    size: Bytes | None = None
    path: HostPath | None = None
    image: Annotated[str, Field(max_length=4096, pattern=r"^[^\x00-\x1f\x7f-][^\x00-\x1f\x7f]*$")] | None = None
    pool: Name | None = None
    format: Literal["qcow2", "raw"] = "qcow2"
    bus: Literal["virtio", "scsi", "sata", "ide", "usb"] = "virtio"
    cache: Literal["default", "none", "writethrough", "writeback", "directsync", "unsafe"] = "default"
    read_only: bool = False
    shared: bool = False
    """Whether the bytes are reachable under the same path on the hosts the machine may move to."""

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            kind: Literal["disk"] = ...,
            name: str | None = ...,
            size: Bytes | int | str | None = ...,
            path: str | None = ...,
            image: str | None = ...,
            pool: str | None = ...,
            format: str = ...,
            bus: str = ...,
            cache: str = ...,
            read_only: bool = ...,
            shared: bool = ...,
        ) -> None: ...

    @model_validator(mode="after")
    def _one_origin(self) -> Disk:
        if self.path is not None and (self.image is not None or self.pool is not None):
            raise PydanticCustomError("disk", "a disk has a path, or an image or pool, not both")
        if self.path is None and self.image is None and self.size is None:
            raise PydanticCustomError("disk", "a disk needs a size (new), a path (existing) or an image")
        if self.size is not None and self.size < 512:
            raise PydanticCustomError("disk", "a disk has at least 512 bytes")
        return self


class Nic(Device):
    """A network card on one of: a ``network`` of the host, a ``bridge``, or user-mode networking.

    Without any of the three, the backend's default network is used.
    """

    kind: Literal["nic"] = "nic"
    network: Name | None = None
    bridge: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,15}$")] | None = None
    user: bool = False
    mac: Mac | None = None
    model: Literal["virtio", "e1000", "e1000e", "rtl8139"] = "virtio"
    ip: Cidr | None = None
    """A static address for the guest, with its prefix length."""

    @field_validator("mac")
    @classmethod
    def _unicast(cls, mac: str | None) -> str | None:
        if mac is not None and int(mac[:2], 16) & 1:
            raise PydanticCustomError("mac", "a card's address is unicast: its first byte is even")
        return mac.lower() if mac else mac

    @field_validator("ip")
    @classmethod
    def _address(cls, ip: str | None) -> str | None:
        if ip is not None:
            import ipaddress

            try:
                ipaddress.ip_interface(ip)
            except ValueError:
                raise PydanticCustomError("ip", "this is no IP address with a prefix length") from None
        return ip

    @model_validator(mode="after")
    def _one_wire(self) -> Nic:
        if sum((self.network is not None, self.bridge is not None, self.user)) > 1:
            raise PydanticCustomError("nic", "a card hangs on one of network, bridge, user")
        return self


class Serial(Device):
    """A serial line. The first one is the machine's console."""

    kind: Literal["serial"] = "serial"
    log: HostPath | None = None
    """A file on the host that gets a copy of what the guest writes."""
    socket: HostPath | None = None
    """A Unix socket on the host that the engine connects the line to, instead of a console."""


class Gpu(Device):
    """A request for one GPU: the whole of it, a ``profile`` of it (MIG, vGPU), or a ``share``.

    It is carried and validated; a backend that can't provide it says so in ``can()``.
    """

    kind: Literal["gpu"] = "gpu"
    vendor: Annotated[str, Field(pattern=r"^[a-z0-9.-]{1,63}$")] | None = None
    model: Annotated[str, Field(max_length=128, pattern=r"^[^\x00-\x1f\x7f]*$")] | None = None
    profile: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]{0,63}$")] | None = None
    share: Annotated[float, Field(gt=0, le=1)] | None = None
    """Fraction of one GPU's time."""
    memory: Bytes | None = None
    """At least this much of the GPU's memory."""
    cdi: Cdi | None = None
    """Exactly that device, by its name in the Container Device Interface: ``nvidia.com/gpu=0``."""

    @model_validator(mode="after")
    def _one_measure(self) -> Gpu:
        if self.profile is not None and self.share is not None:
            raise PydanticCustomError("gpu", "ask for a profile or for a share, not both")
        others = (self.vendor, self.model, self.profile, self.share, self.memory)
        if self.cdi is not None and any(other is not None for other in others):
            raise PydanticCustomError("gpu", "a CDI name says it all: leave the rest out")
        return self


FIELD_OF_KIND = {"disk": "disks", "nic": "nics", "serial": "serials", "gpu": "gpus"}
"""The kinds that have a field of their own in a spec."""


class _OpenUnion:
    """Validates by ``kind`` against whatever is registered at that moment."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            _device,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda device, info: device.model_dump(mode=info.mode), info_arg=True
            ),
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        kinds = [cls for kind, cls in sorted(Device.kinds.items()) if kind not in FIELD_OF_KIND]
        return {
            "type": "object",
            "required": ["kind"],
            "properties": {"kind": {"type": "string"}},
            "anyOf": [handler(cls.__pydantic_core_schema__) for cls in kinds] or [{}],
        }


def _device(value: Any) -> Device:
    if isinstance(value, Device):
        kind: Any = value.kind
    elif isinstance(value, dict):
        kind = value.get("kind")
    else:
        raise PydanticCustomError("device", "a device is a table with a 'kind'")
    if isinstance(kind, str) and kind in FIELD_OF_KIND:
        raise PydanticCustomError(
            "device", "a {kind} goes under '{field}'", {"kind": kind, "field": FIELD_OF_KIND[kind]}
        )
    cls = Device.kinds.get(kind) if isinstance(kind, str) else None
    if cls is None:
        known = ", ".join(sorted(set(Device.kinds) - set(FIELD_OF_KIND))) or "none"
        raise PydanticCustomError(
            "device",
            "unknown device kind '{kind}'; installed: {known}",
            {"kind": str(kind), "known": known},
        )
    # Through pydantic's own entry, so that a nested error keeps its place in the spec.
    return cls.__pydantic_validator__.validate_python(value)  # type: ignore[no-any-return]


AnyDevice = Annotated[Device, _OpenUnion()]
"""A device of any registered kind that has no field of its own."""
