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

from vhal.driver.fault_plan import FaultPlan
from vhal.errors import InvalidSpec, NotFound
from vhal_mock.clock import Clock
from vhal_mock.host import SimHost
from vhal_mock.log import Log
from vhal_mock.model import HostModel, LinkModel
from vhal_mock.network import Network
from vhal_mock.points import POINTS

if TYPE_CHECKING:
    from pathlib import Path

    from vhal.driver.fault import Fault
    from vhal_mock.machine import SimMachine
    from vhal_mock.programs import Program
    from vhal_mock.progression import Change, Progression
    from vhal_mock.spec import WorldSpec
    from vhal_mock.trace import Traces
    from vhal_mock.transfer import Journey

_numbers: Iterator[int] = itertools.count(1)
_worlds: weakref.WeakValueDictionary[str, World] = weakref.WeakValueDictionary()
_default: list[World] = []
_lock = threading.Lock()


class World:
    """A world of hosts. It lives as long as somebody holds it or has a connection into it.

    The same seed and the same calls, from one thread or from tasks of its clock, give the same :attr:`log`, byte for
    byte.

    Args:
        hosts: What they are made of; the first is the one that ``mock:///`` means.
        speed: Virtual seconds in a real one; None for as fast as it goes.
        seed: Of everything that is random in it.
        links: Links that hosts share.
        progression: ``boot`` or ``stop`` → how that comes about.

    Raises:
        vhal.errors.InvalidSpec: There is no host, or two have one name.
    """

    def __init__(
        self,
        hosts: Iterable[HostModel],
        speed: float | None = None,
        seed: int = 0,
        links: Iterable[LinkModel] = (),
        progression: Mapping[Change, Progression] | None = None,
    ) -> None:
        self._number = next(_numbers)
        self._ids = itertools.count(1)
        self._id = f"{self._number:08x}-0000-8000-8000-%012x"
        self.name = f"world-{self._number}"
        self.seed = seed
        self.clock = Clock(speed)
        self.log = Log(self.clock)
        self.network = Network(self.clock)
        self.faults: FaultPlan = FaultPlan(seed=seed)
        """What goes wrong; :meth:`inject` adds to it."""
        self.progression: dict[Change, Progression] = dict(progression or {})
        self.programs: dict[str, Program] = {}
        """What its machines have besides the built-in ones, by name."""
        self.journeys: dict[str, Journey] = {}
        """The machines that are on their way, by id."""
        self.unanswered: set[int] = set()
        """Threads whose call is done, but who won't hear of it."""
        self.folder: Path | None = None
        """Where the paths of traces begin; None for the current one."""
        self._traces: Traces | None = None
        self.hosts: dict[str, SimHost] = {}
        for model in hosts:
            self.add_host(model)
        if not self.hosts:
            raise InvalidSpec("a world needs a host", problems=[("hosts", "at least one is needed")])
        for link in links:
            self.network.share(link.name, link.hosts, link.bandwidth, link.latency_s)
        with _lock:
            _worlds[self.name] = self

    def add_host(self, model: HostModel) -> SimHost:
        """Let there be one host more.

        Raises:
            vhal.errors.InvalidSpec: There is one of that name.
        """
        if model.name in self.hosts:
            raise InvalidSpec(
                f"two hosts are named {model.name!r}", problems=[("hosts", f"two are named {model.name!r}")]
            )
        host = self.hosts[model.name] = SimHost(self, model)
        self.network.add_host(model.name, model.bandwidth, model.latency_s)
        return host

    def new_id(self) -> str:
        """Return an id for a host or machine: a uuid (version 8, RFC 9562), the same in each run."""
        return self._id % next(self._ids)

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any] | WorldSpec, source: Path | None = None) -> World:
        """Return a world as ``spec`` describes it; the fields are those of :class:`vhal_mock.spec.WorldSpec`.

        Args:
            spec: The table.
            source: The file that it is from: paths of traces in it begin there, and errors name it.

        Raises:
            vhal.errors.InvalidSpec: With the path and the reason of each problem.
        """
        from vhal.driver.fault import check_points
        from vhal_mock.populate import populate
        from vhal_mock.spec import WorldSpec, check

        wanted = spec if isinstance(spec, WorldSpec) else WorldSpec(**spec)
        name = "WorldSpec" if source is None else str(source)
        check(wanted, name)
        models = [model for host in wanted.hosts for model in host.models()]
        links = [link.model(models) for link in wanted.links]
        world = cls(models, wanted.speed, wanted.seed, links, wanted.progression)
        world.folder = None if source is None else source.parent
        check_points(wanted.faults, POINTS, source=name)
        populate(world, wanted.machines, name)
        for fault in wanted.faults:
            world.faults.add(fault)
        return world

    @classmethod
    def load(cls, path: str | Path) -> World:
        """Return the world that a TOML or JSON file describes.

        Raises:
            vhal.errors.NotFound: There is no such file.
            vhal.errors.InvalidSpec: With the file, and the path and the reason of each problem.
        """
        from pathlib import Path

        from vhal.spec.load import load_model
        from vhal_mock.spec import WorldSpec

        return cls.from_spec(load_model(path, WorldSpec), Path(path))

    def inject(self, *faults: Fault) -> None:
        """Let these go wrong, too.

        Raises:
            vhal.errors.InvalidSpec: One is about a point that there isn't; the hint has the nearest.
        """
        from vhal.driver.fault import check_points

        check_points(faults, POINTS)
        for fault in faults:
            self.faults.add(fault)

    @property
    def traces(self) -> Traces:
        """The workloads that were read from files."""
        if self._traces is None:
            from pathlib import Path

            from vhal_mock.trace import Traces

            self._traces = Traces(self.folder or Path())
        return self._traces

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

    def machine(self, name: str) -> SimMachine:
        """Return a machine by name, wherever it is; a place that is held for one on its way is none.

        Raises:
            vhal.errors.NotFound: There is none.
        """
        for host in self.hosts.values():
            machine = host.by_name.get(name)
            if machine is not None and not machine.arriving:
                return machine
        raise NotFound(
            f"there is no machine {name!r} in this world", hint="world.hosts[…].by_name has them", machine=name
        )

    def in_domain(self, **domains: str) -> list[SimHost]:
        """Return the hosts that are in all of these failure domains: ``in_domain(rack="r1")``."""
        return [host for host in self.hosts.values() if domains.items() <= host.model.domains.items()]

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
