"""The file of a session: what is in it comes back, and what is wrong with it is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import vhal
from tests.unit.sessions import record
from vhal.driver import Answer, Blocker, Event, EventKind, Level
from vhal.errors import (
    AlreadyExists,
    CommandFailed,
    InsufficientResources,
    InvalidSpec,
    MigrationRefused,
    NotFound,
    VhalError,
)
from vhal.layers.encoding import plain, tagged, untagged
from vhal.testing import Replay


class TestDamage:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        record(tmp_path / "s.json", lambda host: [host.info(), host.create(vhal.MachineSpec(name="web"))])
        return tmp_path / "s.json"

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"format": "else"}, "that is no recorded session"),
            ({"version": 99}, "written by a newer vhal: its version is 99, this one reads 1"),
            ({"version": "1"}, "version: must be a number"),
            ({"version": 0}, "version: must be a number"),
            ({"backend": 7}, "backend: "),
            ({"more": 1}, "more: there is no such field"),
            ({"calls": [{"number": 1}]}, r"calls\[0\].call: this field is required"),
            ({"events": [{"to": 1, "after": 1, "event": {"x": 1}}]}, r"events\[0\]: that is no event"),
        ],
    )
    def test_what_is_wrong_is_named(self, path: Path, change: dict[str, Any], message: str) -> None:
        path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
        with pytest.raises(InvalidSpec, match=message) as caught:
            Replay.load(path)
        assert str(path) in caught.value.message
        assert caught.value.hint

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"call": "creat"}, "there is no call 'creat'"),
            ({"result": {"$": "HostInfo", "value": {}}}, "HostInfo is not valid"),
            ({"result": {"$": "HostInfo"}}, "that is no HostInfo"),
            ({"result": {"$": "os.system"}}, "there is no type 'os.system'"),
            ({"result": {"$": "Answer", "note": None, "blockers": [{}]}}, "that is no Answer"),
            ({"result": {"$": "bytes", "base64": "%"}}, "its bytes can't be read"),
            ({"result": {"$": "bytes"}}, "its bytes can't be read"),
            ({"call": "execute", "result": {"$": "process"}}, "damaged"),
            ({"error": {"$": "error", "class": "SystemExit"}}, "that is no error"),
        ],
    )
    def test_a_damaged_call(self, path: Path, change: dict[str, Any], message: str) -> None:
        data = json.loads(path.read_text())
        data["calls"][0] |= change
        path.write_text(json.dumps(data))
        with pytest.raises(InvalidSpec, match=message):
            Replay.load(path)

    @pytest.mark.parametrize("text", ["", "{", "[]", "null", '"x"', "[" * 100_000, "\x00"])
    def test_no_session_at_all(self, path: Path, text: str) -> None:
        path.write_text(text)
        with pytest.raises(InvalidSpec):
            Replay.load(path)

    def test_half_a_file(self, path: Path) -> None:
        text = path.read_text()
        path.write_text(text[: len(text) // 2])
        with pytest.raises(InvalidSpec, match="no well-formed JSON"):
            Replay.load(path)

    def test_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(NotFound):
            Replay.load(tmp_path / "none.json")
        with pytest.raises(InvalidSpec, match="can't be read"):
            Replay.load(tmp_path)


class TestEncoding:
    @pytest.mark.parametrize(
        "error",
        [
            InvalidSpec("bad", problems=[("a.b", "why")], hint="do"),
            MigrationRefused("no", blockers=[Blocker("c", "m", "r", Level.HOST, AlreadyExists)], host="h"),
            InsufficientResources("full", machine="web", backend="mock", native=ValueError("words")),
            CommandFailed("ended", exit_code=3, errors=b"\xff"),
        ],
    )
    def test_errors_come_back(self, error: VhalError) -> None:
        again = untagged(tagged(error))
        assert type(again) is type(error)
        assert again.as_dict() == error.as_dict()

    def test_an_error_of_a_plugins_own_comes_back_as_what_it_is(self) -> None:
        class Mine(AlreadyExists):
            pass

        assert type(untagged(tagged(Mine("taken")))) is AlreadyExists

    def test_values_come_back(self) -> None:
        event = Event(EventKind.STARTED, "1", "web", "a", 5.0, "why")
        answer = Answer((Blocker("c", "m", "r", Level.HOST, AlreadyExists),), "note")
        for value in (event, answer, [event, {"x": answer}], None, 1.5, True, "x"):
            assert untagged(tagged(value)) == value
        assert plain({"a": (1, {"b"}, Path("/x"))}) == {"a": [1, ["b"], "/x"]}
