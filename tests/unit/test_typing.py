"""The public API as type checkers see it; mypy checks this file with all others, and it runs too."""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_type

import vhal
from vhal.driver import (
    CONSOLE,
    EVENTS,
    MIGRATION,
    PAUSE,
    REBOOT,
    Consoles,
    Context,
    Driver,
    Events,
    Migration,
    Pause,
    Reboot,
)
from vhal.execution import Completed, Execution
from vhal.spec import Cpus, HostInfo, Memory, Rates, SnapshotInfo, rates
from vhal.watch import EventStream


def test_the_script_of_the_readme() -> None:
    with vhal.connect("mock:///a") as a, vhal.connect("mock:///b") as b:
        assert_type(a, vhal.Host)
        vm = a.create(vhal.MachineSpec(name="web", kind="vm", cpus=2, memory="2GiB"))
        assert_type(vm, vhal.Machine)
        vm.start()
        operation = vhal.begin(vm.migrate, b)
        assert_type(operation, vhal.Operation[vhal.MigrationResult])
        for progress in operation.updates():
            assert_type(progress, vhal.Progress)
            assert_type(progress.fraction, float | None)
        result = operation.result()
        assert_type(result, vhal.MigrationResult)
        assert_type(result.downtime_s, float)
        assert_type(result.transferred, vhal.Bytes)
        assert_type(b.machine("web").wait("ready"), vhal.MachineInfo)
        b.machine("web").stop()
        b.machine("web").delete()


def test_what_a_host_gives() -> None:
    with vhal.connect("mock:///a") as a:
        assert_type(a.info(), HostInfo)
        assert_type(a.machines(labels={"team": "x"}), list[vhal.Machine])
        assert_type(a.can(PAUSE), vhal.Answer)
        assert_type(a.can(PAUSE).blockers, tuple[vhal.Blocker, ...])
        with a.events() as events:
            assert_type(events, EventStream)
            assert_type(events.next(0), vhal.Event | None)


def test_what_a_spec_holds() -> None:
    spec = vhal.MachineSpec(name="web", cpus=Cpus(count=2), memory=2 << 30, disks=[vhal.Disk(size="1GiB")])
    assert_type(spec.cpus, Cpus)
    assert_type(spec.memory, Memory)
    assert_type(spec.memory.size, vhal.Bytes)
    assert_type(spec.disks, tuple[vhal.Disk, ...])
    assert_type(spec.replace(name="db"), vhal.MachineSpec)
    assert_type(vhal.MigrationPolicy(bandwidth="1GiB").bandwidth, vhal.Bytes | None)


def test_operations_know_their_results() -> None:
    with vhal.connect("mock:///a") as a:
        created = vhal.begin(a.create, vhal.MachineSpec(name="web"), timeout_s=5)
        assert_type(created, vhal.Operation[vhal.Machine])
        vm = created.result()
        started = vhal.begin(vm.start)
        assert_type(started, vhal.Operation[None])
        started.result()
        assert_type(vhal.begin(lambda: 7), vhal.Operation[int])


def test_what_is_inside_a_machine() -> None:
    with vhal.connect("mock:///a") as a:
        vm = a.create(vhal.MachineSpec(name="web"))
        vm.start()
        assert_type(vm.exec(["true"]), Completed)
        with vm.spawn(["true"]) as program:
            assert_type(program, Execution)
            assert_type(program.read(1), tuple[int, bytes])
            assert_type(program.wait(1), int)
        assert_type(vm.snapshot("one"), SnapshotInfo)
        assert_type(rates(vm.usage(), a.usage()[vm.id]), Rates)


def capabilities(driver: Driver, context: Context) -> None:
    """Each key knows its protocol."""
    assert_type(driver.provides(PAUSE), Pause | None)
    assert_type(driver.provides(REBOOT), Reboot | None)
    assert_type(driver.provides(CONSOLE), Consoles | None)
    assert_type(driver.provides(EVENTS), Events | None)
    assert_type(driver.provides(MIGRATION), Migration | None)
    assert_type(context.remaining_s, float | None)


def test_a_capability_can_be_asked_for() -> None:
    check: Callable[[Driver, Context], None] = capabilities
    check(vhal.connect("mock:///a").guard, Context())
