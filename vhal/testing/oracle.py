"""What must happen: the contract of a machine's life as one pure function, :func:`step`.

It states the contract a second time, from nothing that drivers or the guard are made of, so that it can judge them:
sequences are drawn from it (:mod:`vhal.testing.conformance.stateful`), histories are checked against it
(:mod:`vhal.testing.linear`), and the reference page's table of states is made from it. It knows no engine and no
clock, and no room: where it is used, hosts are large enough. What it speaks of is :mod:`vhal.testing.model`; how its
operations are made on real hosts is :mod:`vhal.testing.stage`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

from vhal.driver.capability import CONSOLE, EXEC, FILES, MIGRATION, PAUSE, RESIZE, SAVE, SNAPSHOTS
from vhal.driver.event import EventKind
from vhal.errors import (
    AlreadyExists,
    InvalidSpec,
    InvalidState,
    MigrationRefused,
    NotFound,
    Unsupported,
    VhalError,
)
from vhal.spec.state import MachineState
from vhal.testing.model import MEMORY_SNAPSHOTS, Kept, Model, Size, World

STOPPED, RUNNING, PAUSED = MachineState.STOPPED, MachineState.RUNNING, MachineState.PAUSED
SAVED, CRASHED, STOPPING = MachineState.SAVED, MachineState.CRASHED, MachineState.STOPPING

Told = tuple[int, EventKind]
"""An event: which host tells of it, and its kind."""
Refusal = type[VhalError] | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What must come of an operation."""

    world: World
    """How the world is afterwards; as before, if it is refused."""
    error: Refusal = None
    """The class of error that it is refused with, exactly that one; None if it is done."""
    events: tuple[Told, ...] = ()
    """What is told of the machine, in this order on each host."""


@dataclass(frozen=True, slots=True)
class Operation:
    """Something that is asked of one machine: what it needs, where it may begin, and what it does."""

    machine: int

    needs: ClassVar[str | None] = None
    """The capability that it takes."""
    begins: ClassVar[frozenset[MachineState]] = frozenset()
    """The states in which it may begin."""

    def allows(self, state: MachineState) -> bool:
        """Return whether it may begin in ``state``."""
        return state in self.begins

    def malformed(self) -> bool:
        """Return whether it is nothing that could be asked of any machine."""
        return False

    def refusal(self, world: World, model: Model) -> Refusal:
        """Return what it is refused with although the state is right."""
        return None

    def effect(self, world: World, model: Model) -> tuple[World, tuple[EventKind, ...]]:
        """Return the world afterwards, and what the machine's host tells."""
        return world, ()

    def step(self, world: World) -> Outcome:
        """Return what must come of it. The order of the refusals is a part of the contract."""
        if self.malformed():
            return Outcome(world, InvalidSpec)
        if self.needs is not None and self.needs not in world.abilities:
            return Outcome(world, Unsupported)
        model = world.machine(self.machine)
        if model is None:
            return Outcome(world, NotFound)
        if not self.allows(model.state):
            return Outcome(world, InvalidState)
        error = self.refusal(world, model)
        if error is not None:
            return Outcome(world, error)
        after, kinds = self.effect(world, model)
        return Outcome(after, None, tuple((model.host, kind) for kind in kinds))


@dataclass(frozen=True, slots=True)
class Create(Operation):
    """Make the next machine. Its number is the world's."""

    machine: int = field(default=-1, init=False)
    name: str
    host: int
    size: Size

    def step(self, world: World) -> Outcome:
        """Return what must come of it: a name is taken once on each host."""
        if world.named(self.name, self.host):
            return Outcome(world, AlreadyExists)
        model = Model(world.made, self.name, self.host, self.size)
        after = replace(world, machines=(*world.machines, model), made=world.made + 1)
        return Outcome(after, None, ((self.host, EventKind.CREATED),))


@dataclass(frozen=True, slots=True)
class Delete(Operation):
    """Remove it, with its snapshots and what is saved of it; with ``force`` it is stopped first."""

    force: bool = False

    begins = frozenset({STOPPED, SAVED, CRASHED})

    def allows(self, state: MachineState) -> bool:
        """Return whether it may begin: with ``force`` also where a forced stop may."""
        return state in self.begins or (self.force and state in Stop.forced)

    def effect(self, world: World, model: Model) -> tuple[World, tuple[EventKind, ...]]:
        """Remove it. What is saved isn't stopped first: nothing of it runs."""
        stopped = (EventKind.STOPPED,) if model.state in Stop.forced - {SAVED} else ()
        return world.without(model.id), (*stopped, EventKind.DELETED)


@dataclass(frozen=True, slots=True)
class Start(Operation):
    """Let its processors run."""

    begins = frozenset({STOPPED, CRASHED})

    def effect(self, world: World, model: Model) -> tuple[World, tuple[EventKind, ...]]:
        """Let it run."""
        return world.turned(replace(model, state=RUNNING)), (EventKind.STARTED,)


@dataclass(frozen=True, slots=True)
class Stop(Operation):
    """Have the guest end; with ``force`` end it, and forget what is saved of it."""

    force: bool = False

    begins = frozenset({RUNNING, STOPPING})
    forced: ClassVar[frozenset[MachineState]] = frozenset({RUNNING, STOPPING, PAUSED, SAVED})

    def allows(self, state: MachineState) -> bool:
        """Return whether it may begin: a guest that can't react can't be asked."""
        return state in (self.forced if self.force else self.begins)

    def effect(self, world: World, model: Model) -> tuple[World, tuple[EventKind, ...]]:
        """Stop it. What is saved stopped when it was saved, and nothing more is told of it."""
        told = () if model.state is SAVED else (EventKind.STOPPED,)
        return world.turned(replace(model, state=STOPPED)), told


@dataclass(frozen=True, slots=True)
class Reboot(Operation):
    """Have the guest begin anew."""

    begins = frozenset({RUNNING})

    def effect(self, world: World, model: Model) -> tuple[World, tuple[EventKind, ...]]:
        """Tell of it; nothing else can be seen from outside."""
        return world, (EventKind.REBOOTED,)


@dataclass(frozen=True, slots=True)
class Pause(Operation):
    """Halt its processors."""

    needs = PAUSE.id
    begins = frozenset({RUNNING})

    def effect(self, world: World, model: Model) -> tuple[World, tuple[EventKind, ...]]:
        """Halt it."""
        return world.turned(replace(model, state=PAUSED)), (EventKind.PAUSED,)


@dataclass(frozen=True, slots=True)
class Resume(Operation):
    """Let them go on."""

    needs = PAUSE.id
    begins = frozenset({PAUSED})

    def effect(self, world: World, model: Model) -> tuple[World, tuple[EventKind, ...]]:
        """Let it go on."""
        return world.turned(replace(model, state=RUNNING)), (EventKind.RESUMED,)


@dataclass(frozen=True, slots=True)
class Save(Operation):
    """Put its memory on disk."""

    needs = SAVE.id
    begins = frozenset({RUNNING, PAUSED})

    def effect(self, world: World, model: Model) -> tuple[World, tuple[EventKind, ...]]:
        """Save it. Whether it ran or was paused is forgotten."""
        return world.turned(replace(model, state=SAVED)), (EventKind.SAVED,)


@dataclass(frozen=True, slots=True)
class Restore(Operation):
    """Bring its memory back."""

    needs = SAVE.id
    begins = frozenset({SAVED})

    def effect(self, world: World, model: Model) -> tuple[World, tuple[EventKind, ...]]:
        """Let it run from there."""
        return world.turned(replace(model, state=RUNNING)), (EventKind.RESTORED,)


@dataclass(frozen=True, slots=True)
class Resize(Operation):
    """Give it other sizes; None leaves one as it is."""

    cpus: int | None = None
    memory: int | None = None

    needs = RESIZE.id
    begins = frozenset({STOPPED, RUNNING, PAUSED})

    def malformed(self) -> bool:
        """Return whether it asks for nothing."""
        return self.cpus is None and self.memory is None

    def effect(self, world: World, model: Model) -> tuple[World, tuple[EventKind, ...]]:
        """Give it that much; its snapshots keep theirs."""
        given = {"cpus": self.cpus, "memory": self.memory}
        size = replace(model.size, **{name: value for name, value in given.items() if value is not None})
        return world.turned(replace(model, size=size)), (EventKind.CHANGED,)


@dataclass(frozen=True, slots=True)
class Snapshot(Operation):
    """Keep it as it is."""

    name: str
    memory: bool = False

    needs = SNAPSHOTS.id
    begins = frozenset({STOPPED, RUNNING, PAUSED})

    def refusal(self, world: World, model: Model) -> Refusal:
        """Refuse memory where there is none or it can't be kept; then a name that is taken."""
        if self.memory and model.state is STOPPED:
            return InvalidState
        if self.memory and MEMORY_SNAPSHOTS not in world.abilities:
            return Unsupported
        return AlreadyExists if model.snapshot(self.name) else None

    def effect(self, world: World, model: Model) -> tuple[World, tuple[EventKind, ...]]:
        """Keep it; the machine goes on as before, and nothing is told."""
        kept = Kept(self.name, self.memory, model.size)
        return world.turned(replace(model, snapshots=(*model.snapshots, kept))), ()


@dataclass(frozen=True, slots=True)
class Revert(Operation):
    """Make it what it was."""

    name: str

    needs = SNAPSHOTS.id
    begins = frozenset({STOPPED, CRASHED})

    def refusal(self, world: World, model: Model) -> Refusal:
        """Refuse what was never kept."""
        return None if model.snapshot(self.name) else NotFound

    def effect(self, world: World, model: Model) -> tuple[World, tuple[EventKind, ...]]:
        """Give it its size of then; with memory it runs."""
        kept = model.snapshot(self.name)
        assert kept is not None
        state = RUNNING if kept.memory else STOPPED
        told = (EventKind.CHANGED, EventKind.RESTORED) if kept.memory else (EventKind.CHANGED,)
        return world.turned(replace(model, state=state, size=kept.size)), told


@dataclass(frozen=True, slots=True)
class DeleteSnapshot(Operation):
    """Forget one snapshot."""

    name: str

    needs = SNAPSHOTS.id
    begins = frozenset(MachineState)

    def refusal(self, world: World, model: Model) -> Refusal:
        """Refuse what was never kept."""
        return None if model.snapshot(self.name) else NotFound

    def effect(self, world: World, model: Model) -> tuple[World, tuple[EventKind, ...]]:
        """Forget it; the machine isn't touched."""
        kept = tuple(kept for kept in model.snapshots if kept.name != self.name)
        return world.turned(replace(model, snapshots=kept)), ()


@dataclass(frozen=True, slots=True)
class Migrate(Operation):
    """Move it to another host, in the state it is in."""

    host: int

    begins = frozenset({RUNNING, PAUSED, STOPPED})

    def step(self, world: World) -> Outcome:
        """Return what must come of it: whatever stands against it is one error."""
        model = world.machine(self.machine)
        if model is None:
            return Outcome(world, NotFound)
        if (
            MIGRATION.id not in world.abilities
            or self.host == model.host
            or not self.allows(model.state)
            or model.snapshots  # they would stay behind
            or world.named(model.name, self.host)
        ):
            return Outcome(world, MigrationRefused)
        after = world.turned(replace(model, host=self.host, epoch=model.epoch + 1))
        return Outcome(after, None, ((model.host, EventKind.MIGRATED_OUT), (self.host, EventKind.MIGRATED_IN)))


@dataclass(frozen=True, slots=True)
class Console(Operation):
    """Open its console."""

    needs = CONSOLE.id
    begins = frozenset({RUNNING, PAUSED})


@dataclass(frozen=True, slots=True)
class Exec(Operation):
    """Run a program in it."""

    needs = EXEC.id
    begins = frozenset({RUNNING})


@dataclass(frozen=True, slots=True)
class Copy(Operation):
    """Copy files into it."""

    needs = FILES.id
    begins = frozenset({RUNNING, PAUSED, STOPPED})


def step(world: World, operation: Operation) -> Outcome:
    """Return what must come of ``operation`` in ``world``. Pure."""
    return operation.step(world)
