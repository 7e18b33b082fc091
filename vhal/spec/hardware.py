"""What a machine is made of besides devices: processors, memory, firmware, boot source."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from vhal.spec.frozen import FrozenDict
from vhal.spec.model import Model
from vhal.spec.units import Bytes, HostPath

CpuSet = Annotated[str, Field(pattern=r"^[0-9]{1,4}(-[0-9]{1,4})?(,[0-9]{1,4}(-[0-9]{1,4})?)*$")]
"""Processors of the host as the kernel writes them: ``0-3,8``."""


class Topology(Model):
    """How the guest sees its processors: ``sockets × cores × threads`` of them."""

    sockets: Annotated[int, Field(ge=1, le=1024)] = 1
    cores: Annotated[int, Field(ge=1, le=1024)] = 1
    threads: Annotated[int, Field(ge=1, le=16)] = 1


class Cpus(Model):
    """Virtual processors. A bare number means that many, with everything else left to the engine."""

    count: Annotated[int, Field(ge=1, le=4096)] = 1
    topology: Topology | None = None
    pinning: FrozenDict[Annotated[int, Field(ge=0)], CpuSet] = FrozenDict()
    """Virtual processor → processors of the host that it may run on."""
    model: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")] | None = None
    """``host-passthrough``, ``host-model``, a model of the engine's, or None for the engine's default."""

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            count: int = ...,
            topology: Topology | dict[str, int] | None = ...,
            pinning: dict[int, str] | FrozenDict[int, str] = ...,
            model: str | None = ...,
        ) -> None: ...

    @field_validator("topology")
    @classmethod
    def _has_so_many(cls, shape: Topology | None, info: ValidationInfo) -> Topology | None:
        count = info.data.get("count")  # absent if it is wrong itself
        if shape is not None and count not in (None, shape.sockets * shape.cores * shape.threads):
            raise PydanticCustomError(
                "cpus",
                "{s} sockets x {c} cores x {t} threads is not {count} processors",
                {"s": shape.sockets, "c": shape.cores, "t": shape.threads, "count": count},
            )
        return shape

    @field_validator("pinning")
    @classmethod
    def _pins_what_there_is(cls, pinning: FrozenDict[int, str], info: ValidationInfo) -> FrozenDict[int, str]:
        count = info.data.get("count")
        for vcpu in pinning:
            if count is not None and vcpu >= count:
                raise PydanticCustomError(
                    "cpus", "pinning names processor {vcpu}, there are {count}",
                    {"vcpu": vcpu, "count": count},
                )  # fmt: skip
        return pinning


class Memory(Model):
    """Guest memory. A bare size means that much ordinary memory."""

    size: Bytes
    hugepages: Bytes | None = None
    """Size of the huge pages that back it, or None for ordinary pages."""

    if TYPE_CHECKING:

        def __init__(self, *, size: Bytes | int | str, hugepages: Bytes | int | str | None = ...) -> None: ...

    @field_validator("size")
    @classmethod
    def _enough(cls, size: Bytes) -> Bytes:
        if size < 1 << 20:
            raise PydanticCustomError(
                "memory", "{size} is less than any machine has; is the unit missing ('2GiB')?",
                {"size": str(size)},
            )  # fmt: skip
        return size

    @field_validator("hugepages")
    @classmethod
    def _whole_pages(cls, hugepages: Bytes | None, info: ValidationInfo) -> Bytes | None:
        if hugepages and info.data.get("size", 0) % hugepages:
            raise PydanticCustomError("memory", "the size must be a multiple of the huge page")
        return hugepages


class Firmware(Model):
    """What runs before the guest's boot loader."""

    type: Literal["bios", "uefi"] = "bios"
    secure_boot: bool = False
    tpm: bool = False
    """A TPM 2.0, emulated."""

    @model_validator(mode="after")
    def _consistent(self) -> Firmware:
        if self.secure_boot and self.type != "uefi":
            raise PydanticCustomError("firmware", "secure boot needs type 'uefi'")
        return self


class BootDisk(Model):
    """Boot from the first disk."""

    source: Literal["disk"] = "disk"


class BootKernel(Model):
    """Boot a Linux kernel that lies on the host, without a boot loader."""

    source: Literal["kernel"] = "kernel"
    kernel: HostPath
    initrd: HostPath | None = None
    cmdline: Annotated[str, Field(max_length=2048, pattern=r"^[^\x00-\x1f\x7f]*$")] = ""


class BootImage(Model):
    """Boot an image: a container's, or a disk image that the engine keeps."""

    source: Literal["image"] = "image"
    image: Annotated[str, Field(max_length=512, pattern=r"^[^\s\x00-\x1f\x7f-][^\s\x00-\x1f\x7f]*$")]


class BootArchive(Model):
    """Boot an image that lies in a file where this process runs, as ``docker save`` or ``podman save`` writes it."""

    source: Literal["archive"] = "archive"
    archive: HostPath


class BootRootfs(Model):
    """Boot a folder on the host that holds a container's root file system. It is used as it is, not copied."""

    source: Literal["rootfs"] = "rootfs"
    rootfs: HostPath


Boot = Annotated[BootDisk | BootKernel | BootImage | BootArchive | BootRootfs, Field(discriminator="source")]


def _count(value: Any) -> Any:
    return _cpus(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _size(value: Any) -> Any:
    return _memory(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else value


# A fleet's machines come in few sizes, so equal ones share a model. Made through pydantic's own entry, so that an error
# keeps its place in the spec; what is wrong isn't kept.
@lru_cache(maxsize=256)
def _cpus(count: int) -> Cpus:
    return Cpus.__pydantic_validator__.validate_python({"count": count})  # type: ignore[no-any-return]


@lru_cache(maxsize=256)
def _memory(size: int | str) -> Memory:
    return Memory.__pydantic_validator__.validate_python({"size": size})  # type: ignore[no-any-return]


CpusField = Annotated[
    Cpus,
    BeforeValidator(_count, json_schema_input_type=Cpus | Annotated[int, Field(ge=1, le=4096)]),
]
"""Processors, or a number of them."""

MemoryField = Annotated[Memory, BeforeValidator(_size, json_schema_input_type=Memory | Bytes)]
"""Memory, or a size of it."""
