"""A host as users hold it, and how one gets it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

from vhal import _opened
from vhal.driver.capability import EVENTS, METRICS
from vhal.driver.driver import Driver
from vhal.errors import InvalidSpec, InvalidState, NotFound
from vhal.layers.guard import Guard
from vhal.layers.layer import Layer
from vhal.machine import Machine
from vhal.opener import open_driver
from vhal.operation import call_context
from vhal.registry import registry

if TYPE_CHECKING:
    from vhal.driver.answer import Answer
    from vhal.driver.capability import Capability
    from vhal.spec.host import HostInfo
    from vhal.spec.machine import MachineInfo, MachineSpec
    from vhal.spec.usage import Usage
    from vhal.watch import EventStream


L = TypeVar("L", bound=Layer)


class Host:
    """A connection to a host. Closes at the end of a ``with`` block; its machines stay.

    Concurrency: safe from any thread.
    """

    def __init__(self, guard: Guard, url: str) -> None:
        self._guard = guard
        self._open = True
        self._streams: WeakSet[EventStream] = WeakSet()
        self.url = url
        """What it was opened with, as parsed."""
        _opened.tell(self)

    @property
    def name(self) -> str:
        """What it is called in messages: its name among the named hosts, or its URL."""
        return self._guard.name

    @property
    def backend(self) -> str:
        """Name of its backend."""
        return self._guard.backend

    @property
    def uuid(self) -> str:
        """Unique among hosts."""
        return self._guard.host_id

    @property
    def closed(self) -> bool:
        """Whether it was let go of."""
        return not self._open

    @property
    def guard(self) -> Guard:
        """The guarded driver, for layers above this one.

        Raises:
            vhal.errors.InvalidState: The connection was closed.
        """
        if not self._open:
            raise InvalidState(f"the connection to {self._guard.name} is closed", hint="connect() again")
        return self._guard

    def layer(self, kind: type[L]) -> L:
        """Return the layer of that class, also when the connection is closed; of several the one nearest to the user.

        Raises:
            vhal.errors.NotFound: It was opened without one.
        """
        driver: Driver = self._guard
        while isinstance(driver, Layer):
            driver = driver.inner
            if isinstance(driver, kind):
                return driver
        raise NotFound(
            f"the connection to {self._guard.name} has no {kind.__name__}", hint="connect(URL, layers=[…]) adds layers"
        )

    def info(self) -> HostInfo:
        """Return what the host is and how full it is, now."""
        return self.guard.describe()

    def machines(self, labels: Mapping[str, str] | None = None) -> list[Machine]:
        """Return the host's machines, whoever made them, in one or two round trips.

        Args:
            labels: Only those that have all of these.
        """
        guard = self.guard
        found = guard.machines()
        if labels:
            wanted = labels.items()
            found = [info for info in found if wanted <= info.labels.items()]
        return [Machine(self, info) for info in found]

    def machine(self, ref: str) -> Machine:
        """Return one machine, by name or id.

        Raises:
            vhal.errors.NotFound: There is none.
        """
        guard = self.guard
        if not ref.isprintable():
            raise NotFound(f"there is no machine {ref!r}", hint="names and ids are printable", host=guard.name)
        return Machine(self, guard.inspect(ref))

    def create(self, spec: MachineSpec, *, timeout_s: float | None = None) -> Machine:
        """Make a machine, stopped. All or nothing: after an error nothing of it is left.

        Raises:
            vhal.errors.AlreadyExists: The name is taken.
            vhal.errors.InsufficientResources: There is no room.
            vhal.errors.NotFound: An image, pool, network or file it names isn't there.
            vhal.errors.ImageRejected: A disk isn't what it is declared to be.
            vhal.errors.Unsupported: The backend can't make such a machine.
            vhal.errors.InvalidSpec: Its options don't fit the backend.
        """
        guard = self.guard
        if not hasattr(spec, "options_for"):
            raise InvalidSpec(
                f"a machine is made from a MachineSpec, not from a {type(spec).__name__}",
                hint="vhal.MachineSpec(name=…), or vhal.load_spec(PATH)",
            )
        if spec.options:
            registry.check_options(spec.options, guard.backend)
        made = Machine(self, guard.create(spec, call_context(timeout_s)))
        if _opened.listener is not None:
            _opened.tell(made)
        return made

    def can(self, capability: Capability[Any], subject: MachineInfo | MachineSpec | None = None) -> Answer:
        """Return whether something can be done here, or to a machine; with ``CREATE``, whether a spec can be made."""
        return self.guard.can(capability, subject)

    def events(self) -> EventStream:
        """Return the events of the host's machines, from now on. Use it in a ``with`` block."""
        from vhal.watch import EventStream

        stream = EventStream(self.guard.require(EVENTS).subscribe)
        self._streams.add(stream)
        if not self._open:  # somebody closed it meanwhile, and may not have seen the stream
            stream.close()
        return stream

    def usage(self) -> dict[str, Usage]:
        """Return what each active machine uses now, by its id, in one round trip or two."""
        return dict(self.guard.require(METRICS).usage())

    def close(self) -> None:
        """Let go of the engine, and end the event streams. Machines keep running. Idempotent."""
        if self._open:
            self._open = False
            for stream in list(self._streams):
                stream.close()
            self._guard.close()

    def __enter__(self) -> Host:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Host {self.name}>"


def connect(where: str | Driver, *, layers: Iterable[Callable[[Driver], Driver]] = ()) -> Host:
    """Open a host.

    Args:
        where: A URL (``mock:///a``, ``libvirt:///system``), the name of a named host, or a driver that is open already.
        layers: What to put around the backend's driver, inside of everything that the core does. Each is called with
            a driver and returns one; the first is nearest to the backend. See :mod:`vhal.layers.chaos` and
            :mod:`vhal.layers.record`.

    Raises:
        vhal.errors.InvalidUrl: The URL is malformed, or asks for what a URL may not.
        vhal.errors.NotFound: No host has that name.
        vhal.errors.PluginError: The backend isn't installed, or can't be loaded.
        vhal.errors.HostUnreachable: The host doesn't answer.
        vhal.errors.AccessDenied: It answers, and says no.
    """
    if isinstance(where, Driver):
        return Host(Guard(_layered(where, layers), where.backend), f"{where.backend}:")
    driver, url = open_driver(where)
    try:
        return Host(Guard(_layered(driver, layers), where), str(url))
    except BaseException:
        driver.close()
        raise


def _layered(driver: Driver, layers: Iterable[Callable[[Driver], Driver]]) -> Driver:
    for layer in layers:
        driver = layer(driver)
        if not isinstance(driver, Driver):
            raise InvalidSpec(
                f"layers: {layer!r} returned a {type(driver).__name__}, not a Driver",
                hint="a layer is called with a driver and returns one, as vhal.testing.Recorder",
            )
    return driver
