"""Moving machines between two podman engines: the five steps of :class:`vhal.driver.Migration`.

A machine that runs is frozen with its memory, and brought back over there by CRIU; one that is stopped is made anew
from its files. podman's engines don't talk to each other: this process carries what moves from one to the other.

What travels with the offer and the ticket is in :mod:`vhal_containers.migration.cargo`, what stands against a migration
in :mod:`~vhal_containers.migration.preflight`, the sending in :mod:`~vhal_containers.migration.transfer` and
:mod:`~vhal_containers.migration.cold`, and how an end is recognised and undone in
:mod:`~vhal_containers.migration.ending`. How traffic is held meanwhile, and how to replace that, is in
:mod:`~vhal_containers.migration.network`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vhal.driver import Answer, Context, EventKind, MigrationPolicy, Offer, Ticket, Transfer
from vhal.spec import FrozenDict, MachineInfo, MachineState
from vhal_containers import criu
from vhal_containers.migration import cargo, image_transfer, pre_dump, preflight
from vhal_containers.migration.cargo import Cargo, Place
from vhal_containers.migration.cold import ColdSending
from vhal_containers.migration.ending import Ends
from vhal_containers.migration.options import ContainersMigrationOptions
from vhal_containers.migration.transfer import Sending, forgetting
from vhal_containers.steps import Meanings, Steps

if TYPE_CHECKING:
    from vhal_containers.engine import Engine
    from vhal_containers.inventory import Inventory
    from vhal_containers.record import Records

_HALTS: Meanings = {"unpause": None, "checkpoint": None, "died": None, "restore": None, "pause": None}
_LEAVES: Meanings = {"died": None, "remove": EventKind.MIGRATED_OUT}
_ARRIVES: Meanings = {"create": None, "restore": EventKind.MIGRATED_IN, "pause": None, "died": None, "remove": None}
_IS_MADE: Meanings = {"create": EventKind.MIGRATED_IN}
"""What the engine's steps of a migration mean on either host."""


class ContainersMigration:
    """Both sides of a migration, for one engine.

    Args:
        engine: The engine.
        inventory: Its machines.
        records: What is remembered of them.
        steps: Where the engine's steps are noted, so that the events are told right.
    """

    def __init__(self, engine: Engine, inventory: Inventory, records: Records, steps: Steps) -> None:
        self._engine = engine
        self._inventory = inventory
        self._records = records
        self._steps = steps
        self._ends = Ends(engine, inventory, records)

    def offer(self, id: str, policy: MigrationPolicy) -> Offer:
        """Return what would move, as it is now.

        Raises:
            vhal.errors.InvalidState: It neither runs, nor is paused, nor is stopped.
        """
        found = self._inventory.find(id)
        loaded = cargo.load(self._engine, found)
        if found.info.state is not MachineState.STOPPED and policy.live:
            options = policy.options_for("containers", ContainersMigrationOptions)
            blockers = [
                *criu.blockers(self._engine, found.container.runtime or None),
                *forgetting(self._engine, found),
                *(pre_dump.on_source(self._engine) if options.pre_dump else ()),
            ]
            against = tuple((blocker.code, blocker.message, blocker.remedy) for blocker in blockers)
            loaded = loaded.model_copy(update={"against": against})
        return Offer(
            backend="containers",
            host_uuid=self._engine.host_id,
            machine=found.info,
            state=found.info.state,
            payload=FrozenDict(loaded.model_dump(mode="json")),
        )

    def examine(self, offer: Offer, policy: MigrationPolicy) -> Answer:
        """Return whether this host would take it."""
        return Answer.of(preflight.blockers(self._engine, offer, policy))

    def prepare(self, offer: Offer, policy: MigrationPolicy, ctx: Context) -> Ticket:
        """Return how this host is reached, and what it hasn't got yet. podman can't hold a name or an address.

        Raises:
            vhal.errors.AlreadyExists: The name or the id was taken since the examination.
        """
        loaded = Cargo.of(offer)
        taken = Answer.of(preflight.taken(self._engine, offer.machine, loaded))
        if not taken:
            raise taken.error(backend="containers", machine=offer.machine.name)
        live = cargo.memory_moves(offer, policy)
        wanted = () if live else (m.name for m in loaded.mounts if m.type == "volume" and not m.shared)
        place = Place(
            url=str(self._engine.url),
            podman_id=loaded.podman_id,
            name=offer.machine.name,
            epoch=loaded.epoch + 1,
            image=loaded.image,
            image_absent=image_transfer.absent(self._engine.api, loaded.image),
            absent_volumes=tuple(name for name in wanted if not self._engine.api.volumes.exists(name)),
            cpus=loaded.cpus,
            memory=loaded.memory,
        )
        self._steps.end(offer.machine.id)
        self._steps.begin(offer.machine.id, _ARRIVES if live else _IS_MADE)
        return Ticket(
            host_uuid=self._engine.host_id,
            machine_id=offer.machine.id,
            state=offer.state,
            payload=FrozenDict(place.model_dump(mode="json")),
        )

    def transfer(self, offer: Offer, ticket: Ticket, policy: MigrationPolicy, ctx: Context) -> Transfer:
        """Send it."""
        if cargo.memory_moves(offer, policy):
            sending = Sending(self._engine, self._inventory, self._records, offer, ticket, policy)
            with self._steps.meaning(offer.machine.id, _HALTS):
                return sending.run(ctx)
        return ColdSending(self._engine, self._inventory, offer, ticket, policy).run(ctx)

    def commit(self, ticket: Ticket, ctx: Context) -> MachineInfo:
        """Take it over, in the state it was offered in."""
        info = self._ends.commit(ticket)
        self._steps.end(ticket.machine_id)
        return info

    def cancel(self, ticket: Ticket, ctx: Context) -> None:
        """Leave nothing of it here. Never touches a machine that isn't the ticket's, or that runs."""
        self._ends.cancel(ticket)
        self._steps.end(ticket.machine_id)

    def release(self, offer: Offer, ctx: Context) -> None:
        """Leave nothing of it here, except what the destination uses."""
        with self._steps.meaning(offer.machine.id, _LEAVES):
            self._ends.release(offer)

    def resume(self, offer: Offer, ctx: Context) -> None:
        """Bring it back to the state it was offered in."""
        with self._steps.meaning(offer.machine.id, _HALTS):
            self._ends.resume(offer)
