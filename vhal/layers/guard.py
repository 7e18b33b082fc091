"""What every backend would have to do, done once: check, lock, look again, translate, tell.

Around every driver that users reach. It doesn't decide where a machine runs or how it moves: that is
:mod:`vhal.migration`. Per changing call:

1. the machine is locked (:mod:`vhal.layers.locks`);
2. its state is asked, and checked against :data:`vhal.spec.state.TRANSITIONS`, unless the driver does so itself
   (:attr:`vhal.driver.driver.Driver.refuses`);
3. the driver acts;
4. if it failed, the machine is looked at again, since another program may have acted in between: what it did is the
   better explanation than the engine's words;
5. whatever the driver raised becomes one of :mod:`vhal.errors` (:mod:`vhal.layers.care`);
6. an event is sent, if the engine has no events of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from vhal.driver.answer import YES, Answer, Level
from vhal.driver.capability import (
    CREATE,
    EVENTS,
    FILES,
    PAUSE,
    REBOOT,
    RESIZE,
    SAVE,
    SNAPSHOTS,
    Capability,
)
from vhal.driver.context import Context
from vhal.driver.driver import Driver, StopMode
from vhal.driver.event import Event, EventKind
from vhal.errors import EngineError, InvalidState, NotFound, VhalError
from vhal.layers import guarded
from vhal.layers.care import Care
from vhal.layers.layer import Layer
from vhal.layers.locks import LOCKS
from vhal.spec.state import MachineState, allowed, remedy

if TYPE_CHECKING:
    from vhal.spec.host import HostInfo
    from vhal.spec.machine import MachineInfo, MachineSpec

T = TypeVar("T")

_TOLD = {
    "start": EventKind.STARTED,
    "stop": EventKind.STOPPED,
    "reboot": EventKind.REBOOTED,
    "pause": EventKind.PAUSED,
    "resume": EventKind.RESUMED,
    "save": EventKind.SAVED,
    "restore": EventKind.RESTORED,
    "delete": EventKind.DELETED,
    "resize": EventKind.CHANGED,
    "revert": EventKind.CHANGED,
}


class Guard(Layer):
    """A driver around a driver that keeps the contract towards users.

    Args:
        inner: The backend's driver.
        name: What to call the host in errors and events.
    """

    def __init__(self, inner: Driver, name: str) -> None:
        if not inner.concurrent:
            from vhal.layers.turns import Turns

            inner = Turns(inner)
        super().__init__(inner)
        self.name = name
        self._care = Care(inner, name)
        self._listeners: list[Callable[[Event], None]] = []
        self._native_events = inner.provides(EVENTS)
        # A layer doesn't hand "refuses" on: what is between the guard and the backend shall see every call. And who
        # tells of what happened to a machine must have looked at it.
        self._asks = not inner.refuses or self._native_events is None

    # reading

    def describe(self) -> HostInfo:
        with self._care:
            return self.inner.describe()

    def machines(self) -> list[MachineInfo]:
        with self._care:
            return self.inner.machines()

    def inspect(self, ref: str) -> MachineInfo:
        with self._care:
            return self.inner.inspect(ref)

    def can(self, capability: Capability[Any], subject: MachineInfo | MachineSpec | None = None) -> Answer:
        """Return whether ``capability`` can be used; what the core emulates counts, with a note."""
        if self.call(self.inner.provides, capability) is None:
            if capability is REBOOT:
                return Answer(note="emulated: stop, then start")
            if capability is EVENTS:
                return Answer(note="emulated: tells of this connection's calls only")
            return Answer.no(
                "not-provided",
                f"backend {self.backend!r} can't {capability.summary}",
                "use a backend that can; 'vhal backends' lists what each provides",
                Level.BACKEND,
            )
        with self._care:
            return self.inner.can(capability, subject)

    # changing

    def create(self, spec: MachineSpec, ctx: Context) -> MachineInfo:
        key = (self.host_id, f"name:{spec.name}")
        mine = LOCKS.take(key, "create", ctx)
        try:
            ctx.check()
            if self._asks:
                self._ask(spec)
            info = self.inner.create(spec, ctx)
        except Exception as error:  # noqa: BLE001 - raised again as ours; a "with" takes a part of the time of a call
            raise self._care.ours(error)  # noqa: B904 - it has its cause
        finally:
            LOCKS.let_go(key, mine)
        if self._native_events is None:
            self.tell(EventKind.CREATED, info)
        return info

    def _ask(self, spec: MachineSpec) -> None:
        """Return if the machine can be made."""
        answer = self.inner.can(CREATE, spec)
        if not answer:
            raise answer.error(machine=spec.name)

    def delete(self, id: str, ctx: Context, keep_disks: bool = False) -> None:
        def act(id: str, ctx: Context) -> None:
            self.inner.delete(id, ctx, keep_disks)

        self.change("delete", id, ctx, act)

    def start(self, id: str, ctx: Context) -> None:
        self.change("start", id, ctx, self.inner.start)

    def stop(self, id: str, mode: StopMode, ctx: Context) -> None:
        def act(id: str, ctx: Context) -> None:
            self.inner.stop(id, mode, ctx)

        self.change("stop", id, ctx, act, check=_no_graceful_end if mode is StopMode.GRACEFUL else None)

    def change(
        self,
        call: str,
        id: str,
        ctx: Context,
        act: Callable[[str, Context], None],
        check: Callable[[MachineInfo], Answer] | None = None,
    ) -> None:
        """Do one changing call as the module's docstring says.

        Args:
            call: Its name in the state table.
            id: The machine's.
            ctx: Deadline, abort and progress.
            act: What does it.
            check: A further precondition on the machine as it is.
        """
        key = (self.host_id, id)
        mine = LOCKS.take(key, call, ctx)
        try:
            ctx.check()
            before = self._look(call, id, check) if self._asks or check is not None else None
            try:
                act(id, ctx)
            except Exception as error:  # noqa: BLE001 - raised again as ours
                self._look_again(call, id, before, self._care.ours(error))
            # What was saved ended then, and no engine tells of it once more when its memory is discarded.
            if before is not None and call in _TOLD and (call, before.state) != ("stop", MachineState.SAVED):
                self.tell(_TOLD[call], before)
        finally:
            LOCKS.let_go(key, mine)

    def _look(self, call: str, id: str, check: Callable[[MachineInfo], Answer] | None) -> MachineInfo:
        """Return the machine as it is, if ``call`` may begin."""
        info = self.inspect(id)
        if not allowed(call, info.state):
            raise self.wrong_state(call, info)
        if check is not None and not (answer := check(info)):
            raise answer.error(backend=self.backend, host=self.name, machine=info.name)
        return info

    def require(self, capability: Capability[T], subject: MachineInfo | None = None) -> T:
        """Return what implements ``capability``, guarded.

        Raises:
            vhal.errors.Unsupported: It can't be used here and now; the blockers say why.
        """
        answer = self.can(capability, subject)
        if not answer:
            raise answer.error(backend=self.backend, host=self.name, machine=subject and subject.name)
        return cast(T, self.provides(capability))

    def provides(self, capability: Capability[T]) -> T | None:
        """Return what implements ``capability``: the inner driver's, guarded, or an emulation; or None."""
        if capability is EVENTS:
            return cast(T, guarded.Events(self))
        inner = self.call(self.inner.provides, capability)
        if capability is REBOOT:
            return cast(T, guarded.Reboot(self, cast(Any, inner)))
        if inner is None:
            return None
        if capability is PAUSE or capability is SAVE:
            return cast(T, guarded.Changing(self, inner))
        if capability is RESIZE:
            return cast(T, guarded.Resize(self, inner))
        if capability is SNAPSHOTS:
            return cast(T, guarded.Snapshots(self, inner))
        if capability is FILES:
            return cast(T, guarded.Files(self, inner))
        return cast(T, guarded.Translating(self, inner))

    # errors

    def call(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Call the driver; whatever it raises comes out as one of ours, with the place filled in."""
        with self._care:
            return function(*args, **kwargs)

    def wrong_state(self, call: str, info: MachineInfo, native: BaseException | None = None) -> InvalidState:
        """Return the error for a ``call`` that may not begin in the machine's state."""
        return InvalidState(
            f"can't {call} machine {info.name!r}: it is {info.state}",
            hint=remedy(call, info.state),
            backend=self.backend,
            host=self.name,
            machine=info.name,
            native=native,
        )

    def _look_again(self, call: str, id: str, before: MachineInfo | None, error: VhalError) -> None:
        """Raise what explains the failure best, or return if what was wanted has come about."""
        if before is None and isinstance(error, NotFound):
            raise error  # it wasn't there from the beginning
        error.machine = error.machine or (before.name if before is not None else None)
        try:
            now = self.inspect(id)
        except NotFound:
            if call == "delete":
                return
            name = error.machine or id
            raise NotFound(
                f"machine {name!r} was deleted while it was to {call}",
                hint="another program did it; machines() lists what is there",
                backend=self.backend,
                host=self.name,
                machine=name,
                native=error.native,
            ) from error
        except VhalError:
            raise error from error.__cause__
        error.machine = error.machine or now.name
        # It could begin, so somebody else moved it since. A restart passes through other states by itself, so there
        # they explain nothing.
        moved = call != "reboot" and not allowed(call, now.state)
        if moved and isinstance(error, (EngineError, InvalidState)):
            raise self.wrong_state(call, now, error.native) from error
        raise error

    # events

    @property
    def tells(self) -> bool:
        """Whether somebody listens to events that the engine doesn't send."""
        return self._native_events is None and bool(self._listeners)

    def tell(self, kind: EventKind, info: MachineInfo, detail: str = "") -> None:
        """Send an event to the listeners, unless the engine sends its own."""
        if self.tells:
            event = Event(kind, info.id, info.name, self.name, detail=detail)
            for listener in list(self._listeners):
                listener(event)

    def listen(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        """Call ``listener`` for each event until the returned function is called.

        What it raises is logged: neither the other listeners nor whoever caused the event have to do with it.
        """

        def hear(event: Event) -> None:
            try:
                listener(event)
            except Exception:
                logging.getLogger("vhal.events").exception("a listener failed at %s", event)

        if self._native_events is not None:
            return self.call(self._native_events.subscribe, hear)
        self._listeners.append(hear)

        def stop() -> None:
            if hear in self._listeners:
                self._listeners.remove(hear)

        return stop


def _no_graceful_end(info: MachineInfo) -> Answer:
    if info.state is MachineState.SAVED:
        return Answer.no(
            "saved",
            f"machine {info.name!r} is saved: no guest runs that could stop",
            "stop(force=True) discards its memory; restore() brings it back",
            raises=InvalidState,
        )
    if info.state is MachineState.PAUSED:
        return Answer.no(
            "paused",
            f"machine {info.name!r} is paused: its guest can't react",
            "resume() it first, or stop(force=True)",
            raises=InvalidState,
        )
    return YES
