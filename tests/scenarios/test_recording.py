"""A session with real hosts is recorded, and answers without them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import vhal
from tests.scenarios.conftest import Pair
from tests.testbed import wait_until
from vhal.testing import Pseudonyms, Recorder, Replay


def move(a: vhal.Host, b: vhal.Host, spec: vhal.MachineSpec) -> list[Any]:
    """Let a machine live on one host and move to the other; return what was told of it."""
    told: list[Any] = [a.info(), b.info()]
    with a.events() as events:
        vm = a.create(spec)
        told += [seen(vm), failure(vm.stop)]
        vm.start()
        vm.wait("ready")
        told.append(vm.preflight(b))
        result = vm.migrate(b)
        told += [result.transferred, seen(vm), failure(lambda: a.machine(spec.name)), vm.console().read()]
        vm.stop(force=True)
        vm.delete()
        kinds: list[str] = []

        def left() -> bool:
            while (event := events.next(timeout_s=0.01)) is not None:
                kinds.append(event.kind)
                told.append(event)
            return "migrated-out" in kinds

        wait_until(left, deadline=30, what="the machine's leaving")
    return told


def seen(vm: vhal.Machine) -> vhal.MachineInfo:
    # Without the path of its kernel, which may be below a home folder.
    return vm.info().replace(spec=None)


def failure(call: Any) -> dict[str, Any]:
    try:
        call()
    except vhal.VhalError as error:
        # The connection's name is in it, and is another one.
        return {**error.as_dict(), "host": None, "message": None}
    raise AssertionError("it should have failed")


def record(pair: Pair, folder: Path, others: Pseudonyms | None) -> list[Any]:
    with vhal.connect(pair.a, layers=[Recorder]) as a, vhal.connect(pair.b, layers=[Recorder]) as b:
        told = move(a, b, pair.spec("recorded"))
        for name, host in (("a", a), ("b", b)):
            host.layer(Recorder).save(folder / name, pseudonyms=others or False)
    return told


def replay(pair: Pair, folder: Path) -> tuple[list[Any], list[str]]:
    drivers = [Replay.load(folder / name) for name in "ab"]
    a, b = map(vhal.connect, drivers)
    told = move(a, b, pair.spec("recorded"))
    return told, [call for driver in drivers for call in driver.left()]


def test_a_recorded_move_answers_without_its_hosts(pair: Pair, tmp_path: Path) -> None:
    told = record(pair, tmp_path, None)
    again, left = replay(pair, tmp_path)
    assert left == []
    for before, after in zip(told, again, strict=True):
        assert after == before


def test_with_pseudonyms_nobody_sees_where_it_was(real: Pair, tmp_path: Path) -> None:
    told = record(real, tmp_path, Pseudonyms())
    again, left = replay(real, tmp_path)
    assert left == []
    assert [type(answer) for answer in again] == [type(answer) for answer in told]
    files = "".join((tmp_path / name).read_text() for name in "ab")
    assert [host.uuid for host in told[:2] if host.uuid in files] == []
    assert told[2].id not in files
