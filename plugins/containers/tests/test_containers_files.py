"""Files into machines on a real engine, and out of them."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from vhal.driver import Context
from vhal.errors import AlreadyExists, EngineError, InvalidState, NotFound, OperationTimeout
from vhal.machine import Machine
from vhal.spec import MachineState

from . import containers_place
from .containers_place import Place

place = containers_place.place

if TYPE_CHECKING:
    from vhal_containers.files import Files

MIB = 1 << 20


@pytest.fixture(params=["running", "paused", "stopped"])
def machine(place: Place, request: pytest.FixtureRequest) -> Machine:
    made = place.host.create(place.spec("m"))
    if request.param != "stopped":
        made.start()
    if request.param == "paused":
        made.pause()
    return made


@pytest.fixture
def files(place: Place) -> Files:
    return place.driver.parts["files"]  # type: ignore[return-value]


def tar(*members: tuple[str, bytes], **facts: int) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            for fact, value in facts.items():
                setattr(member, fact, value)
            archive.addfile(member, io.BytesIO(data))
    return written.getvalue()


def members(pieces: Iterator[bytes]) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as archive:
        return {member.name: member for member in archive}


def test_in_any_state(machine: Machine, tmp_path: Path) -> None:
    before = machine.state()
    data = os.urandom(3 * MIB)
    machine.write_file("/srv/data", data, 0o640)
    assert machine.read_file("/srv/data") == data
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "a").write_bytes(b"a")
    (folder / "link").symlink_to("a")
    machine.copy_in(folder, "/srv/")
    machine.copy_out("/srv/site", tmp_path / "back")
    assert (tmp_path / "back" / "link").readlink() == Path("a")
    assert machine.state() is before


def test_what_is_not_there(machine: Machine, files: Files, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nothing at"):
        machine.read_file("/srv/none")
    with pytest.raises(NotFound, match="nothing at"):
        machine.copy_out("/none/at/all", tmp_path / "x")
    with pytest.raises(NotFound, match="no folder '/srv/none'"):
        machine.write_file("/srv/none/file", b"x")
    with pytest.raises(NotFound, match="no folder '/etc/passwd'"):
        machine.write_file("/etc/passwd/file", b"x")
    # The engine would have made it.
    assert "srv/none" not in members(files.read_archive(machine.id, "/srv"))
    assert list(tmp_path.iterdir()) == []


def test_owners_and_modes_are_kept(place: Place, files: Files) -> None:
    machine = place.host.create(place.spec("m", process={"user": "12:34"}))
    files.write_archive(machine.id, "/srv", [tar(("x", b"1"), uid=1000, gid=1001, mode=0o4751)], Context(30))
    machine.start()
    assert machine.exec(["stat", "-c", "%u %g %a", "/srv/x"]).output == b"1000 1001 4751\n"
    came = members(files.read_archive(machine.id, "/srv/x"))["x"]
    # Podman's archives don't tell the owner; if they do one day, the documentation is to say so.
    assert (came.mode & 0o7777, came.uid, came.gid) == (0o4751, 12, 34)


def test_names_begin_with_the_last_part_of_the_path(place: Place, files: Files) -> None:
    machine = place.host.create(place.spec("m"))
    files.write_archive(machine.id, "/srv", [tar(("d/x", b"1"))], Context(30))
    for path in ("/srv/d", "/srv/d/", "/srv/d/.", "//srv/./d"):
        assert set(members(files.read_archive(machine.id, path))) == {"d", "d/x"}


def test_links_are_followed_and_those_to_nothing_are_nothing(place: Place, files: Files) -> None:
    machine = place.host.create(place.spec("m"))
    machine.start()
    machine.exec(["sh", "-c", "echo hi >/srv/f; ln -s f /srv/l; ln -s /srv /tmp/s; ln -s none /srv/broken"], check=True)
    assert machine.read_file("/srv/l") == b"hi\n"
    machine.write_file("/tmp/s/through", b"x")
    assert machine.read_file("/srv/through") == b"x"
    with pytest.raises(NotFound):
        machine.read_file("/srv/broken")


def test_what_is_of_another_kind_stays(place: Place) -> None:
    machine = place.host.create(place.spec("m"))
    machine.start()
    machine.exec(["mkdir", "-p", "/srv/folder/full"], check=True)
    with pytest.raises(AlreadyExists, match="another kind"):
        machine.write_file("/srv/folder", b"x")
    assert machine.exec(["ls", "/srv/folder"]).output == b"full\n"


def test_what_is_no_archive(place: Place, files: Files) -> None:
    machine = place.host.create(place.spec("m"))
    with pytest.raises(EngineError, match="no archive") as caught:
        files.write_archive(machine.id, "/srv", [b"x" * 4096], Context(30))
    assert len(caught.value.message) < 300


def test_what_may_not_be_written(place: Place) -> None:
    machine = place.host.create(place.spec("m", process={"read_only": True}))
    machine.start()
    with pytest.raises(EngineError, match="read-only"):
        machine.write_file("/srv/x", b"x")


def test_an_archive_that_breaks_off_is_the_callers_error(place: Place, files: Files) -> None:
    machine = place.host.create(place.spec("m"))

    def breaking() -> Iterator[bytes]:
        yield tar(("first", b"1"))[:512]
        raise ValueError("the disk here broke")

    with pytest.raises(ValueError, match="broke"):
        files.write_archive(machine.id, "/srv", breaking(), Context(30))
    machine.write_file("/srv/after", b"x")


def test_a_deadline_ends_it(place: Place, files: Files) -> None:
    machine = place.host.create(place.spec("m"))
    with pytest.raises(OperationTimeout):
        files.write_archive(machine.id, "/srv", [tar(("x", b"1"))], Context(0))


def test_nobody_holds_a_copy_in_memory(place: Place, files: Files) -> None:
    machine = place.host.create(place.spec("m", memory="64MiB"))
    sent = 0

    def pieces() -> Iterator[bytes]:
        nonlocal sent
        member = tarfile.TarInfo("big")
        member.size = 256 * MIB
        yield member.tobuf()
        for _ in range(256):
            sent += MIB
            yield bytes(MIB)
        yield bytes(1024)

    files.write_archive(machine.id, "/srv", pieces(), Context(60))
    assert sent == 256 * MIB
    largest = total = 0
    for piece in files.read_archive(machine.id, "/srv/big"):
        largest, total = max(largest, len(piece)), total + len(piece)
    assert total > 256 * MIB
    assert largest <= MIB


def test_one_that_is_not_read_to_its_end_holds_nothing(place: Place, files: Files) -> None:
    machine = place.host.create(place.spec("m"))
    machine.write_file("/srv/big", bytes(8 * MIB))
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for _ in range(5):
        pieces = files.read_archive(machine.id, "/srv/big")
        next(pieces)
        pieces.close()  # type: ignore[attr-defined]
    assert len(os.listdir("/proc/self/fd")) <= before + 1  # noqa: PTH208


def test_not_of_a_saved_one(place: Place) -> None:
    machine = place.host.create(place.spec("m"))
    machine.start()
    machine.save()
    with pytest.raises(InvalidState, match="saved"):
        machine.read_file("/etc/passwd")
    assert machine.state() is MachineState.SAVED
