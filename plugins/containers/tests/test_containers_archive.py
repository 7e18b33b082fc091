"""The archive that passes between two engines: checked, changed in one place, and otherwise byte for byte."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vhal_containers.migration.archive import (
    BrokenArchive,
    CheckpointFilter,
    Expected,
    ForeignArchive,
    TruncatedArchive,
    filtered,
)

ID = "c" * 64
IMAGE = "1" * 64
CONFIG: dict[str, Any] = {
    "id": ID,
    "name": "mover",
    "rootfsImageID": IMAGE,
    "spec": {"linux": {"big": 2**63 - 1, "float": 0.1, "text": "ä\u2028 <&>"}},
    "labels": {"io.vhal.epoch": "1", "mine": "yes"},
}
EXPECTED = Expected(ID, "mover", IMAGE, {"io.vhal.epoch": "2"})

Member = tuple[str, bytes]


def tar(members: Sequence[Member], *, format: int = tarfile.GNU_FORMAT, kind: bytes | None = None) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            if kind is not None and name == "config.dump":
                member.type, member.size, member.linkname = kind, 0, "elsewhere"
                content = b""
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


def checkpoint(*more: Member, config: Any = CONFIG) -> list[Member]:
    text = config if isinstance(config, bytes) else json.dumps(config, indent=1, ensure_ascii=False).encode()
    return [("devshm-checkpoint.tar", b"x"), ("config.dump", text), ("spec.dump", b"{}"), *more]


def passed(data: bytes, *, step: int = 65536, expected: Expected = EXPECTED) -> bytes:
    pieces = (data[at : at + step] for at in range(0, len(data), step))
    return b"".join(filtered(pieces, CheckpointFilter(expected)))


def content(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {
            member.name: (file.read() if (file := archive.extractfile(member)) else b"")
            for member in archive
            if member.isfile()
        }


def test_the_labels_are_changed_and_nothing_else() -> None:
    data = tar(checkpoint(("checkpoint/pages-1.img", bytes(range(256)) * 99)))
    before, after = content(data), content(passed(data))
    assert json.loads(after.pop("config.dump")) == {**CONFIG, "labels": {"io.vhal.epoch": "2", "mine": "yes"}}
    del before["config.dump"]
    assert after == before


def test_a_container_without_labels_gets_some() -> None:
    config = {key: value for key, value in CONFIG.items() if key != "labels"}
    after = content(passed(tar(checkpoint(config=config))))
    assert json.loads(after["config.dump"])["labels"] == {"io.vhal.epoch": "2"}


def test_what_is_before_and_behind_the_document_is_byte_for_byte_the_same() -> None:
    data = tar(checkpoint(("rootfs-diff.tar", b"r" * 5000)))
    out = passed(data)
    start = data.index(b"config.dump")
    assert out[:start] == data[:start]
    rest = data[data.index(b"spec.dump") :]
    assert out[out.index(b"spec.dump") :] == rest


def test_volumes_are_left_out_unless_they_are_wanted() -> None:
    data = tar(checkpoint(("volumes/data.tar", b"v" * 999), ("volumesque", b"w")))
    assert "volumes/data.tar" not in content(passed(data))
    assert "volumesque" in content(passed(data))
    with_volumes = Expected(ID, "mover", IMAGE, {}, volumes=True)
    assert content(passed(data, expected=with_volumes))["volumes/data.tar"] == b"v" * 999


def test_bytes_are_counted() -> None:
    data = tar(checkpoint())
    through = CheckpointFilter(EXPECTED)
    out = b"".join(filtered([data], through))
    assert (through.read, through.written) == (len(data), len(out))


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_kind_of_tar_passes(format: int) -> None:
    long = "checkpoint/" + "f" * 88 + "/" + "g" * 60
    data = tar(checkpoint((long, b"long")), format=format)
    assert content(passed(data))[long] == b"long"


@pytest.mark.parametrize(
    "change",
    [
        {"id": "d" * 64},
        {"name": "../../x"},
        {"name": "another"},
        {"rootfsImageID": "2" * 64},
        {"id": None},
        {"labels": ["io.vhal.epoch"]},
    ],
    ids=str,
)
def test_another_container_does_not_pass(change: dict[str, Any]) -> None:
    with pytest.raises(ForeignArchive):
        passed(tar(checkpoint(config={**CONFIG, **change})))


@pytest.mark.parametrize("config", [b"", b"{", b"[]", b"\xff\xfe", b'"x"'], ids=repr)
def test_a_document_that_makes_no_sense_does_not_pass(config: bytes) -> None:
    with pytest.raises(ForeignArchive):
        passed(tar(checkpoint(config=config)))


@pytest.mark.parametrize(
    "data",
    [
        tar([("spec.dump", b"{}")]),
        tar([*checkpoint(), *checkpoint()]),
        tar([*checkpoint(), ("./config.dump", json.dumps(CONFIG).encode())]),
        tar([*checkpoint(), ("checkpoint//../config.dump", json.dumps({**CONFIG, "name": "x"}).encode())]),
        tar([*checkpoint(), ("/etc/passwd", b"root")]),
        tar(checkpoint(), kind=tarfile.SYMTYPE),
        tar(checkpoint(), kind=tarfile.LNKTYPE),
        b"<html>" * 1000,
        b"\x1f\x8b" + bytes(2000),
    ],
    ids=["none", "two", "dot", "dots", "absolute", "symlink", "hardlink", "html", "gzip"],
)
def test_what_is_no_checkpoint_does_not_pass(data: bytes) -> None:
    with pytest.raises(ForeignArchive):
        passed(data)


def test_a_second_document_under_a_long_name_does_not_pass() -> None:
    forged = json.dumps({**CONFIG, "name": "x"}).encode()
    for headers in ({"path": "config.dump"}, {"path": "./config.dump"}):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for name, text in checkpoint():
                member = tarfile.TarInfo(name)
                member.size = len(text)
                archive.addfile(member, io.BytesIO(text))
            member = tarfile.TarInfo("harmless")
            member.size, member.pax_headers = len(forged), headers
            archive.addfile(member, io.BytesIO(forged))
        with pytest.raises(ForeignArchive):
            passed(out.getvalue())


def test_nothing_passes_behind_the_end() -> None:
    data = tar(checkpoint())
    with pytest.raises(ForeignArchive):
        passed(data + tar(checkpoint()))
    assert passed(data + bytes(512 * 5)).endswith(bytes(512 * 5))


@given(cut=st.floats(0, 0.999), step=st.integers(1, 3000))
def test_one_that_ends_too_early_is_noticed(cut: float, step: int) -> None:
    data = tar(checkpoint(("pages", b"p" * 3000))).rstrip(b"\0")
    with pytest.raises(BrokenArchive) as caught:
        passed(data[: int(len(data) * cut)], step=step)
    assert isinstance(caught.value, TruncatedArchive)


NAMES = st.text("abc./-ä", min_size=1, max_size=150).filter(
    lambda name: ".." not in name and not name.startswith("/") and name.strip("./") and "config" not in name
)


@given(
    members=st.lists(st.tuples(NAMES, st.binary(max_size=2000)), max_size=6),
    step=st.integers(1, 5000),
    format=st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
)
def test_how_it_is_cut_into_pieces_does_not_matter(members: list[Member], step: int, format: int) -> None:
    data = tar(checkpoint(*members), format=format)
    assert passed(data, step=step) == passed(data)
    before, after = content(data), content(passed(data))
    assert json.loads(after.pop("config.dump"))["labels"]["io.vhal.epoch"] == "2"
    del before["config.dump"]
    assert after == before


@given(data=st.binary(max_size=4000), step=st.integers(1, 700))
def test_rubbish_never_does_anything_but_raise(data: bytes, step: int) -> None:
    with pytest.raises(BrokenArchive):
        passed(data, step=step)


@given(at=st.integers(0, 5000), bit=st.integers(0, 7))
def test_a_flipped_bit_gives_no_other_container(at: int, bit: int) -> None:
    data = bytearray(tar(checkpoint()))
    data[at % len(data)] ^= 1 << bit
    try:
        out = passed(bytes(data))
    except BrokenArchive:
        return
    config = json.loads(content(out)["config.dump"])
    assert (config["id"], config["name"], config["rootfsImageID"]) == (ID, "mover", IMAGE)
