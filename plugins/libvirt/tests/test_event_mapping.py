"""libvirt's steps as events: sequences as real daemons told them."""

from __future__ import annotations

import pytest
from vhal_libvirt.connection import Notice
from vhal_libvirt.events import EventMapping
from vhal_libvirt.state import machine_state

from vhal.spec import MachineState

SEQUENCES = {
    "boot": ([(4, 0), (2, 0)], ["started"]),
    "pause and resume": ([(3, 0), (4, 0)], ["paused", "resumed"]),
    "save": ([(3, 0), (5, 4)], ["paused", "saved"]),
    "restore": ([(2, 2), (4, 2)], ["restored"]),
    "power button": ([(6, 0), (5, 0)], ["stopped"]),
    "crash": ([(8, 0), (5, 2)], ["crashed", "crashed"]),
    "define, change, delete": ([(0, 0), (0, 1), (1, 0)], ["created", "changed", "deleted"]),
    "rename": ([(1, 1), (0, 2)], ["changed"]),
    "live migration, source": ([(3, 1), (5, 3)], ["migrated-out"]),
    "live migration, destination": ([(2, 1), (0, 0), (4, 1)], ["migrated-in"]),
    "paused migration, destination": ([(2, 1), (0, 0), (3, 0)], ["migrated-in"]),
    "failed migration, destination": ([(2, 1), (5, 5)], []),
    "failed migration, source": ([(3, 1), (4, 1)], []),
    "migrated in and used": ([(2, 1), (0, 0), (4, 1), (3, 0), (4, 0)], ["migrated-in", "paused", "resumed"]),
}


@pytest.mark.parametrize("name", SEQUENCES)
def test_sequence(name: str) -> None:
    told, events = SEQUENCES[name]
    mapping = EventMapping("h")
    found = [mapping.events(Notice("lifecycle", "id", "m", event, detail)) for event, detail in told]
    assert [str(event.kind) for group in found for event in group] == events


@pytest.mark.parametrize(
    ("told", "events"),
    [
        ([(3, 0), (5, 4)], ["saved"]),
        # It was paused before it was saved, and that is told late.
        ([(3, 0), (4, 0), (3, 0), (5, 4)], ["paused", "resumed", "saved"]),
        # The saving failed.
        ([(3, 0), (4, 0)], ["paused", "resumed"]),
    ],
)
def test_the_halt_of_a_saving_is_no_pause(told: list[tuple[int, int]], events: list[str]) -> None:
    mapping = EventMapping("h", saving={"id"})
    found = [mapping.events(Notice("lifecycle", "id", "m", event, detail)) for event, detail in told]
    assert [str(event.kind) for group in found for event in group] == events


def test_a_machine_that_was_paused_before() -> None:
    (event,) = EventMapping("h", ["id"]).events(Notice("lifecycle", "id", "m", 4, 0))
    assert event.as_dict() | {"time": 0} == {
        "kind": "resumed", "machine": "m", "machine_id": "id", "host": "h", "time": 0, "detail": "",
    }  # fmt: skip


def test_a_restart_that_is_told_twice_is_one() -> None:
    mapping = EventMapping("h")
    told = [mapping.events(Notice("reboot", "id", "m")) for _ in range(2)]
    assert [len(events) for events in told] == [1, 0]


@pytest.mark.parametrize(
    ("state", "reason", "saved", "ours"),
    [
        (1, 1, False, MachineState.RUNNING),
        (2, 0, False, MachineState.RUNNING),
        (3, 1, False, MachineState.PAUSED),
        (3, 2, False, MachineState.MIGRATING),
        (3, 11, False, MachineState.MIGRATING),
        (4, 1, False, MachineState.STOPPING),
        (5, 1, False, MachineState.STOPPED),
        (5, 3, False, MachineState.CRASHED),
        (5, 5, True, MachineState.SAVED),
        (5, 6, False, MachineState.STOPPED),
        (6, 0, False, MachineState.CRASHED),
        (7, 0, False, MachineState.PAUSED),
        (0, 0, False, MachineState.UNKNOWN),
        (99, 0, False, MachineState.UNKNOWN),
    ],
)
def test_state(state: int, reason: int, saved: bool, ours: MachineState) -> None:
    assert machine_state(state, reason, saved) is ours


@pytest.mark.parametrize(("awaited", "event"), [([1], "migrated-in"), ([1, 0], "created"), ([], "created")])
def test_one_that_moves_without_running_is_only_defined(awaited: list[int], event: str) -> None:
    mapping = EventMapping("h")
    for still in awaited:
        assert mapping.events(Notice("awaited", "id", "m", still)) == []
    (told,) = mapping.events(Notice("lifecycle", "id", "m", 0, 0))
    assert told.kind == event
    (later,) = mapping.events(Notice("lifecycle", "id", "m", 0, 0))
    assert later.kind == "created"


def test_probes_are_told_to_nobody() -> None:
    assert EventMapping("h").events(Notice("lifecycle", "id", "vhal-kvm-probe-1", 2, 0)) == []
