"""What a world can be made from: a table, as in TOML or JSON."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from vhal.driver.fault import Fault
from vhal.errors import InvalidSpec
from vhal.spec import Bytes, MachineSpec, Model, Name
from vhal.spec.frozen import FrozenDict
from vhal_mock.gpu import PARTED
from vhal_mock.model import GpuModel, HostModel, LinkModel
from vhal_mock.progression import Change, Progression

Factor = Annotated[float, Field(ge=1, le=100)]
Size = Annotated[Bytes, Field(ge=1 << 20, le=1 << 60)]
Latency = Annotated[float, Field(ge=0, le=60)]
Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:+-]{0,63}$")]


class GpuSpec(Model):
    """GPUs of one kind; the fields are those of :class:`vhal_mock.model.GpuModel`."""

    model: Word = "H100-80GB"
    """What it is called; partitions are known of A100, A30 and H100."""
    scheme: Literal["passthrough", "mig", "vgpu", "share"] = "passthrough"
    """How it is given away: whole, in partitions, in partitions that can move, or as a share of its time."""
    memory: Size = Bytes("80GiB")
    """Bytes; the model's name doesn't say: an ``A100-40GB`` needs ``memory = "40GiB"``, too."""
    count: Annotated[int, Field(ge=1, le=64)] = 1
    """So many alike."""

    @model_validator(mode="after")
    def _has_known_places(self) -> GpuSpec:
        if self.scheme in ("mig", "vgpu") and not self.model.upper().startswith(PARTED):
            raise PydanticCustomError(
                "gpu", "partitions are known of A100, A30 and H100 only; see 'model' and 'scheme'"
            )
        return self


class HostSpec(Model):
    """One host, or several alike; the fields are those of :class:`vhal_mock.model.HostModel`."""

    name: Name
    count: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """So many alike; the number, from 1, is put behind the name."""
    cpus: Annotated[int, Field(ge=1, le=4096)] = 16
    """Processors."""
    memory: Size = Bytes("64GiB")
    cpu_overcommit: Factor = 4.0
    memory_overcommit: Factor = 1.0
    bandwidth: Size = Bytes(1_250_000_000)
    """Bytes a second to other hosts."""
    latency_s: Latency = 0.0001
    disk: Size = Bytes("2TiB")
    disk_overcommit: Factor = 1.0
    """Bytes of disk that may be promised for each one there is."""
    disk_bandwidth: Size = Bytes("1GiB")
    numa: Annotated[int, Field(ge=1, le=64)] = 1
    cpu_model: Word = "mock"
    """What ``host-model`` and ``host-passthrough`` machines need where they go."""
    cpu_features: frozenset[Word] = frozenset()
    """What containers and such machines need where they go."""
    gpus: tuple[GpuSpec, ...] = ()
    """Its GPUs."""
    domains: FrozenDict[Word, Word] = FrozenDict()
    versions: FrozenDict[Word, Word] = FrozenDict()
    quirks: frozenset[Literal["post-copy-parallel-loses"]] = frozenset()
    """What its engine gets wrong: ``post-copy-parallel-loses`` is QEMU before 10.1."""

    def models(self) -> list[HostModel]:
        """Return what it says, a model for each host."""
        fields = {name: getattr(self, name) for name in HostModel.__dataclass_fields__ if name not in ("name", "gpus")}
        gpus = tuple(GpuModel(gpu.model, gpu.scheme, int(gpu.memory)) for gpu in self.gpus for _ in range(gpu.count))
        names = [self.name] if self.count is None else [f"{self.name}{number}" for number in range(1, self.count + 1)]
        return [HostModel(name=name, gpus=gpus, **fields) for name in names]


class LinkSpec(Model):
    """A link that a group of hosts shares: a rack's uplink."""

    name: Name
    hosts: tuple[Name, ...] = ()
    """Those on one side of it."""
    domain: FrozenDict[Word, Word] = FrozenDict()
    """Those in that failure domain, besides ``hosts`` or instead of them."""
    bandwidth: Size
    """Bytes a second, in each direction."""
    latency_s: Latency = 0.0
    """What it adds to that of the hosts."""

    def model(self, hosts: list[HostModel]) -> LinkModel:
        """Return the link, with its hosts by name."""
        inside = tuple(dict.fromkeys((*self.hosts, *self.members(hosts))))
        return LinkModel(self.name, inside, int(self.bandwidth), self.latency_s)

    def members(self, hosts: list[HostModel]) -> list[str]:
        """Return the names of the hosts in its failure domain."""
        return [host.name for host in hosts if self.domain and self.domain.items() <= host.domains.items()]


class PlacedMachine(Model):
    """A machine that is there from the beginning."""

    host: Name
    """Where it is."""
    running: bool = False
    """Whether it runs."""
    count: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """So many alike; the number is put behind the name."""
    spec: MachineSpec
    """What it is."""

    def specs(self) -> list[MachineSpec]:
        """Return the spec of each."""
        if self.count is None:
            return [self.spec]
        self.spec.replace(name=f"{self.spec.name}{self.count}")  # if the longest name is one, so are the others
        return [
            self.spec.model_copy(update={"name": f"{self.spec.name}{number}"}) for number in range(1, self.count + 1)
        ]


class WorldSpec(Model):
    """Hosts that see each other, and what is on them."""

    hosts: tuple[HostSpec, ...]
    """What machines run on."""
    links: tuple[LinkSpec, ...] = ()
    """What groups of hosts share."""
    machines: tuple[PlacedMachine, ...] = ()
    """What is there from the beginning."""
    faults: tuple[Fault, ...] = ()
    """What goes wrong inside of operations."""
    seed: Annotated[int, Field(ge=0, lt=1 << 63)] = 0
    """Of everything that is random in it."""
    speed: Annotated[float, Field(gt=0)] | None = None
    """Virtual seconds in a real one; without it, as fast as it goes."""
    progression: FrozenDict[Change, Progression] = FrozenDict()
    """How a change comes about: see :mod:`vhal_mock.progression`."""


def check(spec: WorldSpec, source: str) -> None:
    """Return if what a world's spec names is there, and nothing is there twice.

    Args:
        spec: The spec.
        source: What to call it in the error.

    Raises:
        vhal.errors.InvalidSpec: The path and the reason, and in the hint the nearest name that there is.
    """
    places: dict[str, str] = {}
    for place, host in enumerate(spec.hosts):
        for model in host.models():
            if model.name in places:
                raise wrong(
                    source,
                    f"hosts[{place}].name",
                    f"two hosts are named {model.name!r}",
                    f"rename it or {places[model.name]}",
                )
            places[model.name] = f"hosts[{place}]"
    if not places:
        raise wrong(source, "hosts", "a world needs a host", "add one: name = …")
    named = [
        *((f"links[{a}].hosts[{b}]", name) for a, link in enumerate(spec.links) for b, name in enumerate(link.hosts)),
        *((f"machines[{a}].host", machine.host) for a, machine in enumerate(spec.machines)),
        *((f"faults[{a}].host", fault.host) for a, fault in enumerate(spec.faults) if fault.host is not None),
    ]
    for path, name in named:
        if name not in places:
            raise unknown(source, path, "host", name, places)
    models = [model for host in spec.hosts for model in host.models()]
    for place, link in enumerate(spec.links):
        if not (link.members(models) if link.domain else link.hosts):
            domain = ", ".join(f"{kind} = {name!r}" for kind, name in link.domain.items())
            known = sorted({f"{kind} = {name!r}" for model in models for kind, name in model.domains.items()})
            near = get_close_matches(domain, known, 1, 0.3)
            raise wrong(
                source,
                f"links[{place}].domain" if domain else f"links[{place}].hosts",
                f"no host is in {domain}" if domain else "no host shares this link",
                f"did you mean {near[0]}?" if near else "name the hosts that share it, or a domain that they are in",
            )


def unknown(source: str, path: str, what: str, name: str, known: Iterable[str]) -> InvalidSpec:
    """Return the error for a name that isn't there, with the nearest that is."""
    names = list(known)
    near = get_close_matches(name, names, 1, 0.3)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names[:20]) or 'none'}"
    return wrong(source, path, f"there is no {what} {name!r}", hint)


def wrong(source: str, path: str, reason: str, hint: str) -> InvalidSpec:
    """Return the error for what is wrong at a place of a file."""
    return InvalidSpec(f"{source}: {path}: {reason}", problems=[(path, reason)], hint=hint)
