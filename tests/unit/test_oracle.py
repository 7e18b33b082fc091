"""The oracle: that it says what the guard's table says, and what is in no table."""

from __future__ import annotations

import pytest

from vhal.driver.event import EventKind
from vhal.errors import AlreadyExists, InvalidSpec, InvalidState, MigrationRefused, NotFound, Unsupported, VhalError
from vhal.spec.state import TRANSITIONS, MachineState
from vhal.testing.choices import ALL_ABILITIES, SPELLINGS, ends, operations
from vhal.testing.model import MEMORY_SNAPSHOTS, Kept, Model, Size, World
from vhal.testing.oracle import (
    Create,
    Delete,
    DeleteSnapshot,
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
    Told,
    step,
)

SMALL, LARGE = Size(1, 1 << 20), Size(2, 2 << 20)
FILES_ONLY = ALL_ABILITIES - {MEMORY_SNAPSHOTS}
KIND, STATE = EventKind, MachineState

# Where one word of the guard's table is two spellings here: what all of them may begin in is what the guard lets by.
SEVERAL = {
    "stop": ["stop", "stop(force=True)"],
    "snapshot": ["snapshot", "snapshot(memory=True)"],
}


def world(*models: Model, abilities: frozenset[str] = ALL_ABILITIES) -> World:
    return World(abilities, models, len(models))


def machine(state: MachineState = STATE.STOPPED, **facts: object) -> Model:
    return Model(0, "one", 0, SMALL, state, **facts)  # type: ignore[arg-type]


def played(*made: Operation, abilities: frozenset[str] = ALL_ABILITIES) -> tuple[World, list[Told]]:
    """Return the world after operations that are all done, and what was told."""
    now, told = World(abilities), list[Told]()
    for operation in made:
        outcome = step(now, operation)
        assert outcome.error is None, operation
        now = outcome.world
        told += outcome.events
    return now, told


def error(of: World, operation: Operation) -> type[VhalError] | None:
    outcome = step(of, operation)
    assert (outcome.error is None) or (outcome.world == of and outcome.events == ())
    return outcome.error


@pytest.mark.parametrize("state", MachineState)
@pytest.mark.parametrize("call", TRANSITIONS)
def test_it_agrees_with_the_table_of_the_guard(call: str, state: MachineState) -> None:
    begins = {state: end for name in SEVERAL.get(call, [call]) for state, end in ends(SPELLINGS[name]).items()}
    assert begins.get(state, "refused") == TRANSITIONS[call].get(state, "refused")


def test_every_call_of_the_guards_table_has_a_spelling() -> None:
    assert set(TRANSITIONS) <= set(SPELLINGS)


def test_a_life() -> None:
    made = (
        [Create("one", 0, SMALL), Start(0), Reboot(0), Pause(0), Resume(0), Save(0), Restore(0), Stop(0), Delete(0)]
    )  # fmt: skip
    now, told = played(*made)
    assert now == World(ALL_ABILITIES, (), 1)
    assert told == [
        (0, kind)
        for kind in (
            KIND.CREATED,
            KIND.STARTED,
            KIND.REBOOTED,
            KIND.PAUSED,
            KIND.RESUMED,
            KIND.SAVED,
            KIND.RESTORED,
            KIND.STOPPED,
            KIND.DELETED,
        )
    ]


def test_what_is_saved_and_discarded_stopped_when_it_was_saved() -> None:
    saved = world(machine(STATE.SAVED))
    assert step(saved, Stop(0, force=True)).events == ()
    assert step(saved, Delete(0, force=True)).events == ((0, KIND.DELETED),)
    assert step(world(machine(STATE.PAUSED)), Delete(0, force=True)).events == ((0, KIND.STOPPED), (0, KIND.DELETED))


def test_names_are_taken_once_on_each_host_and_free_again() -> None:
    now, _ = played(Create("one", 0, SMALL))
    assert error(now, Create("one", 0, SMALL)) is AlreadyExists
    assert error(now, Create("one", 1, SMALL)) is None
    again, _ = played(Create("one", 0, SMALL), Delete(0), Create("one", 0, LARGE))
    assert again.machines == (Model(1, "one", 0, LARGE),)
    assert error(again, Start(0)) is NotFound


def test_sizes_and_snapshots() -> None:
    now, told = played(
        Create("one", 0, SMALL),
        Snapshot(0, "small"),
        Resize(0, cpus=2),
        Resize(0, memory=2 << 20),
        Start(0),
        Snapshot(0, "live", memory=True),
        Stop(0, force=True),
        Revert(0, "small"),
    )
    assert now.machine(0) == machine(snapshots=(Kept("small", False, SMALL), Kept("live", True, LARGE)))
    assert [kind for _, kind in told][-1] is KIND.CHANGED
    live = step(now, Revert(0, "live"))
    assert live.events == ((0, KIND.CHANGED), (0, KIND.RESTORED))
    model = live.world.machine(0)
    assert model is not None
    assert (model.state, model.size) == (STATE.RUNNING, LARGE)
    assert step(now, DeleteSnapshot(0, "small")).world.machine(0) == machine(snapshots=(Kept("live", True, LARGE),))


def test_a_move() -> None:
    now, told = played(Create("one", 0, SMALL), Start(0), Pause(0), Migrate(0, 1))
    assert now.machines == (Model(0, "one", 1, SMALL, STATE.PAUSED, epoch=2),)
    assert told[-2:] == [(0, KIND.MIGRATED_OUT), (1, KIND.MIGRATED_IN)]


@pytest.mark.parametrize(
    ("before", "operation", "refused"),
    [
        (world(machine()), Resize(0), InvalidSpec),
        (world(), Resize(0), InvalidSpec),
        (world(machine(), abilities=frozenset()), Pause(0), Unsupported),
        (world(abilities=frozenset()), Pause(0), Unsupported),
        (world(), Pause(0), NotFound),
        (world(machine()), Pause(0), InvalidState),
        (world(machine(STATE.PAUSED)), Stop(0), InvalidState),
        (world(machine(STATE.SAVED)), Stop(0), InvalidState),
        (world(machine()), Snapshot(0, "one", memory=True), InvalidState),
        (world(machine(STATE.RUNNING), abilities=FILES_ONLY), Snapshot(0, "one", memory=True), Unsupported),
        (world(machine(snapshots=(Kept("one", False, SMALL),))), Snapshot(0, "one"), AlreadyExists),
        (world(machine()), Revert(0, "one"), NotFound),
        (world(machine(STATE.RUNNING)), Revert(0, "one"), InvalidState),
        (world(machine(STATE.RUNNING)), DeleteSnapshot(0, "one"), NotFound),
        (world(), Migrate(0, 1), NotFound),
        (world(machine()), Migrate(0, 0), MigrationRefused),
        (world(machine(STATE.SAVED)), Migrate(0, 1), MigrationRefused),
        (world(machine(), abilities=frozenset()), Migrate(0, 1), MigrationRefused),
        (world(machine(snapshots=(Kept("one", False, SMALL),))), Migrate(0, 1), MigrationRefused),
        (world(machine(), Model(1, "one", 1, SMALL)), Migrate(0, 1), MigrationRefused),
    ],
)  # fmt: skip
def test_refusals(before: World, operation: Operation, refused: type[VhalError]) -> None:
    assert error(before, operation) is refused


def test_what_could_be_asked_of_machines_that_are_there_and_of_the_last_that_is_gone() -> None:
    now, _ = played(Create("one", 0, SMALL), Create("two", 0, SMALL), Delete(0), Delete(1), Create("two", 0, SMALL))
    asked = list(operations(now, hosts=2, sizes=(LARGE,)))
    assert {one.machine for one in asked if not isinstance(one, Create)} == {1, 2}
    assert Create("two", 1, LARGE) in asked
    assert Migrate(2, 1) in asked
    assert Resize(2, 2, 2 << 20) in asked
    assert len(asked) == len(set(asked))
    running = step(now, Start(2)).world
    assert [one for one in operations(running) if isinstance(one, Resize) and one.machine == 2] == [Resize(2)]
