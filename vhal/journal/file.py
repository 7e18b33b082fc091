"""The journal's file: an SQLite database, in which each change is on the disk when its call returns."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from vhal.errors import Busy, JournalError, NotFound
from vhal.journal import owner
from vhal.journal.work import Step, StepState, Work

FORMAT = 1
"""Version of the tables. A newer one is refused; an older one would be converted when it is opened."""

KEPT = 200
"""Works that have ended are forgotten when so many newer ones have."""

PATIENCE_S = 10.0
"""How long a write waits for that of another process."""

_TABLES = """
CREATE TABLE works (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    data TEXT NOT NULL,
    begun_s REAL NOT NULL,
    ended_s REAL,
    result TEXT,
    owner TEXT
) STRICT;
CREATE TABLE steps (
    work TEXT NOT NULL REFERENCES works (id) ON DELETE CASCADE,
    place INTEGER NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    state TEXT NOT NULL,
    data TEXT NOT NULL,
    note TEXT NOT NULL,
    changed_s REAL NOT NULL,
    PRIMARY KEY (work, place)
) STRICT;
"""


class Journal:
    """A journal in a file. Use it in a ``with`` block, or close it.

    Each change is on the disk when its call returns. Two processes may use one file; each work has one owner.

    Concurrency: safe from any thread.

    Args:
        path: The file; None for that of :func:`default_path`. It is made when it isn't there, readable by its owner
            only: it holds the specs of machines on their way.
        checked: Read the whole file first, to see whether it is damaged. Who only looks something up, and often,
            needn't.

    Raises:
        vhal.errors.JournalError: It can't be opened, is broken, or is of a newer version of vhal.
    """

    def __init__(self, path: str | Path | None = None, *, checked: bool = True) -> None:
        self.path = Path(path) if path is not None else default_path()
        self._lock = threading.RLock()
        with self._told():
            _make(self.path)
            self._db = sqlite3.connect(self.path, timeout=PATIENCE_S, isolation_level=None, check_same_thread=False)
            try:
                self._open(checked)
            except BaseException:
                self._db.close()
                raise

    def begin(self, kind: str, data: Any, steps: Sequence[tuple[str, str, Any]]) -> Held:
        """Write a work down, with its steps (kind, subject, data), all waiting; return it, held by this process.

        Raises:
            vhal.errors.Busy: Another work is about one of the subjects, and is under way or was left in the middle.
        """
        work, token = uuid.uuid4().hex[:12], owner.token()
        with self._writing() as db:
            self._refuse_subjects({subject for _, subject, _ in steps})
            db.execute(
                "INSERT INTO works (id, kind, data, begun_s, owner) VALUES (?, ?, ?, ?, ?)",
                (work, kind, json.dumps(data), time.time(), token),
            )
            self._insert(db, work, 0, steps)
            db.execute(
                "DELETE FROM works WHERE ended_s IS NOT NULL AND id NOT IN "
                "(SELECT id FROM works WHERE ended_s IS NOT NULL ORDER BY ended_s DESC LIMIT ?)",
                (KEPT,),
            )
        return Held(self, work, token)

    def works(self, kind: str | None = None, *, ended: bool | None = None) -> list[Work]:
        """Return what is written down, the oldest first.

        Args:
            kind: Only of that kind.
            ended: Only those that have, or haven't, ended.
        """
        with self._told(), self._lock:
            rows = self._db.execute(
                "SELECT id FROM works WHERE kind = coalesce(:kind, kind) "
                "AND (ended_s IS NOT NULL) = coalesce(:ended, ended_s IS NOT NULL) ORDER BY begun_s, rowid",
                {"kind": kind, "ended": ended},
            ).fetchall()
            return [self.work(row[0]) for row in rows]

    def work(self, id: str) -> Work:
        """Return one work.

        Raises:
            vhal.errors.NotFound: There is none of that id.
        """
        with self._told(), self._lock:
            row = self._db.execute(
                "SELECT kind, data, begun_s, ended_s, result, owner FROM works WHERE id = ?", (id,)
            ).fetchone()
            steps = self._db.execute(
                "SELECT place, kind, subject, state, data, note FROM steps WHERE work = ? ORDER BY place", (id,)
            ).fetchall()
        if row is None:
            raise NotFound(
                f"there is no work {id!r} in {self.path}", hint="'vhal fleet resume' lists what is unfinished"
            )
        kind, data, begun_s, ended_s, result, holder = row
        return Work(
            id,
            kind,
            _read(data),
            begun_s,
            ended_s,
            None if result is None else _read(result),
            holder,
            tuple(
                Step(place, kind, subject, StepState(state), _read(data), _read(note))
                for place, kind, subject, state, data, note in steps
            ),
        )

    def take(self, id: str) -> Held:
        """Return a work that nobody carries out any more, held by this process.

        Raises:
            vhal.errors.NotFound: There is none of that id.
            vhal.errors.Busy: A process that lives has it.
        """
        token = owner.token()
        with self._writing() as db:
            work = self.work(id)
            if work.under_way:
                pid = owner.process(str(work.owner))
                raise Busy(f"work {id} is being carried out by process {pid}", hint="wait for it, or end that process")
            db.execute("UPDATE works SET owner = ? WHERE id = ?", (token, id))
        return Held(self, id, token)

    def close(self) -> None:
        """Close the file. Idempotent."""
        with self._lock:
            self._db.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # parts

    def _open(self, checked: bool) -> None:
        db = self._db
        db.execute("PRAGMA journal_mode = WAL")
        # Else a power cut could take back what was written before a side effect.
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA foreign_keys = ON")
        found = db.execute("PRAGMA quick_check(1)").fetchone()[0] if checked else "ok"
        if found != "ok":
            raise sqlite3.DatabaseError(found)
        with self._writing():
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version > FORMAT:
                raise JournalError(
                    f"{self.path} was written by a newer vhal: it is of format {version}, and this one knows {FORMAT}",
                    hint="update vhal, or name another file in VHAL_JOURNAL",
                )
            if version == 0:
                if db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                    raise JournalError(
                        f"{self.path} is a database, but no journal", hint="name another file in VHAL_JOURNAL"
                    )
                for statement in filter(str.strip, _TABLES.split(";")):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {FORMAT}")

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._told(), self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Raise what the database raises as one of ours."""
        try:
            yield
        except sqlite3.ProgrammingError as error:
            raise JournalError(
                f"{self.path}: {error}", hint="the journal was closed: open it anew", native=error
            ) from error
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise Busy(
                    f"{self.path} is held by another process for more than {PATIENCE_S:g} s",
                    hint="try again",
                    native=error,
                ) from error
            raise JournalError(
                f"{self.path} can't be used: {error}",
                hint="is there room on its disk, and may you write there? VHAL_JOURNAL names another file",
                native=error,
            ) from error
        except (sqlite3.DatabaseError, ValueError) as error:
            raise JournalError(
                f"{self.path} is broken, or no journal: {error}",
                hint="move it away, with those beside it that end in -wal and -shm, and look at the hosts: a machine "
                "may have been on its way",
                native=error,
            ) from error
        except OSError as error:
            raise JournalError(
                f"{self.path} can't be used: {error}", hint="name another file in VHAL_JOURNAL", native=error
            ) from error

    def _refuse_subjects(self, wanted: set[str]) -> None:
        for work in self.works(ended=False):
            for step in work.steps:
                if step.subject not in wanted or step.state is StepState.ENDED:
                    continue
                if work.under_way:
                    raise Busy(f"work {work.id} is under way and is about {step.subject}, too", hint="wait for its end")
                if step.state is StepState.BEGUN:
                    raise Busy(
                        f"work {work.id} was left in the middle of {step.subject}",
                        hint=f"'vhal fleet resume {work.id}' puts that right",
                    )

    def _insert(self, db: sqlite3.Connection, work: str, first: int, steps: Sequence[tuple[str, str, Any]]) -> None:
        db.executemany(
            "INSERT INTO steps (work, place, kind, subject, state, data, note, changed_s) "
            "VALUES (?, ?, ?, ?, ?, ?, 'null', ?)",
            [
                (work, place, kind, subject, StepState.WAITING, json.dumps(data), time.time())
                for place, (kind, subject, data) in enumerate(steps, first)
            ],
        )


class Held:
    """A work that this process carries out. Use it in a ``with`` block: after it, others may take the work.

    Concurrency: safe from any thread.
    """

    def __init__(self, journal: Journal, id: str, token: str) -> None:
        self.journal = journal
        self.id = id
        self._token = token
        owner.hold(token)

    def read(self) -> Work:
        """Return it as it is written down now."""
        return self.journal.work(self.id)

    def mark(self, place: int, state: StepState, note: Any = None) -> None:
        """Write down how far a step has come, and what is known of it."""
        with self._writing() as db:
            db.execute(
                "UPDATE steps SET state = ?, note = ?, changed_s = ? WHERE work = ? AND place = ?",
                (state, json.dumps(note), time.time(), self.id, place),
            )

    def add(self, steps: Sequence[tuple[str, str, Any]]) -> int:
        """Write further steps down; return the place of the first."""
        with self._writing() as db:
            first = db.execute("SELECT count(*) FROM steps WHERE work = ?", (self.id,)).fetchone()[0]
            self.journal._insert(db, self.id, first, steps)
        return int(first)

    def end(self, result: Any = None) -> None:
        """Write down that nothing more is to be done, and what came of it."""
        with self._writing() as db:
            db.execute(
                "UPDATE works SET ended_s = ?, result = ? WHERE id = ?", (time.time(), json.dumps(result), self.id)
            )

    def release(self) -> None:
        """Let others take it. Idempotent."""
        if owner.let_go(self._token):
            with self.journal._writing() as db:
                db.execute("UPDATE works SET owner = NULL WHERE id = ? AND owner = ?", (self.id, self._token))

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self.journal._writing() as db:
            row = db.execute("SELECT owner FROM works WHERE id = ?", (self.id,)).fetchone()
            if row is None or row[0] != self._token:
                raise Busy(f"work {self.id} was taken over by another process", hint="leave it to that one")
            yield db

    def __enter__(self) -> Held:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


@contextmanager
def opened(journal: Journal | None) -> Iterator[Journal]:
    """Give the journal, or the user's for as long as the block runs."""
    if journal is not None:
        yield journal
    else:
        with Journal() as mine:
            yield mine


def default_path() -> Path:
    """Return where the journal is if nobody says: ``VHAL_JOURNAL``, else a file among the user's state."""
    named = os.environ.get("VHAL_JOURNAL")
    if named:
        return Path(named)
    import platformdirs

    return platformdirs.user_state_path("vhal") / "journal.sqlite"


def _make(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Made here, since SQLite would make it readable for others; what it puts beside it gets the same mode.
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        found = os.fstat(file)
    finally:
        os.close(file)
    if found.st_uid not in (0, os.geteuid()) or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise JournalError(
            f"{path} can be written by others than its owner, or isn't yours", hint=f"chmod 600 {path}, or name another"
        )


def _read(text: str) -> Any:
    return json.loads(text)
