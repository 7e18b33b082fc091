"""Wrong states: a machine isn't what a call should have made of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vhal_mock import driver as mock
from vhal_mock import power
from vhal_mock.creation import can_create, options_of, volumes
from vhal_mock.driver import MockDriver
from vhal_mock.host import SimHost
from vhal_mock.machine import SimMachine

from tests.kit.bugs.seeding import Patch, around
from vhal.driver import Context, StopMode
from vhal.driver.event import EventKind
from vhal.errors import OperationTimeout
from vhal.spec import MachineInfo, MachineSpec, MachineState

Call = Callable[..., Any]


def _ending(patch: Patch, call: str, end: MachineState) -> None:
    def wrong(right: Call, driver: MockDriver, made: str, machine: SimMachine, state: MachineState) -> None:
        right(driver, made, machine, end if made == call else state)

    around(patch, MockDriver, "_change", wrong)


def restored_but_paused(patch: Patch) -> None:
    """A machine that is restored is paused."""
    _ending(patch, "restore", MachineState.PAUSED)


def rebooted_but_stopped(patch: Patch) -> None:
    """``reboot`` stops, and doesn't start again."""
    _ending(patch, "reboot", MachineState.STOPPED)


def restored_by_a_start(patch: Patch) -> None:
    """``restore`` starts the guest anew, without its memory."""

    def wrong(right: Call, driver: MockDriver, id: str, ctx: Context) -> None:
        with driver.host.lock:
            power.start(driver.host, driver.find(id, "restore"), ctx)

    around(patch, MockDriver, "restore", wrong)


def paused_on_paper(patch: Patch) -> None:
    """``pause`` writes down that the machine is paused, and its processors go on."""
    paused: set[str] = set()
    around(patch, MockDriver, "pause", lambda right, driver, machine, ctx: paused.add(machine))
    around(patch, MockDriver, "resume", lambda right, driver, machine, ctx: paused.discard(machine))

    def info(right: Call, driver: MockDriver, machine: SimMachine) -> MachineInfo:
        told: MachineInfo = right(driver, machine)
        return told.model_copy(update={"state": MachineState.PAUSED}) if machine.id in paused else told

    around(patch, MockDriver, "info", info)


def memory_that_is_not_discarded(patch: Patch) -> None:
    """``stop(force=True)`` of a saved machine leaves its memory where it is."""

    def wrong(right: Call, driver: MockDriver, machine: SimMachine) -> None:
        if machine.state is not MachineState.SAVED:
            right(driver, machine)

    around(patch, MockDriver, "_stopped", wrong)


def force_that_asks(patch: Patch) -> None:
    """A forced stop asks the guest, which a paused one doesn't hear."""

    def wrong(right: Call, driver: MockDriver, id: str, mode: StopMode, ctx: Context) -> None:
        if driver.inspect(id).state is MachineState.PAUSED:
            raise OperationTimeout("the guest doesn't react", hint="try again")
        right(driver, id, StopMode.GRACEFUL, ctx)

    around(patch, MockDriver, "stop", wrong)


def a_creation_that_is_half_undone(patch: Patch) -> None:
    """A creation whose disks fail leaves its machine."""

    def create(host: SimHost, spec: MachineSpec, ctx: Context) -> SimMachine:
        answer = can_create(host, spec)
        if not answer:
            raise answer.error()
        options = options_of(spec)
        machine = SimMachine(host.world.new_id(), spec, options, options.make_workload("", host.world))
        host.add(machine)
        host.visit("create.after_disk_before_define", spec.name, ctx)
        host.make_volumes(volumes(spec))
        host.tell(EventKind.CREATED, machine)
        return machine

    patch.setattr(mock, "_make", lambda: create)


def a_failed_start_that_is_not_undone(patch: Patch) -> None:
    """The state is set before the engine is asked, and stays so when that fails."""

    def wrong(right: Call, host: SimHost, machine: SimMachine, ctx: Context) -> None:
        host.turn(machine, MachineState.STARTING)
        host.visit("start.after_claim_before_power", machine.name, ctx)

    around(patch, power, "_claim", wrong)


def disks_that_stay(patch: Patch) -> None:
    """``delete`` forgets the machine's disks."""

    def wrong(right: Call, driver: MockDriver, id: str, ctx: Context, keep_disks: bool = False) -> None:
        right(driver, id, ctx, True)

    around(patch, MockDriver, "delete", wrong)


def found_when_gone(patch: Patch) -> None:
    """A deleted machine is still found by its name."""

    def wrong(right: Call, host: SimHost, machine: SimMachine) -> None:
        right(host, machine)
        host.by_name[machine.name] = machine

    around(patch, SimHost, "remove", wrong)


def listed_when_gone(patch: Patch) -> None:
    """A deleted machine is still in the list."""
    last: list[MachineInfo] = []

    def delete(right: Call, driver: MockDriver, id: str, *rest: Any) -> None:
        info = driver.inspect(id)
        right(driver, id, *rest)
        last[:] = [info]

    around(patch, MockDriver, "delete", delete)
    around(patch, MockDriver, "machines", lambda right, driver: [*right(driver), *last])


def an_id_made_of_the_name(patch: Patch) -> None:
    """Who takes the name of a deleted machine gets its id."""

    def wrong(right: Call, machine: SimMachine, id: str, spec: MachineSpec, *rest: Any) -> None:
        right(machine, spec.name, spec, *rest)

    around(patch, SimMachine, "__init__", wrong)


def _finding(patch: Patch, fits: Callable[[str, str], bool]) -> None:
    def wrong(right: Call, driver: MockDriver, ref: str, call: str | None = None) -> SimMachine:
        found = [one for one in driver.host.machines.values() if fits(one.id, ref) or fits(one.name, ref)]
        machine: SimMachine = right(driver, found[0].id if found else ref, call)
        return machine

    around(patch, MockDriver, "find", wrong)


def names_without_case(patch: Patch) -> None:
    """``WEB`` finds the machine ``web``."""
    _finding(patch, lambda name, ref: name.lower() == ref.lower())


def beginnings_of_names(patch: Patch) -> None:
    """``we`` finds the machine ``web``."""
    _finding(patch, lambda name, ref: name.startswith(ref))
