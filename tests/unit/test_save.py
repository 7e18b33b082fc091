"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from vhal.errors import AccessDenied, NotFound
from vhal.fleet.plan import Plan
from vhal.spec.save import save


def test_a_file_is_private_from_the_beginning(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text("old")
    path.chmod(0o644)
    save(path, "größer\n")
    assert path.read_bytes() == "größer\n".encode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["plan.json"]


def test_a_link_stays_one(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    link.symlink_to(target)
    for text in ("new", "newer"):
        save(link, text)
        assert (link.is_symlink(), target.read_text()) == (True, text)


def test_what_is_no_file_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    null, pipe, read = tmp_path / "null", tmp_path / "pipe", list[str]()
    null.symlink_to("/dev/null")
    save(null, "text")
    assert stat.S_ISCHR(null.stat().st_mode)
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    save(pipe, "text")
    reader.join()
    assert (read, stat.S_ISFIFO(pipe.stat().st_mode)) == (["text"], True)


def test_what_can_not_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotFound, match="there is no folder") as caught:
        save(tmp_path / "none" / "plan.json", "x")
    assert caught.value.hint
    with pytest.raises(AccessDenied, match="can't be written: Is a directory"):
        save(tmp_path, "x")
    path = tmp_path / "plan.json"
    save(path, "old")

    def full(file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(AccessDenied, match=r"plan\.json: can't be written: No space left on device"):
        Plan(snapshot="").save(path)
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["plan.json"]
