"""A simulation: the addresses that the code under test names lead to simulated hosts.

::

    with vhal.testing.simulated(hosts=["alpha", "beta"]) as sim:
        deploy()  # calls vhal.connect("libvirt+tls://alpha.example.org/system")
        assert list(sim.world.host("alpha").by_name) == ["web"]

Nothing of the code under test is replaced: :mod:`vhal.opener` opens another host, and everything above the driver is
what runs in production. It needs no pytest. How a decorator holds a simulation is in :mod:`vhal.testing.wrapping`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, overload

from vhal import _opened, opener
from vhal.driver.driver import Driver
from vhal.driver.url import HostUrl
from vhal.errors import HostUnreachable, InvalidSpec, InvalidState, NotFound
from vhal.registry import INSTALL_HINTS, registry
from vhal.testing import worlds
from vhal.testing.worlds import Hosts

if TYPE_CHECKING:
    from vhal_mock.world import World

T = TypeVar("T", bound=Callable[..., Any])

LOCAL = "localhost"
"""The simulated host that a URL without a host part leads to."""


class Simulation:
    """Simulated hosts behind every address, while its ``with`` block or the function that it decorates runs.

    It holds for the whole process: in every thread, and in every task. It may be entered again before it ended; then it
    is the same world. What was in place before comes back however the block ends.
    """

    def __init__(
        self,
        hosts: Hosts | None = None,
        *,
        spec: str | Path | None = None,
        world: World | None = None,
        map: Mapping[str, str] | None = None,
        seed: int | None = None,
    ) -> None:
        if world is not None and (hosts, spec, seed) != (None, None, None):
            raise InvalidSpec(
                "a simulation has a world, or makes one",
                problems=[("world", "hosts, spec or seed is given, too")],
                hint="leave out one of them",
            )
        self._hosts, self._spec, self._seed, self._mine = hosts, spec, seed, world
        self._map = {_canonical(where): name for where, name in (map or {}).items()}
        self._world: World | None = None
        self._entered: list[ExitStack] = []
        self._lock = threading.RLock()

    @property
    def world(self) -> World:
        """Its world, as long as somebody wants to look at it.

        Raises:
            vhal.errors.InvalidState: It hasn't begun.
        """
        if self._world is None:
            raise InvalidState("the simulation hasn't begun", hint="use it in a with block, or as a decorator")
        return self._world

    @property
    def closed(self) -> bool:
        """Whether it has ended, or hasn't begun."""
        return not self._entered

    def close(self) -> None:
        """End it, however often it was entered. Idempotent."""
        with self._lock:
            while self._entered:
                self._entered.pop().close()

    def __enter__(self) -> Simulation:
        with self._lock, ExitStack() as stack:
            if not self._entered:
                self._world = self._begin()
            stack.enter_context(worlds.default(self.world))
            stack.enter_context(opener.turned(self._open))
            self._entered.append(stack.pop_all())
        _opened.tell(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            if self._entered:
                self._entered.pop().close()

    def __call__(self, target: T) -> T:
        """Return ``target``, a function or a class, such that the simulation holds while it runs."""
        from vhal.testing.wrapping import wrapped

        return wrapped(target, self)

    def __repr__(self) -> str:
        return f"<Simulation {'of ' + self._world.name if self._world else 'not begun'}>"

    # parts

    def _begin(self) -> World:
        if self._mine is not None:
            world = worlds.give(self._mine)
        elif (self._hosts, self._spec, self._seed) == (None, None, None):
            world = worlds.adopt()
        else:
            world = worlds.make(self._hosts, self._spec, self._seed)
        for where, name in self._map.items():
            if worlds.is_given(world):
                worlds.check_host(world, name, f"map[{where!r}]")
            else:
                worlds.add_host(world, name)
        return world

    def _open(self, where: str) -> tuple[Driver, HostUrl]:
        world = self.world
        named = self._map.get(where)
        if named is None and ":" not in where and worlds.is_given(world) and where in world.hosts:
            named = where
        if named is not None and ":" not in where:
            return worlds.open_host(world, named), HostUrl.parse(world.url(named))
        try:
            url = opener.locate(where)
        except NotFound as error:
            error.hint = f"{error.hint}; in a test: simulated(map={{{where!r}: HOST}})"
            raise
        named = self._map.get(str(url), named)
        if named is None:
            if url.backend == "mock":
                return opener.open_engine(str(url))
            _check(url)
            named = self._host(url)
        return worlds.open_host(world, named), url

    def _host(self, url: HostUrl) -> str:
        """Return which host of the world a URL leads to; one that isn't there is made, unless they are given."""
        world = self.world
        plain = url.host.strip("[]") if url.host else LOCAL
        name = plain if url.port is None else f"{plain}-{url.port}"
        label = plain.partition(".")[0]
        for known in (name, plain, label):
            if known in world.hosts and (worlds.is_given(world) or known == name):
                return known
        if not worlds.is_given(world):
            worlds.add_host(world, name)
            return name
        if url.host is None:
            return next(iter(world.hosts))
        raise HostUnreachable(
            f"{url} can't be reached: the simulated world has no host {name!r}",
            hint=f"there are {', '.join(world.hosts)}; simulated(map={{URL: HOST}}) leads elsewhere",
            backend=url.backend,
            host=str(url),
        )


def _canonical(where: str) -> str:
    return str(HostUrl.parse(where)) if ":" in where else where


def _check(url: HostUrl) -> None:
    """Return if the URL is one that its backend would take; one that isn't installed is believed.

    Raises:
        vhal.errors.InvalidUrl: It isn't.
        vhal.errors.PluginError: Nobody has heard of such a backend, or what is installed can't be loaded.
    """
    installed = {plugin.name for plugin in registry.plugins()}
    if url.backend in installed or url.backend not in INSTALL_HINTS:
        backend = registry.backend(url.backend)
        url.check(backend.transports, backend.path)


@overload
def simulated(target: T, /) -> T: ...


@overload
def simulated(
    *,
    hosts: Hosts | None = None,
    spec: str | Path | None = None,
    world: World | None = None,
    map: Mapping[str, str] | None = None,
    seed: int | None = None,
) -> Simulation: ...


def simulated(
    target: T | None = None,
    /,
    *,
    hosts: Hosts | None = None,
    spec: str | Path | None = None,
    world: World | None = None,
    map: Mapping[str, str] | None = None,
    seed: int | None = None,
) -> T | Simulation:
    """Let every address that is connected to lead to a simulated host: as decorator, or in a ``with`` block.

    ``@simulated`` decorates functions, asynchronous functions, generators (fixtures) and classes; ``with simulated()``
    gives the :class:`Simulation`. URLs are checked as in production, whether their backend is installed or not. A URL
    leads to the host that is named as its host part (``alpha.example.org``, or its first label where hosts are given);
    one without a host part to ``localhost``, or the first of given hosts. ``mock:///`` means the simulation's world.

    Args:
        target: What to decorate.
        hosts: How many hosts there are, or which: names, or tables with the fields of a world's spec. Then a URL with
            another host part is unreachable. If neither hosts, spec, world nor seed is given, it is the world that
            ``mock:///`` means already, and hosts are made when they are first named.
        spec: A file that describes the world instead.
        world: A world that there is already.
        map: URL or name → which host it leads to, instead.
        seed: What chance is decided by in a new world.

    Raises:
        vhal.errors.InvalidSpec: What is given doesn't fit together, or doesn't describe a world.
        vhal.errors.InvalidUrl: A URL in ``map`` is malformed.
    """
    simulation = Simulation(hosts, spec=spec, world=world, map=map, seed=seed)
    return simulation if target is None else simulation(target)
