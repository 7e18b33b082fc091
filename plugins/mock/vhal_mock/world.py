"""Worlds: sets of hosts that see each other and share a clock. Two worlds share nothing.

``mock:///a`` means host ``a`` of the default world of this process, which has hosts ``a`` and ``b``. A world of one's
own is made from a spec and has URLs of its own::

    world = World.from_spec({"hosts": [{"name": "big", "cpus": 64, "memory": "256GiB"}]})
    vhal.connect(world.url("big"))
"""

from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from vhal.errors import InvalidSpec, NotFound
from vhal_mock.clock import Clock
from vhal_mock.host import HostModel, SimHost

if TYPE_CHECKING:
    from vhal_mock.programs import Program

_numbers: Iterator[int] = itertools.count(1)
_worlds: weakref.WeakValueDictionary[str, World] = weakref.WeakValueDictionary()
_default: list[World] = []
_lock = threading.Lock()


class World:
    """A world of hosts. It lives as long as somebody holds it or has a connection into it.

    Args:
        hosts: What they are made of; the first is the one that ``mock:///`` means.
        speed: Virtual seconds in a real one; None for as fast as it goes.

    Raises:
        vhal.errors.InvalidSpec: There is no host, or two have one name.
    """

    def __init__(self, hosts: Iterable[HostModel], speed: float | None = None) -> None:
        self._number = next(_numbers)
        self._ids = itertools.count(1)
        self.name = f"world-{self._number}"
        self.clock = Clock(speed)
        self.programs: dict[str, Program] = {}
        """What its machines have besides the built-in ones, by name."""
        self.hosts: dict[str, SimHost] = {}
        for model in hosts:
            if model.name in self.hosts:
                raise InvalidSpec(
                    f"two hosts are named {model.name!r}", problems=[("hosts", f"two are named {model.name!r}")]
                )
            self.hosts[model.name] = SimHost(self, model)
        if not self.hosts:
            raise InvalidSpec("a world needs a host", problems=[("hosts", "at least one is needed")])
        with _lock:
            _worlds[self.name] = self

    def new_id(self) -> str:
        """Return an id for a host or machine: a uuid (version 8, RFC 9562), the same in each run."""
        number = next(self._ids)
        return f"{self._number:08x}-0000-8000-8000-{number:012x}"

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> World:
        """Return a world as ``spec`` describes it; the fields are those of :class:`vhal_mock.spec.WorldSpec`.

        Raises:
            vhal.errors.InvalidSpec: With the path and the reason of each problem.
        """
        from vhal_mock.spec import WorldSpec

        wanted = WorldSpec(**spec)
        return cls((HostModel(**dict(host)) for host in wanted.hosts), wanted.speed)

    def program(self, name: str, function: Program) -> None:
        """Let every machine of this world have a program.

        Args:
            name: What one calls it by; a path to it counts by its last part.
            function: Called with a :class:`vhal_mock.process.Invocation`, in a thread of its own for each run; it
                returns the exit code.
        """
        self.programs[name] = function

    def host(self, name: str) -> SimHost:
        """Return a host by name, or the first for an empty name.

        Raises:
            vhal.errors.NotFound: There is none.
        """
        if not name:
            return next(iter(self.hosts.values()))
        host = self.hosts.get(name)
        if host is None:
            raise NotFound(f"there is no mock host {name!r}", hint=f"there are {', '.join(self.hosts)}")
        return host

    def url(self, host: str = "") -> str:
        """Return the URL of a host."""
        return f"mock://{self.name}/{host}"


def find(name: str | None) -> World:
    """Return a world by name, or the default world, which is made when it is first wanted.

    Raises:
        vhal.errors.NotFound: There is none.
    """
    if name is None:
        with _lock:
            if _default:
                return _default[0]
        made = World([HostModel("a"), HostModel("b")])
        with _lock:
            if not _default:
                _default.append(made)
            return _default[0]
    world = _worlds.get(name)
    if world is None:
        raise NotFound(
            f"there is no mock world {name!r}",
            hint="worlds live in the process that made them; mock:/// is always there",
        )
    return world


def swap_default(world: World | None) -> World | None:
    """Let ``mock:///`` mean ``world``, or a new one with None; return what it meant. Connections keep their world."""
    with _lock:
        former = _default[0] if _default else None
        _default[:] = [] if world is None else [world]
    return former


def swap_numbers(numbers: Iterator[int]) -> Iterator[int]:
    """Number the worlds that are made from now on by ``numbers``; return what did before. Ids begin with the number."""
    global _numbers
    former, _numbers = _numbers, numbers
    return former
