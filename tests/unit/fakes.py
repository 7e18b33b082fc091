"""A driver that does what a test tells it to: for what no engine can be made to do on purpose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from vhal.driver import (
    CREATE,
    EVENTS,
    YES,
    Answer,
    Capability,
    Context,
    Driver,
    Event,
    MigrationPolicy,
    Offer,
    StopMode,
    Ticket,
    Transfer,
)
from vhal.errors import NotFound, VhalError
from vhal.spec import (
    Bytes,
    FrozenDict,
    HostCpus,
    HostInfo,
    MachineInfo,
    MachineKind,
    MachineSpec,
    MachineState,
    Resources,
)

T = TypeVar("T")
Act = Callable[[], object]
S = MachineState


class NativeError(Exception):
    """What the engine of the fake raises."""


def machine(state: MachineState, id: str = "1", name: str = "web") -> MachineInfo:
    return MachineInfo(id=id, name=name, kind=MachineKind.VM, state=state, cpus=1, memory=Bytes("1GiB"))


class FakeDriver(Driver):
    """Machines in a dict, and every call in a list; ``on[call]`` runs before the call has its effect, and may raise.

    With ``"call.after"`` it runs after the effect.
    """

    backend = "fake"
    capabilities = frozenset({"create", "power", "pause", "save", "reboot", "migration"})

    def __init__(self, host_id: str = "here", *states: MachineState, log: list[str] | None = None) -> None:
        self.host_id = host_id
        self.has = {str(n): machine(state, str(n)) for n, state in enumerate(states, 1)}
        self.calls: list[str] = [] if log is None else log
        self.on: dict[str, Act] = {}
        self.peer: FakeDriver | None = None
        self.kept_disks = False
        self.answers: dict[str, Answer] = {}
        self.translations: dict[type[Exception], Callable[[Exception], VhalError]] = {}

    def _begin(self, call: str, *, log: bool = True) -> None:
        if log:
            self.calls.append(f"{self.host_id}.{call}")
        self.on.get(call, lambda: None)()

    def _end(self, call: str) -> None:
        self.on.get(f"{call}.after", lambda: None)()

    def put(self, id: str, state: MachineState | None) -> None:
        """Change a machine as another program would; None removes it."""
        if state is None:
            self.has.pop(id, None)
        else:
            self.has[id] = machine(state, id)

    def turn(self, call: str, id: str, state: MachineState | None) -> None:
        self._begin(call)
        self.put(id, state)
        self._end(call)

    # required

    def describe(self) -> HostInfo:
        self._begin("describe")
        free = Resources(cpus=1, memory=Bytes("1GiB"))
        return HostInfo(
            name=self.host_id, uuid=self.host_id, backend="fake", cpus=HostCpus(count=1), memory=Bytes("1GiB"),
            capacity=free, allocated=Resources(), free=free,
        )  # fmt: skip

    def machines(self) -> list[MachineInfo]:
        self._begin("machines")
        return list(self.has.values())

    def inspect(self, ref: str) -> MachineInfo:
        self._begin("inspect", log=False)
        for info in self.has.values():
            if ref in (info.id, info.name):
                return info
        raise NotFound(f"there is no machine {ref!r}", hint="look elsewhere")

    def create(self, spec: MachineSpec, ctx: Context) -> MachineInfo:
        self._begin("create")
        id = str(len(self.has) + 1)  # noqa: A001 - the contract's word
        self.has[id] = machine(S.STOPPED, id, spec.name)
        return self.has[id]

    def delete(self, id: str, ctx: Context, keep_disks: bool = False) -> None:
        self.kept_disks = keep_disks
        self.turn("delete", id, None)

    def start(self, id: str, ctx: Context) -> None:
        self.turn("start", id, S.RUNNING)

    def stop(self, id: str, mode: StopMode, ctx: Context) -> None:
        self.turn("stop", id, S.STOPPED)

    def can(self, capability: Capability[Any], subject: MachineInfo | MachineSpec | None = None) -> Answer:
        if capability is CREATE:
            self._begin("can", log=False)
        return self.answers.get(capability.id, YES)

    def close(self) -> None:
        self.calls.append(f"{self.host_id}.close")

    def translate(self, error: Exception) -> VhalError | None:
        made = self.translations.get(type(error))
        return None if made is None else made(error)

    # capabilities

    def pause(self, id: str, ctx: Context) -> None:
        self.turn("pause", id, S.PAUSED)

    def save(self, id: str, ctx: Context) -> None:
        self.turn("save", id, S.SAVED)

    def restore(self, id: str, ctx: Context) -> None:
        self.turn("restore", id, S.RUNNING)

    def reboot(self, id: str, ctx: Context) -> None:
        self.turn("reboot", id, S.RUNNING)

    # migration; ``resume`` is that of a pause, too

    def offer(self, id: str, policy: MigrationPolicy) -> Offer:
        self._begin("offer")
        info = self.inspect(id)
        state = info.state if policy.live or info.state is not S.RUNNING else S.STOPPED
        return Offer(backend="fake", host_uuid=self.host_id, machine=info, state=state, payload=FrozenDict({"x": 1}))

    def examine(self, offer: Offer, policy: MigrationPolicy) -> Answer:
        self._begin("examine")
        return self.answers.get("examine", YES)

    def prepare(self, offer: Offer, policy: MigrationPolicy, ctx: Context) -> Ticket:
        id = offer.machine.id  # noqa: A001 - the contract's word
        self.turn("prepare", id, S.MIGRATING if offer.state is not S.STOPPED else S.STOPPED)
        return Ticket(host_uuid=self.host_id, machine_id=id, state=offer.state)

    def transfer(self, offer: Offer, ticket: Ticket, policy: MigrationPolicy, ctx: Context) -> Transfer:
        self._begin("transfer")
        assert self.peer is not None
        if offer.state is not S.STOPPED:
            self.put(offer.machine.id, S.PAUSED)
            self.peer.put(offer.machine.id, offer.state)
        self._end("transfer")
        return Transfer(setup_s=0.0, elapsed_s=1.0, downtime_s=0.1, transferred=Bytes("1GiB"), iterations=3)

    def commit(self, ticket: Ticket, ctx: Context) -> MachineInfo:
        self.turn("commit", ticket.machine_id, ticket.state)
        return self.inspect(ticket.machine_id)

    def cancel(self, ticket: Ticket, ctx: Context) -> None:
        self.turn("cancel", ticket.machine_id, None)

    def release(self, offer: Offer, ctx: Context) -> None:
        self.turn("release", offer.machine.id, None)

    def resume(self, what: Offer | str, ctx: Context) -> None:
        if isinstance(what, str):
            self.turn("resume", what, S.RUNNING)
        else:
            self.turn("resume", what.machine.id, what.state)


class EventfulDriver(FakeDriver):
    """A fake whose engine has events of its own."""

    capabilities = FakeDriver.capabilities | {EVENTS.id}

    def __init__(self, host_id: str = "here", *states: MachineState) -> None:
        super().__init__(host_id, *states)
        self.listeners: list[Callable[[Event], None]] = []

    def subscribe(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)


class PlainDriver(FakeDriver):
    """A fake that can do nothing but what is required."""

    capabilities = frozenset({"create", "power"})


def raises(error: BaseException) -> Act:
    """Return an act that raises ``error``."""

    def act() -> None:
        raise error

    return act
