"""Files in and out; above all, what an archive of a hostile guest can't do."""

from __future__ import annotations

import errno
import io
import os
import socket
import tarfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

import vhal
import vhal.files
from vhal.driver import Context, Progress
from vhal.errors import (
    AccessDenied,
    AlreadyExists,
    Busy,
    EngineError,
    ImageRejected,
    InsufficientResources,
    InvalidSpec,
    InvalidState,
    NotFound,
    OperationAborted,
    Unsupported,
    VhalError,
)
from vhal.files import copy_in, guest_path, read_file, write_file
from vhal.unpack import copy_out


def member(name: str, type: bytes = tarfile.REGTYPE, data: bytes = b"", **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    made = tarfile.TarInfo(name)
    made.type, made.size = type, len(data)
    for field, value in fields.items():
        setattr(made, field, value)
    return made, data


def packed(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for made, data in members:
            tar.addfile(made, io.BytesIO(data))
    return written.getvalue()


class Engine:
    """Files of an engine that sends what a test says, and keeps what it gets."""

    def __init__(self, archive: bytes = b"", paths: dict[str, bytes] | None = None) -> None:
        self.archives = paths if paths is not None else {"/srv/x": archive}
        self.got: dict[str, bytes] = {}
        self.asked: list[str] = []

    def read_archive(self, id: str, path: str) -> Iterator[bytes]:
        self.asked.append(path)
        if path not in self.archives:
            raise NotFound(f"no {path}")
        data = self.archives[path]
        for place in range(0, len(data), 700):
            yield data[place : place + 700]

    def write_archive(self, id: str, path: str, archive: Iterable[bytes], ctx: Context) -> None:
        self.got[path] = b"".join(archive)


def out(archive: bytes, local: Path, ctx: Context | None = None) -> None:
    copy_out(Engine(archive), "1", "/srv/x", local, ctx or Context())


FOLDER = member("x", tarfile.DIRTYPE, mode=0o755)


class TestHostileArchives:
    """Nothing gets out of the folder, and nothing is left behind."""

    @pytest.mark.parametrize(
        "members",
        [
            [member("/etc/evil", data=b"x")],
            [FOLDER, member("/etc/evil", data=b"x")],
            [FOLDER, member("x/../../evil", data=b"x")],
            [FOLDER, member("../evil", data=b"x")],
            [FOLDER, member("y", data=b"x")],
            [FOLDER, member("x/l", tarfile.SYMTYPE, linkname="/etc/passwd")],
            [FOLDER, member("x/l", tarfile.SYMTYPE, linkname="../../..")],
            [FOLDER, member("x/l", tarfile.LNKTYPE, linkname="/etc/passwd")],
            [FOLDER, member("x/l", tarfile.LNKTYPE, linkname="../secret")],
            [FOLDER, member("x/l", tarfile.LNKTYPE, linkname="x/later")],
            [FOLDER, member("x/null", tarfile.CHRTYPE, devmajor=1, devminor=3)],
            [FOLDER, member("x/disk", tarfile.BLKTYPE, devmajor=8)],
            [FOLDER, member("x/fifo", tarfile.FIFOTYPE)],
            [FOLDER, member("x/l", tarfile.SYMTYPE, linkname="d"), member("x/l/evil", data=b"x")],
            [FOLDER, member("x/f", data=b"1"), member("x/f/g", data=b"x")],
            [FOLDER, member("x/a", data=b"1"), member("x/l", tarfile.SYMTYPE, linkname="a"), member("x/l", data=b"x")],
            [
                FOLDER,
                member("x/d", tarfile.DIRTYPE),
                member("x/d/up", tarfile.SYMTYPE, linkname=".."),
                member("x/d/up/up/evil", data=b"x"),
            ],
        ],
        ids=lambda members: members[-1][0].name,
    )
    def test_is_refused_and_leaves_nothing(self, members: list[tuple[tarfile.TarInfo, bytes]], tmp_path: Path) -> None:
        (tmp_path / "secret").write_text("secret")
        inside = tmp_path / "inside"
        inside.mkdir()
        with pytest.raises(ImageRejected) as caught:
            out(packed(*members), inside / "x")
        assert caught.value.hint
        assert list(inside.iterdir()) == []
        assert [path.name for path in tmp_path.iterdir() if path != inside] == ["secret"]
        assert (tmp_path / "secret").stat().st_nlink == 1

    def test_into_a_folder_that_is_there_neither(self, tmp_path: Path) -> None:
        (tmp_path / "x").mkdir()
        with pytest.raises(ImageRejected):
            out(packed(FOLDER, member("x/new", data=b"1"), member("x/../evil")), tmp_path / "x")
        assert list((tmp_path / "x").iterdir()) == []

    def test_a_link_of_ours_is_not_written_through(self, tmp_path: Path) -> None:
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "x").mkdir()
        (tmp_path / "x" / "d").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(AlreadyExists):
            out(packed(FOLDER, member("x/d", tarfile.DIRTYPE, mode=0o755), member("x/d/f", data=b"1")), tmp_path / "x")
        assert list((tmp_path / "elsewhere").iterdir()) == []

    def test_owners_and_dangerous_modes_are_dropped(self, tmp_path: Path) -> None:
        out(packed(member("x", data=b"1", mode=0o6777, uid=4242, gid=4242)), tmp_path / "x")
        made = (tmp_path / "x").stat()
        assert made.st_mode & 0o7022 == 0
        assert made.st_uid == os.getuid()

    @pytest.mark.parametrize("cut", [600, 1024, 1100, 2200])
    def test_one_that_ends_early_is_the_engines_error(self, cut: int, tmp_path: Path) -> None:
        whole = packed(FOLDER, member("x/a", data=b"a" * 600), member("x/b", data=b"b" * 600))
        with pytest.raises(EngineError, match="archive"):
            out(whole[:cut], tmp_path / "x")
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("junk", [b"", b"\0" * 1024, b"not an archive" * 100, b"\xff" * 4096])
    def test_one_that_is_none(self, junk: bytes, tmp_path: Path) -> None:
        with pytest.raises(EngineError):
            out(junk, tmp_path / "x")
        assert list(tmp_path.iterdir()) == []

    def test_an_old_python_refuses(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delattr(tarfile, "data_filter")
        with pytest.raises(Unsupported, match=r"(?i)python"):
            out(packed(FOLDER), tmp_path / "x")


class TestOut:
    def test_hard_links_and_links_stay_what_they_are(self, tmp_path: Path) -> None:
        out(
            packed(
                FOLDER, member("x/a", data=b"1"), member("x/b", tarfile.LNKTYPE, linkname="x/a"),
                member("./x/c", tarfile.SYMTYPE, linkname="a"),
            ),
            tmp_path / "new",
        )  # fmt: skip
        assert (tmp_path / "new/a").samefile(tmp_path / "new/b")
        assert (tmp_path / "new/c").readlink() == Path("a")

    def test_into_a_folder_that_is_named_with_a_slash(self, tmp_path: Path) -> None:
        copy_out(Engine(packed(member("x", data=b"1"))), "1", "/srv/x", f"{tmp_path}/", Context())
        assert (tmp_path / "x").read_bytes() == b"1"

    def test_a_folder_that_is_there_gets_what_is_new(self, tmp_path: Path) -> None:
        (tmp_path / "x" / "d").mkdir(parents=True)
        (tmp_path / "x" / "d" / "old").write_text("old")
        (tmp_path / "x" / "a").write_text("old")
        out(packed(FOLDER, member("x/a", data=b"new"), member("x/d/b", data=b"b")), tmp_path / "x")
        assert {path.name: path.read_text() for path in (tmp_path / "x").rglob("*") if path.is_file()} == {
            "a": "new", "b": "b", "old": "old",
        }  # fmt: skip

    def test_a_file_replaces_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "x").write_text("old")
        out(packed(member("x", data=b"new")), tmp_path / "x")
        assert (tmp_path / "x").read_text() == "new"

    def test_another_kind_is_there(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("mine")
        (tmp_path / "folder").mkdir()
        with pytest.raises(AlreadyExists, match="is a file, and '/srv/x' is a folder"):
            out(packed(FOLDER), tmp_path / "file")
        with pytest.raises(AlreadyExists, match="is a folder, and '/srv/x' is a file") as caught:
            out(packed(member("x", data=b"1")), tmp_path / "folder")
        assert "end the local path with /" in (caught.value.hint or "")
        (tmp_path / "folder" / "a").mkdir()
        with pytest.raises(AlreadyExists):
            out(packed(FOLDER, member("x/a", data=b"1")), tmp_path / "folder")
        with pytest.raises(AlreadyExists):
            out(packed(member("x", data=b"1")), tmp_path / "file" / "below")
        assert (tmp_path / "file").read_text() == "mine"

    def test_the_local_place_is_missing(self, tmp_path: Path) -> None:
        with pytest.raises(NotFound, match="No such file") as caught:
            out(packed(FOLDER), tmp_path / "no" / "x")
        assert "here, not in the machine" in (caught.value.hint or "")

    def test_the_disk_is_full(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*args: object, **kwargs: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        archive = packed(member("x", data=b"1"))
        monkeypatch.setattr(tarfile, "copyfileobj", full)
        with pytest.raises(InsufficientResources, match="no room"):
            out(archive, tmp_path / "x")
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("number", "becomes"),
        [(errno.EACCES, AccessDenied), (errno.EROFS, EngineError), (errno.EDQUOT, InsufficientResources)],
    )
    def test_other_local_trouble(
        self, number: int, becomes: type[VhalError], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*args: object, **kwargs: object) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr("tempfile.mkdtemp", refuse)
        with pytest.raises(becomes) as caught:
            out(packed(FOLDER), tmp_path / "x")
        assert caught.value.hint

    def test_links_to_it_are_followed(self, tmp_path: Path) -> None:
        engine = Engine(
            paths={
                "/srv/x": packed(member("x", tarfile.SYMTYPE, linkname="../opt/real")),
                "/opt/real": packed(member("real", data=b"1")),
                "/loop": packed(member("loop", tarfile.SYMTYPE, linkname="loop")),
            }
        )
        copy_out(engine, "1", "/srv/x", tmp_path / "x", Context())
        assert (tmp_path / "x").read_bytes() == b"1"
        assert read_file(engine, "1", "/srv/x", Context()) == b"1"
        with pytest.raises(NotFound, match="too many links"):
            read_file(engine, "1", "/loop", Context())

    def test_the_root_is_not_copied(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidSpec, match="root"):
            copy_out(Engine(), "1", "/", tmp_path / "x", Context())

    def test_an_abort_leaves_nothing(self, tmp_path: Path) -> None:
        seen: list[Progress] = []
        ctx = Context(None, seen.append)
        ctx.abort()
        with pytest.raises(OperationAborted):
            out(packed(FOLDER), tmp_path / "x", ctx)
        assert list(tmp_path.iterdir()) == []


class TestIn:
    def names(self, data: bytes) -> dict[str, tarfile.TarInfo]:
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            return {one.name: one for one in tar}

    def test_a_folder(self, tmp_path: Path) -> None:
        (tmp_path / "d" / "e").mkdir(parents=True)
        (tmp_path / "d" / "e" / "f").write_bytes(b"f" * 300_000)
        (tmp_path / "d" / "empty").write_bytes(b"")
        (tmp_path / "d" / "l").symlink_to("/etc/passwd")
        os.link(tmp_path / "d" / "e" / "f", tmp_path / "d" / "same")
        engine, seen = Engine(), list[Progress]()
        copy_in(engine, "1", tmp_path / "d", "/srv/site", Context(None, seen.append))
        found = self.names(engine.got["/srv"])
        assert list(found) == ["site", "site/e", "site/e/f", "site/empty", "site/l", "site/same"]
        assert found["site/same"].islnk()
        assert found["site/l"].linkname == "/etc/passwd"
        assert {(one.uid, one.gid, one.uname) for one in found.values()} == {(0, 0, "")}
        assert seen[-1].done == 300_000

    def test_under_its_own_name(self, tmp_path: Path) -> None:
        (tmp_path / "f").write_text("1")
        engine = Engine()
        copy_in(engine, "1", str(tmp_path / "f"), "/srv/", Context())
        assert list(self.names(engine.got["/srv/"])) == ["f"]

    def test_a_link_given_is_followed(self, tmp_path: Path) -> None:
        (tmp_path / "f").write_text("1")
        (tmp_path / "l").symlink_to("f")
        engine = Engine()
        copy_in(engine, "1", tmp_path / "l", "/srv/g", Context())
        assert self.names(engine.got["/srv"])["g"].isreg()

    def test_what_is_missing_or_strange(self, tmp_path: Path) -> None:
        with pytest.raises(NotFound, match="here"):
            copy_in(Engine(), "1", tmp_path / "no", "/srv/x", Context())
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(tmp_path / "s"))
            with pytest.raises(InvalidSpec, match="neither file, folder nor link"):
                copy_in(Engine(), "1", tmp_path / "s", "/srv/x", Context())
        os.mkfifo(tmp_path / "fifo")
        with pytest.raises(InvalidSpec):
            copy_in(Engine(), "1", tmp_path, "/srv/x", Context())

    def test_a_file_that_becomes_shorter(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "f").write_bytes(b"x" * 10)
        true = vhal.files._entry

        def longer(*args: Any) -> Any:
            made = true(*args)
            assert made is not None
            made.size = 20
            return made

        monkeypatch.setattr(vhal.files, "_entry", longer)
        with pytest.raises(Busy, match="became shorter"):
            copy_in(Engine(), "1", tmp_path / "f", "/srv/x", Context())

    def test_trouble_here_isnt_told_as_the_engines(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "f").write_text("1")

        def refuse(*args: object, **kwargs: object) -> None:
            raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "f"))

        monkeypatch.setattr(Path, "open", refuse)
        with vhal.connect("mock:///a") as a:
            vm = a.create(vhal.MachineSpec(name="web"))
            with pytest.raises(AccessDenied, match="Permission denied"):
                vm.copy_in(tmp_path / "f", "/tmp/x")


class TestOnTheMock:
    @pytest.fixture
    def web(self) -> vhal.Machine:
        return vhal.connect("mock:///a").create(vhal.MachineSpec(name="web", memory="1GiB"))

    def test_files_of_a_stopped_machine(self, web: vhal.Machine) -> None:
        web.write_file("/etc/motd", "hello", 0o600)
        assert web.read_file("/etc/motd") == b"hello"
        web.start()
        web.save()
        for call in (lambda: web.read_file("/etc/motd"), lambda: web.write_file("/etc/motd", b"")):
            with pytest.raises(InvalidState, match="can't copy") as caught:
                call()
            assert caught.value.hint == "restore() it first"

    def test_they_move_with_it(self, web: vhal.Machine) -> None:
        web.start()
        web.write_file("/etc/motd", "hello")
        web.migrate(vhal.connect("mock:///b"))
        assert web.read_file("/etc/motd") == b"hello"

    @pytest.mark.parametrize("path", ["etc/motd", "", "/etc/../x", "/a\0", "/" + "a" * 5000])
    def test_paths_that_are_none(self, web: vhal.Machine, path: str) -> None:
        for call in (web.read_file, lambda path: web.write_file(path, b"")):
            with pytest.raises(InvalidSpec, match="the path") as caught:
                call(path)
            assert caught.value.problems
        with pytest.raises(InvalidSpec):
            guest_path(path)

    @pytest.mark.parametrize("path", ["/", "/etc/", "/."])
    def test_a_file_has_a_name(self, web: vhal.Machine, path: str) -> None:
        with pytest.raises(InvalidSpec, match="names no file"):
            web.write_file(path, b"")

    @pytest.mark.parametrize("mode", [-1, 0o10000])
    def test_modes_that_are_none(self, web: vhal.Machine, mode: int) -> None:
        with pytest.raises(InvalidSpec, match="is no mode"):
            web.write_file("/etc/x", b"", mode)

    def test_kinds_that_dont_fit(self, web: vhal.Machine, tmp_path: Path) -> None:
        with pytest.raises(AlreadyExists):
            web.write_file("/etc", b"")
        web.write_file("/tmp/f", b"")
        with pytest.raises(AlreadyExists):
            web.copy_in(tmp_path, "/tmp/f")
        with pytest.raises(NotFound):
            web.write_file("/no/f", b"")
        with pytest.raises(InvalidSpec, match="is a folder"):
            web.read_file("/etc")

    def test_one_that_doesnt_fit_into_memory(self, web: vhal.Machine, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(vhal.files, "READ_MOST", 3)
        web.write_file("/tmp/f", b"1234")
        with pytest.raises(InvalidSpec, match="more than read_file") as caught:
            web.read_file("/tmp/f")
        assert "copy_out" in (caught.value.hint or "")


def test_a_file_written_is_one_member() -> None:
    engine = Engine()
    write_file(engine, "1", "/etc/motd", b"hello", 0o4755, Context())
    with tarfile.open(fileobj=io.BytesIO(engine.got["/etc"])) as tar:
        (one,) = tar.getmembers()
        assert (one.name, one.mode, one.uid, one.size) == ("motd", 0o4755, 0, 5)


def test_an_archive_that_isnt_read_to_its_end_is_let_go_of() -> None:
    closed: list[str] = []

    class Watched(Engine):
        def read_archive(self, id: str, path: str) -> Iterator[bytes]:
            try:
                yield from super().read_archive(id, path)
            finally:
                closed.append(path)

    engine = Watched(packed(FOLDER, member("x/a", data=b"a" * 100_000)))
    check: Callable[[], bytes] = lambda: read_file(engine, "1", "/srv/x", Context())  # noqa: E731
    with pytest.raises(InvalidSpec):
        check()
    assert closed == ["/srv/x"]
