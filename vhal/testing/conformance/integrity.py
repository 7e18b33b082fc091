"""Whether a suite is whole: which of the standard tests its author has deleted, overridden or only claims to know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from vhal.testing.conformance.rows import Row, row_of, rows


def standard(suite: type) -> dict[str, Row]:
    """Return the rows as the kit ships them, by the name of their test."""
    (base,) = filter(_is_the_kits, suite.__mro__)
    return {row.test: row for row in rows(base).values()}


def changed(suite: type) -> dict[str, str]:
    """Return which rows aren't as the kit ships them: id → what was done to their test."""
    found: dict[str, str] = {}
    shipped = standard(suite)
    for base in suite.__mro__:
        if _is_the_kits(base):
            break
        for name in vars(base).keys() & shipped.keys():
            done = "overridden" if callable(vars(base)[name]) else "deleted"
            found.setdefault(shipped[name].id, f"{name} is {done} in {base.__qualname__}")
    return found


def changes(suite: type, known_failures: Mapping[str, str]) -> list[str]:
    """Return what isn't right about the suite itself, a line each."""
    return list(_changes(suite, known_failures))


def _changes(suite: type, known_failures: Mapping[str, str]) -> Iterator[str]:
    for row_id, done in changed(suite).items():
        if row_id not in known_failures:
            yield f"{row_id}: {done}: name the row in known_failures, with the reason, and leave the test as it is"
    ids = {row.id for row in standard(suite).values()}
    own = {row.id for name in dir(suite) if (row := row_of(name, getattr(suite, name))) is not None}
    for known in known_failures:
        if known.partition("[")[0] not in ids | own:
            yield f"known_failures has {known!r}, which is no row: take it out"


def _is_the_kits(suite: type) -> bool:
    # By name, since that class has the test that asks.
    return (suite.__module__, suite.__name__) == ("vhal.testing.suite", "BackendSuite")
