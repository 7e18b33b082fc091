"""Claims: what is being made, between threads and between processes."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from vhal.errors import PlacementRefused
from vhal.fleet.placement import claims as module
from vhal.fleet.placement.claims import HERE, Claim, Claims, shared
from vhal.fleet.snapshot import SeenMachine

CHILD = """
import sys
import tempfile
from pathlib import Path
from vhal.fleet.placement.claims import Claims
from vhal.fleet.snapshot import SeenMachine
claims = Claims(Path(sys.argv[1]))
claims.take(0.0, lambda _: ("h", SeenMachine(id="1", name="theirs", host="a")))
print("claimed", flush=True)
sys.stdin.read()
"""


def seen(name: str = "web") -> SeenMachine:
    return SeenMachine(id="1", name=name, host="a")


def names(claims: Claims, since_s: float) -> list[str]:
    """Return what a chooser that began to look at that moment would count."""
    found: list[str] = []

    class Enough(Exception):
        pass

    def look(counted: Sequence[Claim]) -> tuple[str, SeenMachine]:
        found.extend(claim.machine.name for claim in counted)
        raise Enough

    with pytest.raises(Enough):
        claims.take(since_s, look)
    return found


@pytest.fixture(params=["threads", "processes"])
def claims(request: pytest.FixtureRequest, tmp_path: Path) -> Claims:
    return Claims(tmp_path / "claims.json" if request.param == "processes" else None)


def test_what_is_being_made_counts(claims: Claims) -> None:
    claims.take(claims.now_s(), lambda _: ("h", seen()))
    assert names(claims, claims.now_s()) == ["web"]


def test_what_was_made_counts_for_those_who_looked_before(claims: Claims) -> None:
    before_s = claims.now_s()
    claim = claims.take(before_s, lambda _: ("h", seen()))
    claims.end(claim, made=True)
    assert names(claims, before_s) == ["web"]
    assert names(claims, claims.now_s()) == []


def test_what_was_not_made_does_not_count(claims: Claims) -> None:
    before_s = claims.now_s()
    claims.end(claims.take(before_s, lambda _: ("h", seen())), made=False)
    assert names(claims, before_s) == []


def test_who_finds_no_place_claims_nothing(claims: Claims) -> None:
    def refuse(_: Sequence[Claim]) -> tuple[str, SeenMachine]:
        raise PlacementRefused("no")

    with pytest.raises(PlacementRefused):
        claims.take(claims.now_s(), refuse)
    assert names(claims, 0.0) == []


def test_it_is_forgotten_after_a_while(claims: Claims, monkeypatch: pytest.MonkeyPatch) -> None:
    claims.end(claims.take(0.0, lambda _: ("h", seen())), made=True)
    assert names(claims, 0.0) == ["web"]
    monkeypatch.setattr(module, "KEPT_S", 0.0)
    assert names(claims, 0.0) == []


def test_another_process_claims_as_long_as_it_lives(tmp_path: Path) -> None:
    path = tmp_path / "claims.json"
    claims = Claims(path)
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "claimed\n"
        assert names(claims, claims.now_s()) == ["theirs"]
        child.communicate("")
    assert names(claims, claims.now_s()) == []


def test_a_file_that_is_cut_off_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "claims.json"
    path.write_text('[{"host": "h"')
    claims = Claims(path)
    claims.take(claims.now_s(), lambda _: ("h", seen()))
    assert names(claims, claims.now_s()) == ["web"]


def test_the_file_is_in_a_folder_of_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    claims = shared()
    claims.take(claims.now_s(), lambda _: ("h", seen()))
    assert (tmp_path / "vhal" / "claims.json").stat().st_mode & 0o777 == 0o600
    assert names(shared(), claims.now_s()) == ["web"]


def test_without_a_runtime_folder_it_is_in_that_for_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    shared().take(0.0, lambda _: ("h", seen()))
    (folder,) = tmp_path.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700


def test_where_there_is_no_folder_claims_stay_in_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "gone"))
    assert shared() is HERE


def test_where_others_could_write_claims_stay_in_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "vhal").mkdir(mode=0o700)
    (tmp_path / "vhal").chmod(0o777)
    assert shared() is HERE
