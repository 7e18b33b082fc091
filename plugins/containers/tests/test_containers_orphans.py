"""What an engine left behind can't always be frozen or ended: then that is said, and nothing is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager

import pytest
from vhal_containers import orphans
from vhal_containers.address import Address
from vhal_containers.reach import ReachError

from vhal.errors import EngineError, MigrationInDoubt

ID = "a" * 64
WHERE = Address("/run/podman/podman.sock")


class Host:
    """A host whose runtime says that the container runs (or isn't there), and fails with everything else."""

    def __init__(self, **state: object) -> None:
        self._state = state
        self.asked: list[str] = []

    def run(self, argv: Sequence[str], *, input: str = "", files: bool = False) -> str:
        self.asked.append(" ".join(argv[:2]))
        if argv[0] == "ps":
            return ""
        if argv[:2] == ["runc", "state"] and self._state:
            return json.dumps(self._state)
        raise ReachError("it fails")

    def stream(self, argv: Sequence[str]) -> AbstractContextManager[Iterator[bytes]]:
        raise ReachError("it fails")

    def close(self) -> None:
        self.asked.append("closed")


def on(host: Host, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setattr(orphans, "reach", lambda where: host)
    return host


def test_what_can_not_be_frozen_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    host = on(Host(status="running", pid=7, bundle="/bundle"), monkeypatch)
    with pytest.raises(EngineError, match="runs on: it fails") as caught:
        orphans.freeze(WHERE, "runc", ID)
    assert "runc list" in str(caught.value)
    assert not {"runc delete", "runc kill"} & set(host.asked)
    assert host.asked[-1] == "closed"


def test_where_nothing_runs_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    host = on(Host(), monkeypatch)
    orphans.freeze(WHERE, "runc", ID)
    assert host.asked == ["ps -e", "runc state", "closed"]


@pytest.mark.parametrize(("runtime", "podman_id"), [("kata", ID), ("runc", "../x")])
def test_what_is_not_known_is_left_alone(runtime: str, podman_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    host = on(Host(), monkeypatch)
    orphans.freeze(WHERE, runtime, podman_id)
    with pytest.raises(MigrationInDoubt, match="isn't known"):
        orphans.end(WHERE, runtime, podman_id)
    assert host.asked == []


def test_where_nobody_can_look_it_is_in_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(where: Address) -> Host:
        raise ReachError("only root can enter the engine's namespaces")

    monkeypatch.setattr(orphans, "reach", unreachable)
    orphans.freeze(WHERE, "runc", ID)
    with pytest.raises(MigrationInDoubt, match="only root"):
        orphans.end(WHERE, "runc", ID)


def test_connections_that_can_not_be_kept_do_not_keep_it_from_ending(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    host = on(Host(status="running", pid=7, bundle="/bundle"), monkeypatch)
    with pytest.raises(MigrationInDoubt, match="it fails"):
        orphans.end(WHERE, "runc", ID)
    assert "runc delete" in host.asked
    assert "may be reset" in caplog.text
