"""What is done on both: corner cases written by hand, and sequences that the oracle makes up from a seed."""

from __future__ import annotations

import random
from collections.abc import Iterable

from vhal.testing.choices import operations
from vhal.testing.model import Size, World
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
    step,
)

SIZE = Size(1, 128 << 20)
LARGER = Size(2, 192 << 20)
SEEDS = (1, 2, 3)
"""Of the sequences that are made up."""
_LENGTH = 14
_REFUSED = 0.25
_MOST = 2

_MADE = Create("one", 0, SIZE)

SEQUENCES: dict[str, list[Operation]] = {
    "life": [_MADE, Start(0), Pause(0), Resume(0), Stop(0, force=True), Delete(0), Start(0)],
    "refusals when stopped": [_MADE, Stop(0), Stop(0, force=True), Reboot(0), Pause(0), Resume(0), Save(0), Restore(0)],
    "refusals when running": [_MADE, Start(0), Start(0), Resume(0), Restore(0), Delete(0), Revert(0, "a")],
    "refusals when paused": [_MADE, Start(0), Pause(0), Start(0), Pause(0), Stop(0), Reboot(0), Delete(0)],
    "saved": [_MADE, Start(0), Save(0), Start(0), Stop(0), Pause(0), Save(0), Resize(0, 2), Migrate(0, 1), Restore(0)],
    "saved when paused": [_MADE, Start(0), Pause(0), Save(0), Restore(0), Stop(0, force=True)],
    "saved and discarded": [_MADE, Start(0), Save(0), Stop(0, force=True), Restore(0), Start(0)],
    "saved and deleted": [_MADE, Start(0), Save(0), Delete(0), _MADE, Restore(1), Start(1)],
    "deleted by force": [_MADE, Start(0), Pause(0), Delete(0, force=True), Delete(0, force=True)],
    "names": [_MADE, _MADE, Delete(0), _MADE, Start(0), Delete(0), Start(1)],
    "sizes": [_MADE, Resize(0), Resize(0, 2), Resize(0, None, 192 << 20), Start(0), Stop(0, force=True), Start(0)],
    "sizes and memory": [_MADE, Resize(0, 2, 192 << 20), Start(0), Save(0), Restore(0)],
    "snapshots": [
        *(_MADE, Snapshot(0, "a"), Snapshot(0, "a"), Snapshot(0, "b", memory=True), Start(0), Snapshot(0, "b")),
        *(Pause(0), Snapshot(0, "c"), Revert(0, "a"), Stop(0, force=True), Revert(0, "x"), Revert(0, "a")),
        *(DeleteSnapshot(0, "a"), DeleteSnapshot(0, "a"), Revert(0, "a"), Start(0), DeleteSnapshot(0, "b")),
    ],
    "snapshots with memory": [
        *(_MADE, Start(0), Snapshot(0, "a", memory=True), Pause(0), Snapshot(0, "p", memory=True), Stop(0, force=True)),
        *(Revert(0, "a"), Stop(0, force=True), Revert(0, "p"), Pause(0), Delete(0, force=True)),
    ],
    "snapshots keep sizes": [
        *(_MADE, Snapshot(0, "small"), Resize(0, 2, 192 << 20), Snapshot(0, "large"), Revert(0, "small"), Start(0)),
        *(Stop(0, force=True), Revert(0, "large"), Start(0)),
    ],
    "snapshots with memory keep sizes": [
        *(_MADE, Start(0), Snapshot(0, "a", memory=True), Stop(0, force=True), Resize(0, 2, 192 << 20), Revert(0, "a")),
        Stop(0, force=True),
    ],
    "snapshots stay": [_MADE, Snapshot(0, "a"), Migrate(0, 1), DeleteSnapshot(0, "a"), Migrate(0, 1), Snapshot(0, "a")],
    "moved when stopped": [_MADE, Resize(0, 2), Migrate(0, 1), Start(0), Migrate(0, 0), Delete(0, force=True)],
    "moved when paused": [_MADE, Start(0), Pause(0), Migrate(0, 1), Resume(0), Stop(0, force=True)],
    "moved there and back": [_MADE, Start(0), Migrate(0, 0), Migrate(0, 1), Migrate(0, 1), Migrate(0, 0), Pause(0)],
    "moved to a name that is taken": [_MADE, Create("one", 1, SIZE), Migrate(0, 1), Delete(1), Migrate(0, 1), _MADE],
    "the guest is asked": [_MADE, Start(0), Stop(0), Start(0), Reboot(0)],
}
"""Corner cases, by what they are about."""


def drawn(seed: int, abilities: Iterable[str]) -> list[Operation]:
    """Return a sequence for hosts that can do ``abilities``: mostly legal, and nothing that waits for a guest."""
    chance = random.Random(seed)
    world, found = World(frozenset(abilities)), list[Operation]()
    while len(found) < _LENGTH:
        refused = chance.random() < _REFUSED
        fitting = [one for one in operations(world, hosts=2, sizes=(SIZE, LARGER)) if _fits(world, one, refused)]
        if fitting:
            kind = chance.choice(list(dict.fromkeys(type(one) for one in fitting)))
            found.append(chance.choice([one for one in fitting if type(one) is kind]))
            world = step(world, found[-1]).world
    return found


def _fits(world: World, operation: Operation, refused: bool) -> bool:
    waits = isinstance(operation, Reboot) or operation == Stop(operation.machine)
    many = isinstance(operation, Create) and len(world.machines) >= _MOST
    return (step(world, operation).error is not None) is refused and not (not refused and (waits or many))
