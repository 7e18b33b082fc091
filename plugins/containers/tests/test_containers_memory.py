"""What is remembered in labels: identities and records."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vhal_containers import identity as identities
from vhal_containers import record as records
from vhal_containers.identity import identity, labels_of, spec_of
from vhal_containers.record import EMPTY, Record, Snapshot

from vhal.spec import BootImage, Init, MachineKind, MachineSpec, Mount, Process

PODMAN_ID = "f" * 64
MACHINE = "0d6bb1d2-0000-4000-8000-000000000001"
SPEC = MachineSpec(
    name="m",
    kind=MachineKind.CONTAINER,
    cpus=3,
    memory="1GiB",
    boot=BootImage(image="x:1"),
    process=Process(command=("a", "b c", "\n'\""), env={"A": "é=1"}),
    mounts=(Mount(target="/t", tmpfs="1MiB"),),
    labels={"team": "blue <&> 'red', a=b"},
)


def test_a_spec_comes_back_from_its_labels() -> None:
    found = identity(PODMAN_ID, labels_of(SPEC, MACHINE, 4))
    assert (found.id, found.epoch, found.labels, found.managed) == (MACHINE, 4, SPEC.labels, True)
    assert spec_of(found) == SPEC
    assert found.wanted == identities.Wanted("m", 3, SPEC.memory.size, SPEC.labels)


def test_secrets_are_not_kept() -> None:
    spec = SPEC.replace(init=Init(user_data="#!/bin/sh\nhunter2"))
    assert "hunter2" not in json.dumps(labels_of(spec, MACHINE))


def test_labels_of_the_image_are_not_the_users() -> None:
    found = identity(PODMAN_ID, {**labels_of(SPEC, MACHINE), "maintainer": "x"})
    assert found.labels == SPEC.labels


@pytest.mark.parametrize("labels", [None, {}, {"a": "b"}, {"io.vhal.id": MACHINE}, {"io.vhal.spec": "{}"}])
def test_a_container_of_somebody_else(labels: dict[str, str] | None) -> None:
    found = identity(PODMAN_ID, labels)
    assert (found.id, found.epoch, found.managed, spec_of(found)) == (PODMAN_ID, 1, False, None)
    assert not any(key.startswith("io.vhal.") for key in found.labels)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "cpus", "memory", "labels", "count", "size", "snapshots"]), inner)
    ),
    max_leaves=10,
)


@given(_JSON | st.text(), st.text(max_size=12))
def test_labels_that_somebody_edited_frighten_nobody(value: object, epoch: str) -> None:
    text = value if isinstance(value, str) else json.dumps(value)
    found = identity(PODMAN_ID, {"io.vhal.id": MACHINE, "io.vhal.spec": text, "io.vhal.epoch": epoch})
    assert found.epoch >= 0
    spec_of(found)


_SNAPSHOTS = st.builds(
    Snapshot,
    st.text(max_size=5),
    st.floats(0, 1e10),
    st.booleans(),
    st.text(max_size=5),
    st.text(max_size=5),
)
_RECORDS = st.builds(
    Record,
    cpus=st.none() | st.integers(1, 4096),
    memory=st.none() | st.integers(1, 1 << 60),
    saved_at=st.none() | st.floats(0, 1e10),
    freezing=st.none() | st.floats(0, 1e10),
    epoch=st.none() | st.integers(1, 1000),
    snapshots=st.lists(_SNAPSHOTS, max_size=3).map(tuple),
)


@given(_RECORDS)
def test_a_record_comes_back_as_it_was_written(record: Record) -> None:
    assert records.read(records.write(record)) == record


@given(_JSON | st.text())
def test_a_record_that_somebody_edited_frightens_nobody(value: object) -> None:
    records.read(value if isinstance(value, str) else json.dumps(value))


def test_an_empty_record_says_nothing() -> None:
    assert records.write(EMPTY) == "{}"
    assert records.read("nonsense") == EMPTY


@pytest.mark.parametrize(
    ("record", "started", "exit_code", "saved"),
    [
        (EMPTY, 5.0, 137, False),
        (Record(saved_at=6.0), 5.0, 0, True),
        (Record(saved_at=6.0), 7.0, 137, False),
        (Record(freezing=5.0), 5.0, 137, True),
        (Record(freezing=5.0), 5.0, 0, False),
        (Record(freezing=5.0), 5.0, 143, False),
        (Record(freezing=5.0), 7.0, 137, False),
    ],
)
def test_only_what_criu_may_have_ended_counts_as_saved(
    record: Record, started: float, exit_code: int, saved: bool
) -> None:
    assert record.saved(started, exit_code) is saved
