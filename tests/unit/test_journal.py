"""The journal: what is written down stays, each work has one owner, and what can't be read is said to be so."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from vhal.errors import Busy, JournalError, NotFound
from vhal.journal import FORMAT, Journal, StepState, file, owner

STEPS = [("move", "id-1", {"to": "b"}), ("move", "id-2", {"to": "c"})]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.sqlite"


@pytest.fixture
def book(path: Path) -> Iterator[Journal]:
    with Journal(path) as book:
        yield book


def test_what_is_written_down_is_there_for_the_next(path: Path) -> None:
    with Journal(path) as book, book.begin("plan", {"a": 1}, STEPS) as held:
        held.mark(0, StepState.BEGUN, {"offer": 1})
        assert held.add([("move", "id-3", None)]) == 2
    with Journal(path) as book:
        (work,) = book.works("plan", ended=False)
    assert (work.data, work.ended_s, work.under_way) == ({"a": 1}, None, False)
    assert [(step.place, step.subject, step.state) for step in work.steps] == [
        (0, "id-1", StepState.BEGUN),
        (1, "id-2", StepState.WAITING),
        (2, "id-3", StepState.WAITING),
    ]
    assert (work.steps[0].note, work.steps[1].data) == ({"offer": 1}, {"to": "c"})


def test_what_has_ended_says_how(book: Journal) -> None:
    with book.begin("plan", None, STEPS) as held:
        held.end({"moved": 2})
    assert book.works(ended=False) == []
    assert book.works("other") == []
    assert book.work(held.id).result == {"moved": 2}


def test_only_its_owner_may_read_it(path: Path) -> None:
    with Journal(path) as book, book.begin("plan", None, STEPS):
        for file in path.parent.iterdir():
            assert file.stat().st_mode & 0o077 == 0, file


def test_a_work_has_one_owner(path: Path) -> None:
    with Journal(path) as book, Journal(path) as other:
        held = book.begin("plan", None, STEPS)
        assert other.work(held.id).under_way
        with pytest.raises(Busy, match=str(os.getpid())):
            other.take(held.id)
        held.release()
        with other.take(held.id), pytest.raises(Busy, match="taken over"):
            held.mark(0, StepState.BEGUN)


def test_another_process_keeps_its_work_until_it_dies(path: Path) -> None:
    script = (
        "import sys; from vhal.journal import Journal\n"
        f"held = Journal({str(path)!r}).begin('plan', None, [])\n"
        "print(held.id, flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        work = child.stdout.readline().strip()
        with Journal(path) as book:
            with pytest.raises(Busy, match=str(child.pid)) as caught:
                book.take(work)
            assert caught.value.hint
            child.kill()
            child.wait()
            with book.take(work) as held:
                assert held.read().under_way
    finally:
        child.kill()
        child.communicate()


@pytest.mark.parametrize(
    ("token", "lives"),
    [
        ("another-boot:{space}:{pid}:{began}:x", False),
        ("{boot}:another-space:1:1:x", True),
        ("{boot}:{space}:{pid}:1:x", False),
        ("{boot}:{space}:4194305:1:x", False),
    ],
)
def test_who_lives(book: Journal, token: str, lives: bool) -> None:
    boot, space, *_ = owner.token().split(":")
    held = book.begin("plan", None, [])
    held.release()
    told = token.format(boot=boot, space=space, pid=os.getppid(), began=owner._began(os.getppid()))
    with sqlite3.connect(book.path) as db:
        db.execute("UPDATE works SET owner = ?", (told,))
    db.close()
    assert book.work(held.id).under_way is lives


def test_nobody_knows_a_work(book: Journal) -> None:
    with pytest.raises(NotFound) as caught:
        book.take("nothing")
    assert caught.value.hint


def test_a_journal_of_a_newer_version_is_refused(path: Path) -> None:
    with Journal(path) as book, book._writing() as db:
        db.execute(f"PRAGMA user_version = {FORMAT + 1}")
    with pytest.raises(JournalError, match="newer") as caught:
        Journal(path)
    assert "update" in str(caught.value.hint)


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"SQLite format 3\x00" + b"\xff" * 4096])
@pytest.mark.parametrize("checked", [True, False])
def test_a_broken_journal_is_said_to_be_so(path: Path, content: bytes, checked: bool) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(JournalError, match="broken") as caught:
        Journal(path, checked=checked)
    assert "move it away" in str(caught.value.hint)
    assert path.read_bytes() == content


def test_another_programs_database_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE theirs (x)")
    db.close()
    path.chmod(0o600)
    with pytest.raises(JournalError, match="no journal"):
        Journal(path)


def test_a_journal_that_others_may_write_is_refused(path: Path) -> None:
    Journal(path).close()
    path.chmod(0o666)
    with pytest.raises(JournalError, match="written by others"):
        Journal(path)


def test_a_journal_needs_a_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError) as caught:
        Journal(tmp_path / "file" / "journal")
    assert "VHAL_JOURNAL" in str(caught.value.hint)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(JournalError):
        Journal(tmp_path / "link")
    assert not (tmp_path / "elsewhere").exists()


def test_a_closed_journal_says_so(path: Path) -> None:
    book = Journal(path)
    book.close()
    with pytest.raises(JournalError, match="closed"):
        book.works()


def test_another_process_that_writes_for_too_long(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file, "PATIENCE_S", 0.01)
    with Journal(path) as book, Journal(path) as other, other._writing(), pytest.raises(Busy):
        book.begin("plan", None, [])


def test_what_ended_long_ago_is_forgotten(book: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file, "KEPT", 2)
    for number in range(5):
        with book.begin("plan", number, STEPS) as held:
            held.end()
    with book.begin("plan", "last", STEPS):
        assert [work.data for work in book.works()] == [3, 4, "last"]


def test_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VHAL_JOURNAL", str(tmp_path / "mine"))
    assert file.default_path() == tmp_path / "mine"
    monkeypatch.delenv("VHAL_JOURNAL")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert file.default_path() == tmp_path / "vhal" / "journal.sqlite"
