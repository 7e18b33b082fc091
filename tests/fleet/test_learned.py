"""What a watch has learned outlasts it, in a file; one that makes no sense does no harm."""

from __future__ import annotations

import itertools
import json
import logging
from pathlib import Path

import pytest

from tests.fleet.stand import Stand
from tests.fleet.watching import PLACED, STEADY, Busy, decisions
from vhal.errors import AccessDenied, InvalidSpec
from vhal.fleet.snapshot import FleetSnapshot
from vhal.fleet.watch.cool import CoolSettings
from vhal.fleet.watch.habit import Habit
from vhal.fleet.watch.learned import Learned, Memory
from vhal.fleet.watch.policy import WatchPolicy
from vhal.fleet.watch.watch import Round, Watch
from vhal.journal import Journal

KEEP = WatchPolicy(policy="cool", cool=CoolSettings(empty=False), every_s=300)


def looks(fleet: Stand, journal: Journal, policy: WatchPolicy, count: int) -> list[Round]:
    clock = fleet.world.clock
    watch = Watch(fleet, policy, journal=journal, now_s=lambda: clock.now_s, wait=clock.advance, dry_run=True)
    found = list(itertools.islice(watch.rounds(), count))
    clock.advance(policy.every_s)
    return found


class Begun(Busy):
    """A fleet whose loads nobody knows at first."""

    measured = True

    def snapshot(self, *, movable: bool = False) -> FleetSnapshot:
        now = super().snapshot()
        if self.measured:
            return now
        return now.model_copy(update={"machines": tuple(each.replace(load=None) for each in now.machines)})


def test_a_watch_that_is_begun_anew_knows_what_was_learned(journal: Journal, tmp_path: Path) -> None:
    kept, forgotten = KEEP.replace(habits=str(tmp_path / "habits.json")), KEEP
    begun = Begun(lambda name, at_s: STEADY[name], PLACED)
    with begun as fleet:
        assert decisions(looks(fleet, journal, kept, 6))[1:] == ["planned"] * 5
        known = Learned.recall(tmp_path / "habits.json")
        assert {round(habit.mean, 1) for habit in known.habits.values()} == set(STEADY.values())
        begun.measured = False
        assert looks(fleet, journal, forgotten, 1)[0].reason == "no load is known yet"
        (again,) = looks(fleet, journal, kept, 1)
    assert (again.decision, again.hot) == ("planned", ("a",))


def test_a_policys_file_names_it_from_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "cool.toml"
    path.write_text('policy = "cool"\nhabits = "habits.json"\n')
    assert WatchPolicy.load(path).habits == str(tmp_path / "habits.json")
    path.write_text('habits = "habits.json"\n')
    with pytest.raises(InvalidSpec, match='habits: it is a setting of policy = "cool"'):
        WatchPolicy.load(path)


@pytest.mark.parametrize(
    "text", [b"", b'{"format": 1, "habits": {"m": {"mean"', b'{"habits": {"m": 3}}', b"\x00\xff\x00"]
)
def test_one_that_makes_no_sense_is_told_of_and_begun_anew(
    journal: Journal, tmp_path: Path, text: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "habits.json"
    path.write_bytes(text)
    with Busy(lambda name, at_s: STEADY[name], PLACED) as fleet, caplog.at_level(logging.WARNING):
        looks(fleet, journal, KEEP.replace(habits=str(path)), 3)
    (told,) = caplog.messages
    assert told.startswith(f"{path} is not valid")
    assert told.endswith("what machines are used to is learned anew")
    assert len(Learned.load(path).habits) == 5


@pytest.mark.parametrize("format", [0, 2, "x"])
def test_one_of_another_version_is_refused_and_not_written_over(
    journal: Journal, tmp_path: Path, format: object
) -> None:
    path = tmp_path / "habits.json"
    text = json.dumps({"format": format, "habits": {}})
    path.write_text(text)
    with Busy(lambda name, at_s: 1.0) as fleet, pytest.raises(InvalidSpec) as caught:
        Watch(fleet, KEEP.replace(habits=str(path)), journal=journal)
    assert f"it is of format {format}, and this vhal reads 1" in caught.value.message
    assert caught.value.hint
    assert path.read_text() == text


def test_one_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AccessDenied, match="can't be read: Is a directory") as caught:
        Memory(str(tmp_path))
    assert caught.value.hint == "look at its mode, or name another file in 'habits'"


def test_that_it_can_not_be_kept_is_told_and_the_watch_goes_on(
    journal: Journal, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    policy = KEEP.replace(habits=str(tmp_path / "none" / "habits.json"))
    with Busy(lambda name, at_s: STEADY[name], PLACED) as fleet, caplog.at_level(logging.WARNING):
        assert decisions(looks(fleet, journal, policy, 3))[1:] == ["planned"] * 2
    assert all(told.startswith("what machines are used to isn't kept: there is no folder") for told in caplog.messages)
    assert caplog.messages


def test_it_is_written_as_often_as_there_is_something_to_learn(tmp_path: Path) -> None:
    path = tmp_path / "habits.json"
    memory = Memory(str(path))
    for at_s, kept_s in ((1000.0, 1000.0), (1060.0, 1000.0), (1300.0, 1300.0), (10.0, 10.0)):
        memory.keep({"m": Habit(mean=at_s)}, at_s)
        assert Learned.load(path).at_s == kept_s
