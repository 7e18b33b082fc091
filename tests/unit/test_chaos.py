"""Faults around any driver: what each kind does at each place, on the mock and on one that does what it is told."""

from __future__ import annotations

import inspect
import time
import typing
from functools import partial
from typing import Any

import pytest
from vhal_mock.world import World

import vhal
from tests.unit.fakes import FakeDriver, NativeError, raises
from vhal.driver import CAPABILITIES, Context, Driver, Fault, FaultKind, FaultPlan, StopMode, capability
from vhal.errors import (
    EngineError,
    HostUnreachable,
    InvalidSpec,
    NotFound,
    OperationAborted,
    OperationTimeout,
)
from vhal.layers.calls import CALLS, OWN, PARTS
from vhal.layers.chaos import POINTS, Chaos
from vhal.layers.turns import Turns
from vhal.spec import MachineState
from vhal.testing import Outcome, one_copy, sweep

S = MachineState


def chaos(*faults: Fault, patience_s: float = 0.01) -> tuple[FakeDriver, Chaos]:
    inner = FakeDriver("here", S.STOPPED, S.RUNNING)
    around = Chaos(inner, FaultPlan(faults), patience_s=patience_s)
    inner.calls.clear()
    return inner, around


class TestTable:
    def test_every_call_of_the_contract_is_in_it(self) -> None:
        own = {name for name in Driver.__abstractmethods__ if name != "close"}
        assert set(OWN) == own
        hints = typing.get_type_hints(capability)
        for id_, key in CAPABILITIES.items():
            (protocol,) = typing.get_args(hints[id_.upper()])
            methods = {name for name, value in vars(protocol).items() if inspect.isfunction(value) and name[0] != "_"}
            assert set(PARTS[key.id]) == methods, key.id

    def test_names_are_unique_and_parameters_are_the_contracts(self) -> None:
        assert len(CALLS) == len(OWN) + sum(len(calls) for calls in PARTS.values())
        assert CALLS["create"].parameters == ("spec", "ctx")
        assert CALLS["migration.transfer"].parameters == ("offer", "ticket", "policy", "ctx")
        assert CALLS["execute"].named(("1", ["ls"]), {"user": "me"}) == {"id": "1", "command": ["ls"], "user": "me"}

    def test_every_call_has_its_points(self) -> None:
        assert set(POINTS) == {f"{name}.{place}" for name in CALLS for place in ("begin", "end")}
        assert POINTS["create.begin"] == "before a machine is made"
        assert POINTS["migration.commit.end"] == "after the destination takes the machine over"


class TestKinds:
    def test_an_error_before_anything_is_done(self) -> None:
        inner, driver = chaos(Fault(at="start.begin", message="no room for that"))
        with pytest.raises(EngineError, match="no room for that") as caught:
            driver.start("1", Context())
        assert caught.value.hint == "it was injected at start.begin"
        assert inner.calls == []
        driver.start("1", Context())
        assert inner.has["1"].state is S.RUNNING

    def test_an_error_after_all_is_done(self) -> None:
        inner, driver = chaos(Fault(at="start.end"))
        with pytest.raises(EngineError):
            driver.start("1", Context())
        assert inner.has["1"].state is S.RUNNING

    @pytest.mark.parametrize("place", ["begin", "end"])
    def test_a_lost_reply_is_of_something_done(self, place: str) -> None:
        inner, driver = chaos(Fault(at=f"start.{place}", kind="lost-reply"))
        with pytest.raises(HostUnreachable, match="the host doesn't answer"):
            driver.start("1", Context())
        assert inner.has["1"].state is S.RUNNING

    def test_a_lost_reply_may_have_been_a_failure(self) -> None:
        inner, driver = chaos(Fault(at="start.begin", kind="lost-reply"))
        inner.on["start"] = raises(NativeError("broken"))
        with pytest.raises(HostUnreachable) as caught:
            driver.start("1", Context())
        assert isinstance(caught.value.__cause__, NativeError)

    @pytest.mark.parametrize(("place", "state"), [("begin", S.STOPPED), ("end", S.RUNNING)])
    def test_a_hang_lasts_until_the_deadline(self, place: str, state: MachineState) -> None:
        inner, driver = chaos(Fault(at=f"start.{place}", kind="hang"))
        with pytest.raises(OperationTimeout):
            driver.start("1", Context(0.01))
        assert inner.has["1"].state is state

    def test_a_hang_without_a_deadline_lasts_as_long_as_ones_patience(self) -> None:
        _, driver = chaos(Fault(at="*", kind="hang", times=None))
        for call in (driver.machines, lambda: driver.start("1", Context())):
            with pytest.raises(HostUnreachable):
                call()

    def test_a_hang_may_end(self) -> None:
        inner, driver = chaos(Fault(at="start.begin", kind="hang", seconds=0.001), patience_s=600)
        driver.start("1", Context(600))
        assert inner.has["1"].state is S.RUNNING

    def test_a_hang_can_be_aborted(self) -> None:
        _, driver = chaos(Fault(at="start.begin", kind="hang"), patience_s=600)
        ctx = Context()
        ctx.abort()
        with pytest.raises(OperationAborted):
            driver.start("1", ctx)

    def test_an_abort_is_that_of_the_context(self) -> None:
        inner, driver = chaos(Fault(at="start.begin", kind="abort"))
        ctx = Context()
        driver.start("1", ctx)
        assert ctx.aborted
        assert inner.has["1"].state is S.RUNNING, "this engine doesn't look"

    def test_an_abort_of_a_call_that_has_no_context(self) -> None:
        inner, driver = chaos(Fault(at="machines.begin", kind="abort"))
        with pytest.raises(OperationAborted, match=r"machines\.begin"):
            driver.machines()
        assert inner.calls == []

    def test_a_delay(self) -> None:
        inner, driver = chaos(Fault(at="start.begin", kind="delay", seconds=0.001))
        driver.start("1", Context())
        assert inner.has["1"].state is S.RUNNING
        _, driver = chaos(Fault(at="start.begin", kind="delay", seconds=600))
        with pytest.raises(OperationTimeout):
            driver.start("1", Context(0.001))

    def test_simulated_seconds_take_no_time(self) -> None:
        world = World.from_spec({"hosts": [{"name": "a"}]})
        plan = FaultPlan()
        with vhal.connect(world.url("a"), layers=[partial(Chaos, plan=plan)]) as a:
            vm = a.create(vhal.MachineSpec(name="web"))
            begun = time.monotonic()
            plan.add(Fault(at="start.begin", kind="delay", seconds=3600))
            vm.start(timeout_s=4000)
            assert world.clock.now_s == pytest.approx(3600)
            plan.add(Fault(at="stop.begin", kind="hang"))
            with pytest.raises(OperationTimeout):
                vm.stop(timeout_s=5000)
            plan.add(Fault(at="describe.begin", kind="hang"))
            with pytest.raises(HostUnreachable):
                a.info()
            assert world.clock.now_s == pytest.approx(8630, abs=1)
            assert time.monotonic() - begun < 3600

    def test_what_needs_a_simulator_is_refused(self) -> None:
        for kind in ("machine-crash", "host-crash", "partition", "slow-link", "disk-full"):
            with pytest.raises(InvalidSpec, match=rf"faults\[0\]\.kind: {kind} needs a simulated host") as caught:
                chaos(Fault(at="start.begin", kind=kind))
            assert "a world of the mock" in (caught.value.hint or "")
        inner, driver = chaos()
        driver.plan.add(Fault(at="start.begin", kind="disk-full"))
        with pytest.raises(InvalidSpec, match="disk-full needs a simulated host"):
            driver.start("1", Context())
        assert inner.calls == []

    def test_an_unknown_point_is_refused(self) -> None:
        with pytest.raises(InvalidSpec, match=r"there is no fault point 'migration\.comit\.begin'") as caught:
            chaos(Fault(at="migration.comit.begin"))
        assert caught.value.hint == "did you mean 'migration.commit.begin'?"


class TestPlaces:
    def test_machines_are_meant_by_name_and_hosts_too(self) -> None:
        _, driver = chaos(
            Fault(at="start.begin", machine="web", host="elsewhere"), Fault(at="stop.begin", machine="web", host="here")
        )
        driver.inspect("1")
        driver.start("1", Context())
        with pytest.raises(EngineError):
            driver.stop("1", StopMode.FORCED, Context())

    def test_capabilities_have_points_too(self) -> None:
        inner, driver = chaos(Fault(at="pause.begin"))
        part = driver.provides(capability.PAUSE)
        assert part is not None
        with pytest.raises(EngineError):
            part.pause("2", Context())
        part.pause("2", Context())
        assert inner.has["2"].state is S.PAUSED
        with pytest.raises(AttributeError):
            part.missing  # type: ignore[attr-defined] # noqa: B018
        assert driver.provides(capability.CONSOLE) is None

    @pytest.mark.parametrize(("place", "pieces"), [("begin", False), ("end", True)])
    def test_an_archive_ends_with_its_last_piece(self, place: str, pieces: bool) -> None:
        world = World.from_spec({"hosts": [{"name": "a"}]})
        plan = FaultPlan([Fault(at=f"read_archive.{place}")])
        with vhal.connect(world.url("a"), layers=[partial(Chaos, plan=plan)]) as a:
            vm = a.create(vhal.MachineSpec(name="web"))
            files = a.guard.provides(capability.FILES)
            assert files is not None
            seen: list[bytes] = []
            with pytest.raises(EngineError):
                seen.extend(files.read_archive(vm.id, "/etc"))
            assert bool(seen) is pieces

    def test_nothing_is_asked_where_there_are_no_faults(self) -> None:
        inner, driver = chaos()
        driver.start("1", Context())
        assert inner.calls == ["here.start"]


class TestConnecting:
    def test_layers_are_inside_the_guard_and_can_be_had(self) -> None:
        plan = FaultPlan([Fault(at="describe.begin", times=None)])
        with vhal.connect("mock:///a", layers=[partial(Chaos, plan=plan)]) as a:
            with pytest.raises(EngineError) as caught:
                a.info()
            assert (caught.value.backend, caught.value.host) == ("mock", "mock:///a")
            assert a.layer(Chaos).plan is plan
        assert a.layer(Chaos).plan is plan
        with vhal.connect(Chaos(a.layer(Chaos).inner, plan)) as again, pytest.raises(EngineError):
            again.info()

    def test_a_layer_that_there_is_not(self) -> None:
        with vhal.connect("mock:///a") as a, pytest.raises(NotFound, match="has no Chaos") as caught:
            a.layer(Chaos)
        assert caught.value.hint == "connect(URL, layers=[…]) adds layers"

    def test_what_is_no_layer_is_refused_and_nothing_stays_open(self) -> None:
        inner = FakeDriver()
        closing: Any = lambda driver: 5  # noqa: E731
        with pytest.raises(InvalidSpec, match="returned a int, not a Driver"):
            vhal.connect("mock:///a", layers=[closing])
        with pytest.raises(InvalidSpec):
            vhal.connect(inner, layers=[closing])

    def test_a_driver_that_lets_one_call_in_stays_so_behind_layers(self) -> None:
        class Serial(FakeDriver):
            concurrent = False

        inner = Serial()
        first, second = (vhal.connect(inner, layers=[partial(Chaos, plan=FaultPlan())]) for _ in range(2))
        assert first.layer(Turns).lock is second.layer(Turns).lock


# Moving under chaos.


def move(
    plan: FaultPlan, policy: vhal.MigrationPolicy | None = None, first: Fault | None = None
) -> vhal.MigrationResult | vhal.VhalError:
    """Move a machine while ``plan``'s faults strike, and look afterwards; with ``first`` the move fails anyway."""
    world = World.from_spec({"hosts": [{"name": "a"}, {"name": "b"}]})
    a, b = (vhal.connect(world.url(name)) for name in world.hosts)
    a.create(vhal.MachineSpec(name="web")).start()
    if first is not None:
        plan.add(first)
    shaky, other = (vhal.connect(world.url(name), layers=[partial(Chaos, plan=plan)]) for name in world.hosts)
    try:
        with one_copy("web", a, b):
            return shaky.machine("web").migrate(other, policy, timeout_s=600)
    except vhal.VhalError as error:
        if first is None:
            raise
        return error


@pytest.mark.parametrize("live", [True, False], ids=["live", "cold"])
def test_whatever_goes_wrong_in_a_move_there_is_one_copy_and_the_error_is_true(live: bool) -> None:
    seen: set[tuple[str, str]] = set()
    for fault, outcome in sweep(partial(move, policy=vhal.MigrationPolicy(live=live))):
        assert outcome.struck, fault
        seen.add((fault.at, fault.kind))
        if fault.kind is FaultKind.DELAY:
            assert outcome.error is None
    steps = {"offer", "examine", "prepare", "transfer", "commit", "release"}
    assert {
        (f"migration.{step}.{place}", kind) for step in steps for place in ("begin", "end") for kind in KINDS
    } <= seen


KINDS = {"error", "lost-reply", "hang", "abort", "delay"}


@pytest.mark.parametrize("at", ["migration.prepare.end", "migration.transfer.end", "migration.commit.begin"])
def test_whatever_goes_wrong_on_the_way_back_too(at: str) -> None:
    first = Fault(at=at, kind="error")
    seen = set()
    for fault, outcome in sweep(partial(move, first=first), at="*"):
        assert outcome.error is None, "what the move raised is its result here"
        seen.add(fault.at)
    assert {"migration.cancel.begin", "migration.cancel.end"} <= seen
    assert at == "migration.prepare.end" or {"migration.resume.begin", "migration.resume.end"} <= seen


class TestSweep:
    def test_every_visit_once_in_order(self) -> None:
        def run(plan: FaultPlan) -> int:
            for point, machine in (("one.begin", ""), ("one.begin", "web"), ("two.begin", "web"), ("one.begin", "web")):
                if plan.strike(point, "a", machine):
                    raise EngineError("struck")
            return 1

        found = list(sweep(run, ["lost-reply", FaultKind.ERROR], at="one.*"))
        assert [(f.at, f.machine, f.kind, f.skip) for f, _ in found] == [
            ("one.begin", None, "error", 0),
            ("one.begin", None, "lost-reply", 0),
            ("one.begin", "web", "error", 0),
            ("one.begin", "web", "lost-reply", 0),
            ("one.begin", "web", "error", 1),
            ("one.begin", "web", "lost-reply", 1),
        ]
        assert all(outcome.struck and isinstance(outcome.error, EngineError) for _, outcome in found)

    def test_a_run_that_goes_another_way_is_told(self) -> None:
        turns = iter([True, False])

        def run(plan: FaultPlan) -> str:
            return str(plan.strike("one.begin")) if next(turns) else "not there"

        assert [outcome for _, outcome in sweep(run, ["error"])] == [Outcome(False, "not there")]

    def test_an_untyped_error_ends_it_and_names_the_fault(self) -> None:
        def run(plan: FaultPlan) -> None:
            if plan.strike("one.begin"):
                raise ValueError("oops")

        with pytest.raises(ValueError, match="oops") as caught:
            list(sweep(run, ["error"]))
        assert caught.value.__notes__[0].startswith("with the fault error at one.begin")

    def test_a_run_that_fails_by_itself(self) -> None:
        with pytest.raises(EngineError):
            list(sweep(lambda plan: raises(EngineError("by itself"))()))


class TestOneCopy:
    def hosts(self) -> tuple[vhal.Host, vhal.Host, vhal.Machine]:
        world = World.from_spec({"hosts": [{"name": "a"}, {"name": "b"}]})
        a, b = (vhal.connect(world.url(name)) for name in world.hosts)
        vm = a.create(vhal.MachineSpec(name="web"))
        vm.start()
        return a, b, vm

    def test_it_must_have_arrived(self) -> None:
        a, b, _ = self.hosts()
        with pytest.raises(AssertionError, match=r"'web' should run on .*b only"), one_copy("web", a, b):
            pass

    @pytest.mark.parametrize("error", [vhal.errors.MigrationFailed, HostUnreachable])
    def test_an_error_must_be_true(self, error: type[vhal.VhalError]) -> None:
        a, b, vm = self.hosts()

        def untrue() -> None:
            with one_copy("web", a, b):
                vm.migrate(b)
                raise error("not true")

        with pytest.raises(AssertionError, match=r"'web' should run on .*a only"):
            untrue()

    def test_two_are_never_right(self) -> None:
        a, b, _ = self.hosts()

        def two() -> None:
            with one_copy("web", a, b):
                b.create(vhal.MachineSpec(name="web")).start()
                raise vhal.errors.MigrationInDoubt("who has it?")

        with pytest.raises(AssertionError, match="two copies of 'web' run"):
            two()

    def test_doubt_allows_for_none(self) -> None:
        a, b, vm = self.hosts()

        def none() -> None:
            with one_copy("web", a, b):
                vm.stop(force=True)
                raise vhal.errors.MigrationInDoubt("who has it?")

        with pytest.raises(vhal.errors.MigrationInDoubt):
            none()
