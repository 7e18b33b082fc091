"""What a container runs, in the words of OCI, and the folders that are mounted into it.

A virtual machine has an operating system that decides this; a spec of kind ``vm`` has neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from vhal.spec.frozen import FrozenDict
from vhal.spec.model import Model
from vhal.spec.units import Bytes, HostPath, Name

_TEXT = r"^[^\x00]*$"
Argument = Annotated[str, Field(max_length=131072, pattern=_TEXT)]
"""One word of a command; a shell is only in it if the command names one."""
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*$", max_length=256)]
Linux = Annotated[str, Field(pattern=r"^CAP_[A-Z_]{2,30}$")]
"""A capability of Linux, as ``CAP_NET_ADMIN``."""
_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}"
User = Annotated[str, Field(pattern=rf"^{_NAME}(:{_NAME})?$")]
Seconds = Annotated[float, Field(gt=0, le=86400)]


class Ulimit(Model):
    """A limit of the kernel's on a process. A bare number is both."""

    soft: Annotated[int, Field(ge=-1)]
    hard: Annotated[int, Field(ge=-1)]

    @model_validator(mode="after")
    def _ordered(self) -> Ulimit:
        if self.hard != -1 and (self.soft == -1 or self.soft > self.hard):
            raise PydanticCustomError("ulimit", "the soft limit is above the hard one")
        return self


class Health(Model):
    """How the engine finds out whether the container is up: a command inside it that ends with 0."""

    command: Annotated[tuple[Argument, ...], Field(min_length=1)]
    interval_s: Seconds = 10.0
    timeout_s: Seconds = 5.0
    start_period_s: Annotated[float, Field(ge=0, le=86400)] = 0.0
    """How long failures at the beginning don't count."""
    retries: Annotated[int, Field(ge=1, le=1000)] = 3
    """Failures in a row after which it counts as unhealthy."""

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            command: Iterable[str],
            interval_s: float = ...,
            timeout_s: float = ...,
            start_period_s: float = ...,
            retries: int = ...,
        ) -> None: ...


def _both(value: Any) -> Any:
    return {"soft": value, "hard": value} if isinstance(value, int) and not isinstance(value, bool) else value


UlimitField = Annotated[Ulimit, BeforeValidator(_both, json_schema_input_type=Ulimit | int)]


class Process(Model):
    """What runs in a container. What isn't given is the image's."""

    entrypoint: tuple[Argument, ...] | None = None
    command: tuple[Argument, ...] | None = None
    """Follows the entrypoint, or is the whole command where there is none."""
    env: FrozenDict[Variable, Argument] = FrozenDict()
    """Visible to whoever may look at the machine; secrets belong into a file that is mounted."""
    user: User | None = None
    """``user``, or ``user:group``, by name or number."""
    cwd: HostPath | None = None
    read_only: bool = False
    """Whether its root file system is; mounts have a ``read_only`` of their own."""
    capabilities_add: frozenset[Linux] = frozenset()
    capabilities_drop: frozenset[Linux] = frozenset()
    ulimits: FrozenDict[Annotated[str, Field(pattern=r"^[a-z]{2,16}$")], UlimitField] = FrozenDict()
    """``nofile``, ``nproc``, … as in setrlimit(2); what isn't given is the engine's default."""
    terminal: bool = False
    stop_signal: Annotated[str, Field(pattern=r"^SIG[A-Z0-9+-]{2,12}$")] | None = None
    health: Health | None = None

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            entrypoint: Iterable[str] | None = ...,
            command: Iterable[str] | None = ...,
            env: Mapping[str, str] = ...,
            user: str | None = ...,
            cwd: str | None = ...,
            read_only: bool = ...,
            capabilities_add: Iterable[str] = ...,
            capabilities_drop: Iterable[str] = ...,
            ulimits: Mapping[str, Ulimit | int] = ...,
            terminal: bool = ...,
            stop_signal: str | None = ...,
            health: Health | None = ...,
        ) -> None: ...

    @model_validator(mode="after")
    def _consistent(self) -> Process:
        both = self.capabilities_add & self.capabilities_drop
        if both:
            raise PydanticCustomError(
                "process", "{names} can't be both added and dropped", {"names": ", ".join(sorted(both))}
            )
        return self


class Mount(Model):
    """A folder in a container that isn't its image's: a named ``volume``, a ``path`` of the host, or new memory."""

    target: HostPath
    """Where it is in the container."""
    volume: Name | None = None
    """Made with the machine, and deleted with it, unless it was there before."""
    path: HostPath | None = None
    tmpfs: Bytes | None = None
    """Size of a file system in memory; what is in it moves with the container's memory, and is lost when it stops."""
    read_only: bool = False
    shared: bool = False
    """Whether the same content is reachable under the same name or path on the hosts the machine may move to."""

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            target: str,
            volume: str | None = ...,
            path: str | None = ...,
            tmpfs: Bytes | int | str | None = ...,
            read_only: bool = ...,
            shared: bool = ...,
        ) -> None: ...

    @model_validator(mode="after")
    def _one_origin(self) -> Mount:
        if sum(origin is not None for origin in (self.volume, self.path, self.tmpfs)) != 1:
            raise PydanticCustomError("mount", "a mount is one of volume, path, tmpfs")
        if self.tmpfs is not None and (self.shared or self.read_only):
            raise PydanticCustomError("mount", "memory is neither shared nor read-only")
        return self
