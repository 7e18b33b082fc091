"""How a migration ended, by looking at the machine, and bringing either host to one of the two good ends.

Every call may be repeated, and each looks before it acts. Nothing here ends a machine that runs.
"""

from __future__ import annotations

import contextlib
import dataclasses

from vhal.driver import MigrationPolicy, Offer, Ticket
from vhal.errors import InvalidState, MigrationFailed, MigrationInDoubt, NotFound
from vhal.spec import MachineInfo, MachineState
from vhal_containers import criu, orphans, power, volumes
from vhal_containers.api import ApiError
from vhal_containers.engine import NOT_FOUND, Engine
from vhal_containers.identity import EPOCH
from vhal_containers.inventory import Found, Inventory
from vhal_containers.migration import image_transfer
from vhal_containers.migration.cargo import Cargo, Place
from vhal_containers.migration.options import ContainersMigrationOptions
from vhal_containers.migration.transfer import held
from vhal_containers.record import Record, Records

_RUNS = (MachineState.RUNNING, MachineState.STOPPING)


class Ends:
    """Both ends of migrations, for one engine."""

    def __init__(self, engine: Engine, inventory: Inventory, records: Records) -> None:
        self._engine = engine
        self._inventory = inventory
        self._records = records

    def commit(self, ticket: Ticket) -> MachineInfo:
        """Return the destination's machine if it is there as it was offered, with the sizes that it had.

        Raises:
            vhal.errors.MigrationFailed: It isn't there.
            vhal.errors.MigrationInDoubt: It is there, but not as it should be.
        """
        place = Place.of(ticket)
        found = self._find(ticket.machine_id)
        if found is None:
            raise MigrationFailed(
                "the destination hasn't got the machine", hint="it is on the source; look there", backend="containers"
            )
        _check_epoch(found, place)
        if ticket.state is not MachineState.STOPPED and _never_ran(found):
            raise MigrationInDoubt(
                f"the destination has {found.info.name!r}, but it never ran there",
                hint="look at both hosts before starting or deleting anything",
                backend="containers",
                machine=found.info.name,
            )
        # Nothing of what a former stay of the machine left here counts.
        record = Record(cpus=place.cpus, memory=place.memory)
        if not found.identity.managed:
            record = dataclasses.replace(record, epoch=place.epoch)
        self._records.change(ticket.machine_id, lambda before: record if before != record else before)
        found = self._inventory.find(ticket.machine_id)
        if found.record.resized and found.info.state in _RUNS:
            power.apply_sizes(self._engine, found)
        if ticket.state is MachineState.PAUSED and found.info.state is MachineState.RUNNING:
            self._engine.api.containers.pause(found.podman_id)
            return self._inventory.find(ticket.machine_id).info
        return found.info

    def cancel(self, ticket: Ticket) -> None:
        """Remove what the ticket's migration brought here.

        Raises:
            vhal.errors.InvalidState: The machine runs here; it isn't touched.
        """
        place = Place.of(ticket)
        found = self._find(ticket.machine_id)
        if found is not None and epoch_of(found) != place.epoch:
            return  # another life of the machine, which this migration didn't bring
        if found is not None:
            if found.info.state in _RUNS or found.info.state is MachineState.PAUSED is not ticket.state:
                raise InvalidState(
                    "the machine runs at the destination and is left alone",
                    hint="commit the migration, or stop the machine there first",
                    backend="containers",
                    machine=found.info.name,
                )
            if ticket.state is not MachineState.STOPPED and _never_ran(found):
                # The engine says so, but it may have died while it brought it back.
                orphans.end(self._engine.address, found.container.runtime, found.podman_id)
            self._remove(found)
        self._records.remove(ticket.machine_id)
        self._inventory.forget(ticket.machine_id)
        if place.absent_volumes:
            ours = set(volumes.of(self._engine, ticket.machine_id))
            for name in place.absent_volumes:
                if name in ours:
                    self._engine.remove_volume(name)
        image_transfer.remove_files_of(self._engine.api, ticket.machine_id)
        if place.image_absent:
            image_transfer.remove(self._engine.api, place.image)

    def release(self, offer: Offer) -> None:
        """Remove what is left of the machine at the source, but nothing that the destination uses.

        Raises:
            vhal.errors.MigrationInDoubt: It runs; it isn't touched.
        """
        cargo, machine = Cargo.of(offer), offer.machine.id
        found = self._find(machine)
        if found is not None:
            if found.info.epoch != cargo.epoch:
                return  # it has come back since
            if found.info.state in _RUNS or found.info.state is MachineState.PAUSED:
                raise MigrationInDoubt(
                    "the machine is still on the source",
                    hint="look at both hosts; stop the older copy, the one with the lower epoch",
                    backend="containers",
                    machine=found.info.name,
                )
            self._remove(found)
        for mount in cargo.mounts:
            if mount.made_for_it and not mount.shared:
                # What was in it is in the destination's of that name. Who else uses it keeps it.
                with contextlib.suppress(ApiError):
                    self._engine.remove_volume(mount.name)
        self._records.remove(machine)
        self._inventory.forget(machine)
        image_transfer.remove_files_of(self._engine.api, machine)

    def resume(self, offer: Offer) -> None:
        """Let a machine that the transfer froze go on. Does nothing to one that runs.

        Raises:
            vhal.errors.MigrationFailed: It can't go on; what was saved of it is still there, if anything was.
        """
        if offer.state is MachineState.STOPPED:
            return
        cargo = Cargo.of(offer)
        orphans.wait_until_frozen(self._engine.address, cargo.podman_id)
        found = self._inventory.find(offer.machine.id)
        if found.info.epoch != cargo.epoch:
            return
        if found.info.state is MachineState.SAVED:
            self._bring_back(found, offer, cargo)
            found = self._inventory.find(offer.machine.id)
            if found.record.resized:
                power.apply_sizes(self._engine, found)
        if offer.state is MachineState.PAUSED and found.info.state is MachineState.RUNNING:
            self._engine.api.containers.pause(found.podman_id)
        self._records.not_saved(found.info.id, found.record)

    def _bring_back(self, found: Found, offer: Offer, cargo: Cargo) -> None:
        options = MigrationPolicy().options_for("containers", ContainersMigrationOptions)
        # An engine that died while it brought the machine back takes it for frozen, but it runs.
        orphans.freeze(self._engine.address, found.container.runtime, found.podman_id)
        try:
            with held(self._engine.api, self._engine.address, cargo, options):
                self._engine.api.checkpoints.bring_back(found.podman_id, tcp_established=True, file_locks=True)
        except ApiError as error:
            again = self._inventory.find(offer.machine.id)
            if again.info.state in _RUNS:
                return
            if criu.nothing_saved(error, found.container):
                self._records.not_saved(again.info.id, again.record)
                raise MigrationFailed(
                    f"{found.info.name!r} ended while it was being frozen, and nothing of its memory was saved",
                    hint="it is stopped; start it",
                    backend="containers",
                    machine=found.info.name,
                    native=error,
                ) from error
            raise

    def _find(self, machine: str) -> Found | None:
        try:
            return self._inventory.find(machine)
        except NotFound:
            return None

    def _remove(self, found: Found) -> None:
        try:
            self._engine.api.containers.delete(found.podman_id)
        except ApiError as error:
            if error.status == NOT_FOUND:
                return
            if power.living(self._engine, found.podman_id):
                raise  # somebody has just started it
            self._engine.api.containers.delete(found.podman_id, force=True)


def epoch_of(found: Found) -> int:
    """Return the epoch in a container's label, whoever made it; 0 without one."""
    text = found.container.labels.get(EPOCH, "")
    return int(text) if text.isascii() and text.isdecimal() else 0


def _never_ran(found: Found) -> bool:
    return found.container.state.status in ("created", "configured", "initialized")


def _check_epoch(found: Found, place: Place) -> None:
    if epoch_of(found) != place.epoch:
        raise MigrationInDoubt(
            f"the destination's {found.info.name!r} isn't the one that was sent",
            hint="look at both hosts before starting or deleting anything",
            backend="containers",
            machine=found.info.name,
        )
