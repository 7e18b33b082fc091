"""What machines on a real engine use."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.testbed import wait_until
from vhal.errors import InvalidState
from vhal.spec.usage import rates

from . import containers_place
from .containers_place import Place

place, counted = containers_place.place, containers_place.counted

MIB = 1 << 20
BUSY = ("/bin/sh", "-c", "while :; do :; done")


def test_active_machines_by_their_ids(place: Place, counted: Callable[[], int]) -> None:
    ours = [place.host.create(place.spec(f"m{number}")) for number in range(4)]
    for machine in ours[:3]:
        machine.start()
    ours[2].pause()
    place.run("podman", "run", "-d", "--net=none", "--name", "theirs", "localhost/counter:1", "/bin/counter", "8")
    theirs = place.host.machine("theirs")
    wait_until(lambda: (theirs.usage().memory or 0) >= 8 * MIB, deadline=30, what="its memory")
    counted()
    used = place.host.usage()
    assert counted() == 2
    assert set(used) == {ours[0].id, ours[1].id, ours[2].id, theirs.id}
    assert 8 * MIB <= (used[theirs.id].memory or 0) < 32 * MIB
    assert (used[theirs.id].processes, used[theirs.id].received) == (1, 0)
    with pytest.raises(InvalidState):
        ours[3].usage()


def test_one_that_works_is_seen_to_work(place: Place) -> None:
    machine = place.host.create(place.spec("m", command=BUSY))
    machine.start()
    first = machine.usage()
    wait_until(
        lambda: (machine.usage().cpu_s or 0) > (first.cpu_s or 0) + 0.2, deadline=60, what="it uses its processor"
    )
    assert (rates(first, machine.usage()).cpus or 0) > 0


def test_none_is_nothing(place: Place) -> None:
    assert place.host.usage() == {}
