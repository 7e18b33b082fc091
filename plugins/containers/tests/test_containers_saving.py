"""Machines on a real engine, saved and restored with their memory."""

from __future__ import annotations

import signal
import threading
from typing import Any

import pytest
from vhal_containers import criu
from vhal_containers.api import ApiError, Unreachable

from tests.testbed import wait_until
from vhal.driver import SAVE
from vhal.errors import EngineError, HostUnreachable, InsufficientResources, InvalidState, Unsupported, VhalError
from vhal.machine import Machine
from vhal.spec import MachineState, Mount, Nic

from . import containers_place
from .containers_place import Place

place = containers_place.place

SAID_S = 30.0
MIB = 1 << 20
COUNT = ("/bin/sh", "-c", "i=0; while :; do i=$((i+1)); echo $i >/new; mv /new /count; sleep 0.02; done")


def count(machine: Machine) -> int:
    return int(machine.read_file("/count") or b"0")


def counting(place: Place, **fields: Any) -> Machine:
    machine = place.host.create(place.spec("m", **{"command": COUNT, **fields}))
    machine.start()
    wait_until(lambda: machine.exec(["test", "-s", "/count"]).exit_code == 0, deadline=SAID_S, what="it counts")
    wait_until(lambda: count(machine) > 10, deadline=SAID_S, what="ten counts")
    return machine


def goes_on(machine: Machine, before: int) -> None:
    now = count(machine)
    # Begun anew it would count from 1.
    assert now >= before
    wait_until(lambda: count(machine) > now, deadline=SAID_S, what="it goes on")


def test_its_memory_comes_back(place: Place) -> None:
    machine = counting(place)
    before = count(machine)
    machine.save()
    assert machine.state() is MachineState.SAVED
    assert place.host.machines()[0].seen.state is MachineState.SAVED
    assert place.host.info().allocated.memory == 0
    with pytest.raises(InvalidState, match="saved") as caught:
        machine.start()
    assert "restore()" in (caught.value.hint or "")
    machine.restore()
    assert machine.state() is MachineState.RUNNING
    goes_on(machine, before)
    machine.stop(force=True)
    # What was saved is used up.
    assert machine.state() is MachineState.STOPPED
    assert place.host.machines()[0].seen.state is MachineState.STOPPED
    with pytest.raises(InvalidState):
        machine.restore()


def test_again_and_again(place: Place) -> None:
    machine = counting(place)
    for _ in range(3):
        before = count(machine)
        machine.save()
        machine.restore()
        goes_on(machine, before)


def test_a_paused_one(place: Place) -> None:
    machine = counting(place)
    machine.pause()
    before = count(machine)
    machine.save()
    assert machine.state() is MachineState.SAVED
    machine.restore()
    goes_on(machine, before)


def test_what_it_was_resized_to_is_in_force_again(place: Place) -> None:
    machine = counting(place)
    machine.resize(2, "96MiB")
    machine.save()
    machine.restore()
    assert place.group("m", "memory.limit_in_bytes") == 96 * MIB
    assert place.group("m", "cpu.cfs_quota_us") == 2 * place.group("m", "cpu.cfs_period_us")


def test_sizes_that_can_not_be_given_leave_it_saved(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = counting(place)
    machine.resize(memory="96MiB")
    before = count(machine)
    machine.save()
    refuse = ApiError(500, "no room", "no room", "POST", "/update")

    def update(*_: object) -> None:
        raise refuse

    with monkeypatch.context() as patched:
        patched.setattr(place.driver.engine.api.containers, "update", update)
        with pytest.raises(VhalError):
            machine.restore()
    assert machine.state() is MachineState.SAVED
    assert place.host.machines()[0].seen.state is MachineState.SAVED
    machine.restore()
    goes_on(machine, before)


def test_forced_to_stop_it_forgets(place: Place) -> None:
    machine = counting(place)
    before = count(machine)
    machine.save()
    machine.stop(force=True)
    assert machine.state() is MachineState.STOPPED
    machine.start()
    wait_until(lambda: 0 < count(machine) < before, deadline=SAID_S, what="it counts anew")
    machine.stop(force=True)
    assert machine.state() is MachineState.STOPPED


def test_with_an_open_connection(place: Place) -> None:
    machine = place.host.create(place.spec("m", command=("/bin/counter",), nics=[Nic()]))
    machine.start()
    script = "exec 3<&0; (sleep 1000) | nc 127.0.0.1 7000"
    with machine.spawn(["sh", "-c", script]):
        wait_until(
            lambda: b":1B58" in machine.exec(["grep", " 01 ", "/proc/net/tcp"]).output,
            deadline=SAID_S,
            what="a connection",
        )
        machine.save()
        assert machine.state() is MachineState.SAVED
        machine.restore()
    assert machine.state() is MachineState.RUNNING


def test_what_can_not_be_frozen_goes_on(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = counting(place)
    place.run("mv", "/usr/local/sbin/criu", "/usr/local/sbin/criu-gone")
    try:
        with monkeypatch.context() as patched:
            patched.setattr(criu, "blockers", lambda *_: ())
            with pytest.raises(VhalError) as caught:
                machine.save()
    finally:
        place.run("mv", "/usr/local/sbin/criu-gone", "/usr/local/sbin/criu")
    assert isinstance(caught.value, (Unsupported, EngineError))
    assert caught.value.hint
    assert machine.state() is MachineState.RUNNING
    goes_on(machine, count(machine))


def test_a_full_disk_is_told_as_that(place: Place) -> None:
    machine = place.host.create(place.spec("m"))
    machine.start()
    folder = place.run("podman", "inspect", "--format", "{{.StaticDir}}", "m") + "/checkpoint"
    place.run("mkdir", folder)
    place.run("mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", folder)
    try:
        with pytest.raises(InsufficientResources, match="no space left") as caught:
            machine.save()
    finally:
        place.run("umount", "-l", folder)
    assert "make room" in str(caught.value.hint)
    assert machine.state() is MachineState.RUNNING
    machine.save()
    machine.restore()


def test_without_criu_it_is_known_before(place: Place) -> None:
    machine = place.host.create(place.spec("m"))
    assert place.host.can(SAVE)
    machine.start()
    place.run("mv", "/usr/local/sbin/criu", "/usr/local/sbin/criu-gone")
    try:
        answer = place.host.can(SAVE)
        assert [blocker.code for blocker in answer.blockers] == ["no-criu"]
        assert answer.blockers[0].remedy
        with pytest.raises(Unsupported, match="CRIU"):
            machine.save()
    finally:
        place.run("mv", "/usr/local/sbin/criu-gone", "/usr/local/sbin/criu")
    assert machine.state() is MachineState.RUNNING


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"rootless": True}, "rootless"),
        ({"runtime": "crun", "runtime_version": "crun version 1.21"}, "runtime-without-criu"),
        ({"runtime": "runsc"}, "runtime-without-criu"),
        ({"runtime": "crun", "runtime_version": "crun version 1.21\n+SYSTEMD +CRIU"}, None),
    ],
)
def test_engines_that_can_not(
    place: Place, monkeypatch: pytest.MonkeyPatch, facts: dict[str, Any], code: str | None
) -> None:
    from dataclasses import replace

    known = place.driver.engine.facts()
    monkeypatch.setattr(place.driver.engine, "facts", lambda: replace(known, info=replace(known.info, **facts)))
    assert [blocker.code for blocker in place.host.can(SAVE).blockers] == ([code] if code else [])


@pytest.mark.parametrize(("said", "old"), [("Version: 4.1.1", True), ("Version: 4.2", False), ("?", False)])
def test_a_criu_that_is_too_old(place: Place, monkeypatch: pytest.MonkeyPatch, said: str, old: bool) -> None:
    match = criu._VERSION.search(said)
    monkeypatch.setattr(criu, "_version", lambda _: (int(match[1]), int(match[2])) if match else None)
    monkeypatch.setattr(criu, "_same_root", lambda _: True)
    assert [blocker.code for blocker in place.host.can(SAVE).blockers] == (["criu-too-old"] if old else [])


def test_one_that_podman_removes_at_its_end(place: Place) -> None:
    place.run("podman", "run", "-d", "--rm", "--net=none", "--name", "m", "localhost/counter:1")
    machine = place.host.machine("m")
    with pytest.raises(Unsupported, match="removes"):
        machine.save()
    assert machine.state() is MachineState.RUNNING


def test_a_machine_of_somebody_else_with_a_terminal(place: Place) -> None:
    place.run("podman", "run", "-dt", "--net=none", "--name", "m", "localhost/counter:1", *COUNT)
    machine = place.host.machine("m")
    machine.save()
    assert machine.state() is MachineState.SAVED
    assert place.host.machines()[0].seen.state is MachineState.SAVED
    machine.restore()
    assert machine.state() is MachineState.RUNNING


def test_one_that_can_not_go_on_stays_saved(place: Place) -> None:
    place.run("mkdir", "-p", "/srv/needed")
    machine = counting(place, mounts=[Mount(target="/data", path="/srv/needed")])
    before = count(machine)
    machine.save()
    place.run("rmdir", "/srv/needed")
    with pytest.raises(VhalError) as caught:
        machine.restore()
    assert caught.value.hint
    assert machine.state() is MachineState.SAVED
    assert place.host.machines()[0].seen.state is MachineState.SAVED
    place.run("mkdir", "/srv/needed")
    machine.restore()
    goes_on(machine, before)


def test_its_record_can_not_be_kept(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = counting(place)
    machine.pause()
    before = count(machine)

    def lost(*_: object, **__: object) -> None:
        raise Unreachable("the engine went away", sent=True)

    with monkeypatch.context() as patched:
        patched.setattr(place.driver.records, "update", lost)
        with pytest.raises(HostUnreachable):
            machine.save()
    assert machine.state() is MachineState.PAUSED
    machine.resume()
    goes_on(machine, before)


def test_the_engine_dies_while_it_saves(place: Place) -> None:
    made = place.host.create(place.spec("big", command=("/bin/counter", "64"), memory="128MiB"))
    made.start()
    wait_until(lambda: (made.usage().memory or 0) > 64 * MIB, deadline=60, what="its memory")
    failed: list[Exception] = []

    def save() -> None:
        try:
            made.save()
        except VhalError as error:
            failed.append(error)

    saving = threading.Thread(target=save)
    saving.start()
    wait_until(lambda: "criu" in place.run("ps", "-eo", "args"), deadline=SAID_S, what="criu works")
    place.node.signal_service(signal.SIGKILL)
    saving.join(SAID_S)
    place.node.start_service()
    assert not saving.is_alive()
    assert [type(error) for error in failed] == [HostUnreachable]
    # What CRIU had begun may come to its end without the engine; the machine is in a state from which it can be used.
    wait_until(lambda: "criu" not in place.run("ps", "-eo", "args"), deadline=60, what="criu has ended")
    state = made.state()
    assert state in (MachineState.RUNNING, MachineState.STOPPED, MachineState.SAVED)
    if state is MachineState.RUNNING:
        made.save()
        made.restore()
    elif state is MachineState.SAVED:
        made.restore()
    else:
        made.start()
    assert made.state() is MachineState.RUNNING
