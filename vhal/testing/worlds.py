"""The test kit's hands on the simulator: all that it knows of the worlds of ``vhal_mock`` is here.

The core imports no plugin, so the simulator is found as a user's URL finds it: by its entry point.
"""

from __future__ import annotations

import importlib
import itertools
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import WeakSet
from zlib import crc32

from vhal.driver.driver import Driver
from vhal.driver.url import HostUrl
from vhal.errors import InvalidSpec, PluginError
from vhal.layers.layer import Layer
from vhal.registry import registry

if TYPE_CHECKING:
    from vhal_mock.world import World

    from vhal.driver import Fault, FaultPlan

Hosts: TypeAlias = int | Iterable[str | Mapping[str, Any]]
"""How many hosts a world has; or their names, or what each is made of."""

SIZES = ((8, "32GiB"), (16, "64GiB"), (32, "128GiB"))
"""Processors and memory of the hosts of a fleet that nobody describes, in turn: no two neighbours are the same."""

MOST = 10_000
"""Hosts of a fleet that nobody describes."""

_given: WeakSet[World] = WeakSet()
_defaults: dict[object, World] = {}
_before: list[World | None] = []
_lock = threading.RLock()


def _module(name: str) -> Any:
    return importlib.import_module(f"{registry.plugin('mock').__name__}.{name}")


def available() -> bool:
    """Return whether the simulator may be used: ``VHAL_PLUGINS`` may leave it out."""
    try:
        return registry.plugin("mock") is not None
    except PluginError:
        return False


def make(hosts: Hosts | None = None, spec: str | Path | None = None, seed: int | None = None) -> World:
    """Return a new world, with hosts as they are given.

    Args:
        hosts: How many, and the kit chooses what they are made of; or what each is.
        spec: Instead: a file that describes a world.
        seed: What chance is decided by.

    Raises:
        vhal.errors.InvalidSpec: With the path and the reason of each problem.
    """
    if hosts is not None and spec is not None:
        raise InvalidSpec(
            "a world is made from hosts or from a spec, not from both",
            problems=[("hosts", "spec is given, too")],
            hint="leave one of them out",
        )
    world_class = registry.plugin("mock").World
    seeded = {} if seed is None else {"seed": seed}
    made: World
    if spec is not None:
        from vhal.spec.load import load_model

        wanted = load_model(spec, _module("spec").WorldSpec).model_copy(update=seeded)
        made = world_class.from_spec(wanted, Path(spec))
    else:
        made = world_class.from_spec({"hosts": _described(3 if hosts is None else hosts), **seeded})
    if hosts is not None or spec is not None:
        _given.add(made)
    return made


def _described(hosts: Hosts) -> list[dict[str, Any]]:
    if isinstance(hosts, (str, bytes, bool)) or not isinstance(hosts, (int, Iterable)):
        raise InvalidSpec(
            f"hosts={hosts!r} says neither how many hosts there are nor which",
            problems=[("hosts", "must be a number, or a list of names or tables")],
            hint='write hosts=3, hosts=["alpha", "beta"] or hosts=[{"name": "alpha", "memory": "8GiB"}]',
        )
    if not isinstance(hosts, int):
        return [{"name": host} if isinstance(host, str) else dict(host) for host in hosts]
    if not 1 <= hosts <= MOST:
        raise InvalidSpec(
            f"a world can't have {hosts} hosts",
            problems=[("hosts", f"must be 1 to {MOST}")],
            hint="describe a larger world in a file, and give it as spec",
        )
    named = [chr(ord("a") + n) if hosts <= 26 else f"host{n}" for n in range(hosts)]
    sizes = itertools.cycle(SIZES)
    return [{"name": name, "cpus": cpus, "memory": memory} for name, (cpus, memory) in zip(named, sizes, strict=False)]


def is_given(world: World) -> bool:
    """Return whether somebody said which hosts the world has, so that no others are made on demand."""
    return world in _given


def give(world: World) -> World:
    """Let no hosts be made on demand in ``world``; return it."""
    _given.add(world)
    return world


def add_host(world: World, name: str) -> None:
    """Give ``world`` one more host. Does nothing if it has one of that name."""
    with _lock:
        if name not in world.hosts:
            world.add_host(_module("model").HostModel(name))


def open_host(world: World, name: str) -> Driver:
    """Return a driver for a host of ``world``."""
    return registry.backend("mock").open(HostUrl("mock", host=world.name, path=f"/{name}"))


def world_of(driver: Driver) -> World | None:
    """Return the world that a driver reaches, or None if it is no simulated host's."""
    while isinstance(driver, Layer):
        driver = driver.inner
    world: World | None = getattr(getattr(driver, "host", None), "world", None)
    return world


def active(world: World) -> Iterator[tuple[str, str, str, str]]:
    """Yield each machine of ``world`` that holds something of its host: its id, name, state and host."""
    for name, host in list(world.hosts.items()):
        for id, machine in list(host.machines.items()):  # noqa: A001 - the contract's word
            if machine.state.active:
                yield id, machine.spec.name, str(machine.state), name


def check_host(world: World, name: str, place: str) -> None:
    """Return if ``world`` has a host ``name``.

    Raises:
        vhal.errors.InvalidSpec: It hasn't; the hint has the nearest, ``place`` is where it was named.
    """
    if name not in world.hosts:
        near = get_close_matches(name, world.hosts, 1)
        raise InvalidSpec(
            f"{place}: the simulated world has no host {name!r}",
            problems=[(place, f"there is no host {name!r}")],
            hint=f"did you mean {near[0]!r}?" if near else f"there are {', '.join(world.hosts)}",
        )


def plan(world: Any) -> FaultPlan:
    """Return what goes wrong in ``world``."""
    faults: FaultPlan = world.faults
    return faults


def inject(world: Any, fault: Fault) -> None:
    """Let ``fault`` go wrong in ``world``.

    Raises:
        vhal.errors.InvalidSpec: The simulator has no such point.
    """
    world.inject(fault)


# the world that mock:/// means


def start_over() -> None:
    """Let ``mock:///`` be a new world, unless somebody has put one there and still holds it."""
    with _lock:
        if not _defaults:
            _module("world").swap_default(None)


def current() -> World:
    """Return the world that ``mock:///`` means, which is made when it is first wanted."""
    found: World = _module("world").find(None)
    return found


def adopt() -> World:
    """Return the world that ``mock:///`` means; if there is none yet, one that it doesn't mean later either."""
    swap = _module("world").swap_default
    with _lock:
        former: World | None = swap(None)
        found = former or current()
        swap(former)
    return found


@contextmanager
def default(world: World) -> Iterator[None]:
    """Let ``mock:///`` mean ``world`` while the block runs. Blocks may be nested, and may end in any order."""
    swap = _module("world").swap_default
    mine = object()
    with _lock:
        former = swap(world)
        if not _defaults:
            _before[:] = [former]
        _defaults[mine] = world
    try:
        yield
    finally:
        with _lock:
            del _defaults[mine]
            swap(next(reversed(_defaults.values()), _before[0]))


@contextmanager
def numbered(key: str) -> Iterator[None]:
    """Let the ids in worlds that are made while the block runs depend on ``key``, not on what was made before it."""
    swap = _module("world").swap_numbers
    # The upper half of 32 bits belongs to keys, 256 worlds each; the lower half to worlds made outside of a block.
    former = swap(itertools.count(0x8000_0000 | crc32(key.encode()) & 0x7FFF_FF00))
    try:
        yield
    finally:
        swap(former)
