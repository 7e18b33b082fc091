"""What could be asked of the oracle's machines: in a world, and in each state.

Whether it is legal, and what comes of it, says :mod:`vhal.testing.oracle`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from vhal.driver.capability import CONSOLE, EXEC, FILES, MIGRATION, PAUSE, RESIZE, SAVE, SNAPSHOTS
from vhal.spec.state import MachineState
from vhal.testing.model import MEMORY_SNAPSHOTS, Kept, Model, Size, World
from vhal.testing.oracle import (
    Console,
    Copy,
    Create,
    Delete,
    DeleteSnapshot,
    Exec,
    Migrate,
    Operation,
    Pause,
    Reboot,
    Resize,
    Restore,
    Resume,
    Revert,
    Save,
    Snapshot,
    Start,
    Stop,
    step,
)

ALL_ABILITIES = frozenset(
    {MEMORY_SNAPSHOTS, *(key.id for key in (CONSOLE, EXEC, FILES, MIGRATION, PAUSE, RESIZE, SAVE, SNAPSHOTS))}
)
"""What hosts can do that can do everything."""


def operations(
    world: World, names: Iterable[str] = ("one", "two"), hosts: int = 1, sizes: Iterable[Size] = (Size(1, 1 << 20),)
) -> Iterator[Operation]:
    """Yield what could be asked in ``world``, legal or not, with these names of machines and snapshots and these sizes.

    Two kinds are left out: looks that change nothing, and a resize of what is active, which each engine does as far as
    it can. Of the machines that are gone the last one is asked, too.
    """
    names, sizes = tuple(names), tuple(sizes)
    for host in range(hosts):
        yield from (Create(name, host, sizes[0]) for name in names)
    there = {model.id: model for model in world.machines}
    gone = [number for number in range(world.made) if number not in there]
    for number in (*there, *gone[-1:]):
        model = there.get(number)
        yield from (
            Start(number),
            Reboot(number),
            Pause(number),
            Resume(number),
            Save(number),
            Restore(number),
            Resize(number),
        )
        for force in (False, True):
            yield from (Stop(number, force), Delete(number, force))
        for name in names:
            yield from (
                Snapshot(number, name),
                Snapshot(number, name, memory=True),
                Revert(number, name),
                DeleteSnapshot(number, name),
            )
        if model is None or not model.state.active:
            for size in sizes:
                yield from (
                    Resize(number, size.cpus, size.memory),
                    Resize(number, size.cpus),
                    Resize(number, None, size.memory),
                )
        yield from (Migrate(number, host) for host in range(hosts))


SPELLINGS: Mapping[str, Operation] = {
    "start": Start(0),
    "stop": Stop(0),
    "stop(force=True)": Stop(0, force=True),
    "reboot": Reboot(0),
    "pause": Pause(0),
    "resume": Resume(0),
    "save": Save(0),
    "restore": Restore(0),
    "delete": Delete(0),
    "delete(force=True)": Delete(0, force=True),
    "console": Console(0),
    "resize": Resize(0, cpus=2),
    "exec": Exec(0),
    "copy": Copy(0),
    "snapshot": Snapshot(0, "new"),
    "snapshot(memory=True)": Snapshot(0, "new", memory=True),
    "revert": Revert(0, "files"),
    "revert, kept with memory": Revert(0, "memory"),
    "delete_snapshot": DeleteSnapshot(0, "files"),
    "migrate": Migrate(0, 1),
}
"""Each call as the table of states spells it, of machine 0."""


def ends(operation: Operation) -> dict[MachineState, MachineState | None]:
    """Return the states in which ``operation`` of machine 0 may begin, each with where it ends; None: it is gone."""
    size = Size(1, 1 << 20)
    kept = () if isinstance(operation, Migrate) else (Kept("files", False, size), Kept("memory", True, size))
    found: dict[MachineState, MachineState | None] = {}
    for state in MachineState:
        model = Model(0, "one", 0, size, state, kept)
        outcome = step(World(ALL_ABILITIES, (model,), 1), operation)
        if outcome.error is None:
            after = outcome.world.machine(0)
            found[state] = None if after is None else after.state
    return found
