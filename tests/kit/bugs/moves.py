"""Moves that leave two owners or none, or lose something on the way."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from vhal_mock import blockers, migration
from vhal_mock.driver import MockDriver
from vhal_mock.host import SimHost
from vhal_mock.machine import Inside, SimMachine
from vhal_mock.migration import MockMigration

from tests.kit.bugs.seeding import Patch, around, nothing, telling
from vhal.driver import Context
from vhal.driver.migration import MigrationPolicy, Offer, Ticket
from vhal.errors import NotFound
from vhal.spec import FrozenDict, MachineInfo, MachineState

Call = Callable[..., Any]


def _arriving(patch: Patch, change: Callable[[SimMachine, SimMachine], None]) -> None:
    """Let the place for a machine be made wrong."""

    def wrong(right: Call, machine: SimMachine) -> SimMachine:
        place: SimMachine = right(machine)
        change(place, machine)
        return place

    around(patch, SimMachine, "place_for", wrong)


def _other(part: MockMigration) -> SimHost:
    (other,) = (host for host in part._host.world.hosts.values() if host is not part._host)
    return other


# owners


def a_source_that_keeps_it(patch: Patch) -> None:
    """``release`` says that all is well, and the source keeps what it had."""
    nothing(patch, MockMigration, "release")


def both_for_an_instant(patch: Patch) -> None:
    """It runs on the destination before the source has halted it."""

    def commit(right: Call, part: MockMigration, ticket: Ticket, ctx: Context) -> MachineInfo:
        info: MachineInfo = right(part, ticket, ctx)
        left = _other(part).machines.get(ticket.machine_id)
        if left is not None and ticket.state is MachineState.RUNNING:
            _other(part).turn(left, MachineState.RUNNING)
        return info

    def release(right: Call, part: MockMigration, offer: Offer, ctx: Context) -> None:
        left = part._host.machines.get(offer.machine.id)
        gone = _other(part).machines.get(offer.machine.id)
        if left is not None and gone is not None and not gone.arriving:
            part._host.turn(left, MachineState.PAUSED)
        right(part, offer, ctx)

    around(patch, MockMigration, "commit", commit)
    around(patch, MockMigration, "release", release)


def nobody_for_an_instant(patch: Patch) -> None:
    """The source forgets it before the destination shows it."""

    def machines(right: Call, driver: MockDriver) -> list[MachineInfo]:
        return [info for info in right(driver) if not driver.host.machines[info.id].arriving]

    def commit(right: Call, part: MockMigration, ticket: Ticket, ctx: Context) -> MachineInfo:
        left = _other(part).machines.get(ticket.machine_id)
        if left is not None:
            _other(part).remove(left)
            time.sleep(0.05)  # as the engine does, that has yet to act
        info: MachineInfo = right(part, ticket, ctx)
        return info

    around(patch, MockDriver, "machines", machines)
    around(patch, MockMigration, "commit", commit)


def a_cancel_that_does_nothing(patch: Patch) -> None:
    """``cancel`` says that all is well, and the place stays."""
    nothing(patch, MockMigration, "cancel")


def a_resume_that_does_nothing(patch: Patch) -> None:
    """``resume`` says that all is well, and the source's stands still."""
    nothing(patch, MockMigration, "resume")


def a_cancel_that_takes_what_arrived(patch: Patch) -> None:
    """``cancel`` removes whatever has the id, also what was committed."""

    def wrong(right: Call, part: MockMigration, ticket: Ticket, ctx: Context) -> None:
        machine = part._host.machines.get(ticket.machine_id)
        if machine is not None:
            machine.arriving = True
        right(part, ticket, ctx)

    around(patch, MockMigration, "cancel", wrong)


def a_release_that_takes_who_came_back(patch: Patch) -> None:
    """``release`` removes a machine that has come back since."""

    def wrong(right: Call, part: MockMigration, offer: Offer, ctx: Context) -> None:
        machine = part._host.machines.get(offer.machine.id)
        if machine is not None and machine.epoch > offer.machine.epoch:
            part._host.remove(machine)
            return
        right(part, offer, ctx)

    around(patch, MockMigration, "release", wrong)


def a_name_that_is_taken_over(patch: Patch) -> None:
    """A machine that has the name at the destination makes way."""

    def refusing(right: Call, host: SimHost, offer: Offer, policy: MigrationPolicy) -> list[Any]:
        return [one for one in right(host, offer, policy) if one.code != "name-taken"]

    def prepare(right: Call, part: MockMigration, offer: Offer, *rest: Any) -> Ticket:
        there = part._host.by_name.get(offer.machine.name)
        if there is not None and not there.arriving:
            part._host.remove(there)
        ticket: Ticket = right(part, offer, *rest)
        return ticket

    around(patch, migration, "refusing", refusing)
    around(patch, MockMigration, "prepare", prepare)


def a_commit_only_once(patch: Patch) -> None:
    """A ``commit`` that is repeated finds nothing to commit."""

    def wrong(right: Call, part: MockMigration, ticket: Ticket, ctx: Context) -> MachineInfo:
        machine = part._host.machines.get(ticket.machine_id)
        if machine is not None and not machine.arriving:
            raise NotFound("nothing was prepared", hint="prepare it first")
        info: MachineInfo = right(part, ticket, ctx)
        return info

    around(patch, MockMigration, "commit", wrong)


def a_ticket_that_is_no_data(patch: Patch) -> None:
    """A ticket has something in it that doesn't come back from a journal."""

    def prepare(right: Call, part: MockMigration, *rest: Any) -> Ticket:
        ticket: Ticket = right(part, *rest)
        return ticket.model_copy(update={"payload": FrozenDict({**ticket.payload, "host": part._host})})

    def transfer(right: Call, part: MockMigration, offer: Offer, ticket: Ticket, *rest: Any) -> Any:
        host = ticket.payload["host"].name
        return right(part, offer, ticket.model_copy(update={"payload": FrozenDict({"host": host})}), *rest)

    around(patch, MockMigration, "prepare", prepare)
    around(patch, MockMigration, "transfer", transfer)


# looks that aren't


def an_offer_that_pauses(patch: Patch) -> None:
    """Who asks what would move halts it."""

    def wrong(right: Call, part: MockMigration, id: str, policy: MigrationPolicy) -> Offer:
        offer: Offer = right(part, id, policy)
        if offer.state is MachineState.RUNNING:
            part._host.turn(part._driver.find(id), MachineState.PAUSED)
        return offer

    around(patch, MockMigration, "offer", wrong)


# what is lost on the way


def another_id(patch: Patch) -> None:
    """It has another id on the other host."""

    def commit(right: Call, part: MockMigration, ticket: Ticket, ctx: Context) -> MachineInfo:
        info: MachineInfo = right(part, ticket, ctx)
        machine = part._host.machines.get(ticket.machine_id)
        if machine is not None:
            part._host.machines[f"{info.id}-moved"] = part._host.machines.pop(machine.id)
            machine.id, machine.info = f"{info.id}-moved", None
            info = part._driver.info(machine)
        return info

    around(patch, MockMigration, "commit", commit)


def moves_that_are_not_counted(patch: Patch) -> None:
    """Nobody counts on how many hosts it has been."""
    telling(patch, lambda machine: {"epoch": 1})


def _moving_as(patch: Patch, before: MachineState) -> None:
    def wrong(right: Call, part: MockMigration, *rest: Any) -> Offer:
        offer: Offer = right(part, *rest)
        return offer.model_copy(update={"state": MachineState.RUNNING}) if offer.state is before else offer

    around(patch, MockMigration, "offer", wrong)


def paused_and_then_running(patch: Patch) -> None:
    """A paused machine runs when it has moved."""
    _moving_as(patch, MachineState.PAUSED)


def sizes_that_are_lost(patch: Patch) -> None:
    """It has the spec's sizes on the other host, whatever it was given since."""

    def change(place: SimMachine, machine: SimMachine) -> None:
        place.cpus, place.memory = machine.spec.cpus.count, int(machine.spec.memory.size)

    _arriving(patch, change)


def labels_that_stay_behind(patch: Patch) -> None:
    """It has no labels on the other host."""

    def change(place: SimMachine, machine: SimMachine) -> None:
        place.spec = place.spec.replace(labels={})

    _arriving(patch, change)


def files_that_stay_behind(patch: Patch) -> None:
    """It has an empty disk on the other host."""

    def change(place: SimMachine, machine: SimMachine) -> None:
        place.guest = Inside()

    _arriving(patch, change)


def snapshots_that_stay_behind(patch: Patch) -> None:
    """It moves without its snapshots, and nobody says so."""

    def staying(right: Call, machine: SimMachine) -> list[Any]:
        return [one for one in right(machine) if one.code != "snapshots"]

    around(patch, blockers, "staying", staying)


# ends


def _with(patch: Patch, context: Callable[[Context], Context]) -> None:
    def wrong(right: Call, part: MockMigration, offer: Offer, ticket: Ticket, policy: Any, ctx: Context) -> Any:
        return right(part, offer, ticket, policy, context(ctx))

    around(patch, MockMigration, "transfer", wrong)


def an_abort_that_is_ignored(patch: Patch) -> None:
    """Whoever aborts a move waits until it is over."""
    _with(patch, lambda ctx: Context(on_progress=ctx.report))
