"""Other sizes for machines on a real engine."""

from __future__ import annotations

from typing import Any

import pytest
from vhal_containers.api import Unreachable

from tests.testbed import wait_until
from vhal.errors import EngineError, HostUnreachable, InsufficientResources, InvalidSpec, InvalidState, Unsupported
from vhal.machine import Machine
from vhal.spec import Bytes, Cpus, MachineState

from . import containers_place
from .containers_place import Place

place = containers_place.place

MIB = 1 << 20


def sizes(place: Place, name: str) -> tuple[float, int, int]:
    """Return processors, memory, and memory with swap, as the kernel gives them."""
    return (
        place.group(name, "cpu.cfs_quota_us") / place.group(name, "cpu.cfs_period_us"),
        place.group(name, "memory.limit_in_bytes"),
        place.group(name, "memory.memsw.limit_in_bytes"),
    )


def seen(machine: Machine) -> tuple[int, int]:
    info = machine.info()
    return info.cpus, int(info.memory)


@pytest.mark.parametrize("paused", [False, True])
def test_now_and_at_every_later_start(place: Place, paused: bool) -> None:
    machine = place.host.create(place.spec("m"))
    machine.start()
    if paused:
        machine.pause()
    machine.resize(2, "96MiB")
    assert machine.state() is (MachineState.PAUSED if paused else MachineState.RUNNING)
    assert sizes(place, "m") == (2, 96 * MIB, 96 * MIB)
    assert seen(machine) == (2, 96 * MIB)
    machine.stop(force=True)
    assert seen(machine) == (2, 96 * MIB)
    machine.start()
    assert sizes(place, "m") == (2, 96 * MIB, 96 * MIB)
    machine.resize(cpus=1)
    machine.resize(memory="24MiB")
    assert sizes(place, "m") == (1, 24 * MIB, 24 * MIB)
    assert (place.host.machines()[0].seen.cpus, place.host.machines()[0].seen.memory) == (1, 24 * MIB)


def test_less_than_it_holds_is_refused_and_nothing_changed(place: Place) -> None:
    machine = place.host.create(place.spec("m", memory="64MiB", command=("/bin/counter", "32")))
    machine.start()
    wait_until(lambda: (machine.usage().memory or 0) > 32 * MIB, deadline=60, what="its memory")
    with pytest.raises(Unsupported, match="holds") as caught:
        machine.resize(2, "16MiB")
    assert caught.value.hint
    assert sizes(place, "m") == (1, 64 * MIB, 64 * MIB)
    assert seen(machine) == (1, 64 * MIB)
    assert not place.driver.records.of(machine.id).resized
    machine.stop(force=True)
    machine.resize(memory="16MiB")
    assert seen(machine) == (1, 16 * MIB)


@pytest.mark.parametrize(
    ("cpus", "memory", "error"),
    [(1000, None, InsufficientResources), (None, "1PiB", InsufficientResources), (None, "1MiB", InvalidSpec)],
)
@pytest.mark.parametrize("running", [False, True])
def test_what_no_machine_can_have(
    place: Place, cpus: int | None, memory: str | None, error: type[Exception], running: bool
) -> None:
    machine = place.host.create(place.spec("m"))
    if running:
        machine.start()
    with pytest.raises(error) as caught:
        machine.resize(cpus, memory)
    assert caught.value.hint  # type: ignore[attr-defined]
    assert seen(machine) == (1, 32 * MIB)
    assert place.driver.records.all() == {}


def test_more_processors_than_it_is_bound_to(place: Place) -> None:
    machine = place.host.create(place.spec("m", cpus=Cpus(count=1, pinning={0: "1"})))
    with pytest.raises(Unsupported, match="bound"):
        machine.resize(cpus=2)
    assert seen(machine) == (1, 32 * MIB)


def test_a_failure_leaves_both_as_they_were(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = place.host.create(place.spec("m"))
    machine.start()
    machine.resize(memory="48MiB")

    def lost(*args: Any, **kwargs: Any) -> None:
        raise Unreachable("the engine went away", sent=True)

    monkeypatch.setattr(place.driver.records, "update", lost)
    with pytest.raises(HostUnreachable):
        machine.resize(2, "96MiB")
    monkeypatch.undo()
    assert sizes(place, "m") == (1, 48 * MIB, 48 * MIB)
    assert seen(machine) == (1, 48 * MIB)


def test_a_machine_of_somebody_else_with_and_without_limits(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, options in (("free", ()), ("half", ("--cpus=0.5", "--memory=64m", "--memory-swap=128m"))):
        place.run("podman", "run", "-d", "--net=none", "--name", name, *options, "localhost/counter:1")
        before = sizes(place, name)
        machine = place.host.machine(name)
        with monkeypatch.context() as patched:
            patched.setattr(place.driver.records, "update", lambda *_, **__: 1 / 0)
            with pytest.raises(EngineError):
                machine.resize(1, "32MiB")
        undone = sizes(place, name)
        assert undone[1:] == before[1:]
        assert undone[0] == pytest.approx(before[0]) or min(undone[0], before[0]) < 0
        machine.resize(1, "32MiB")
        assert sizes(place, name) == (1, 32 * MIB, 32 * MIB)
        assert seen(machine) == (1, 32 * MIB)


def test_not_while_it_is_saved(place: Place) -> None:
    machine = place.host.create(place.spec("m"))
    machine.start()
    machine.save()
    with pytest.raises(InvalidState):
        machine.resize(memory=Bytes(64 * MIB))
    assert seen(machine) == (1, 32 * MIB)
