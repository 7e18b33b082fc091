"""How a simulated machine moves: the five steps, with the model of ``physics`` as its transfer.

While it is on its way the destination holds a place, with room claimed. The guest stands still from the switch on; it
goes on at ``commit``, or at ``resume`` on the source. Both are ``migrating`` while a transfer is under way, and
``paused`` before and after it, as engines show what is half arrived. With post-copy it runs on the destination
from the switch on, and from then on nothing can bring it back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vhal.driver.answer import Answer
from vhal.driver.context import Context
from vhal.driver.event import EventKind
from vhal.driver.migration import MigrationPolicy, Offer, Ticket, Transfer
from vhal.errors import InvalidState, NotFound
from vhal.spec.frozen import FrozenDict
from vhal.spec.machine import MachineInfo
from vhal.spec.state import MachineState
from vhal_mock.blockers import refusing
from vhal_mock.creation import volumes
from vhal_mock.machine import SimMachine
from vhal_mock.transfer import Journey

if TYPE_CHECKING:
    from vhal_mock.driver import MockDriver
    from vhal_mock.host import SimHost


class MockMigration:
    """The migration steps of one host."""

    def __init__(self, driver: MockDriver) -> None:
        self._driver = driver
        self._host = driver.host

    def offer(self, id: str, policy: MigrationPolicy) -> Offer:
        """Say what would move."""
        host = self._host
        with host.lock:
            self._driver.begin("migration.offer", id)
            machine = self._driver.find(id)
            info = self._driver.info(machine)
            moving = info.state if policy.live or info.state is not MachineState.RUNNING else MachineState.STOPPED
            offer = Offer(
                backend="mock",
                host_uuid=host.uuid,
                machine=info,
                state=moving,
                payload=FrozenDict(
                    world=host.world.name,
                    host=host.name,
                    bandwidth=host.model.bandwidth,
                    features=sorted(host.model.cpu_features),
                    versions=dict(host.model.versions),
                    quirks=sorted(host.model.quirks),
                    gpus=[(host.gpus[part.gpu].model.scheme, part.memory) for part in machine.parts],
                ),
            )
            self._driver.end("migration.offer", id)
            return offer

    def examine(self, offer: Offer, policy: MigrationPolicy) -> Answer:
        """Look at the world, name, room, processors, engine and GPUs."""
        with self._host.lock:
            self._driver.begin("migration.examine", offer.machine.name)
            answer = Answer.of(refusing(self._host, offer, policy))
            self._driver.end("migration.examine", offer.machine.name)
            return answer

    def prepare(self, offer: Offer, policy: MigrationPolicy, ctx: Context) -> Ticket:
        """Hold name and room."""
        host, name = self._host, offer.machine.name
        ticket = Ticket(
            host_uuid=host.uuid,
            machine_id=offer.machine.id,
            state=offer.state,
            payload=FrozenDict(host=host.name, machine=name),
        )
        with host.lock:
            self._driver.begin("migration.prepare", name, ctx)
            held = host.machines.get(offer.machine.id)
            if held is not None and held.arriving:
                return ticket
            answer = Answer.of(refusing(host, offer, policy))
            if not answer:
                raise answer.error()
            place = self._original(offer).place_for()
            place.state = MachineState.STOPPED if offer.state is MachineState.STOPPED else MachineState.PAUSED
            host.make_volumes(volumes(place.spec))
            host.add(place)
            try:
                host.visit("migration.prepare.after_claim", name, ctx)
                self._driver.end("migration.prepare", name, ctx)
            except BaseException:
                # All or nothing: an engine gives up a place whose connection broke before anybody knew of it.
                host.give_up(place)
                raise
        return ticket

    def transfer(self, offer: Offer, ticket: Ticket, policy: MigrationPolicy, ctx: Context) -> Transfer:
        """Send disks and memory; the guest stands still from the switch on."""
        host = self._host
        with host.lock:
            self._driver.begin("migration.transfer", offer.machine.id, ctx)
            machine = host.machines.get(offer.machine.id)
            if machine is None:
                raise NotFound(f"there is no machine {offer.machine.name!r} on host {host.name!r}")
            target = host.world.host(str(ticket.payload["host"]))
            # Only now, and only for so long: what isn't decided then stands still on both, as engines show it.
            self._show(target, machine, MachineState.PAUSED, MachineState.MIGRATING)
            journey = Journey(self._driver, target, machine, offer, policy, ctx)
            host.world.journeys[machine.id] = journey
            try:
                sent = journey.go()
            finally:
                del host.world.journeys[machine.id]
                self._show(target, machine, MachineState.MIGRATING, MachineState.PAUSED)
            self._driver.end("migration.transfer", offer.machine.id, ctx)
            return sent

    def commit(self, ticket: Ticket, ctx: Context) -> MachineInfo:
        """Let it go on here."""
        with self._host.lock:
            self._driver.begin("migration.commit", ticket.machine_id, ctx)
            machine = self._host.machines.get(ticket.machine_id)
            if machine is None:
                raise NotFound(f"nothing was prepared for machine {ticket.machine_id!r}")
            self._host.receive(machine, ticket.state)
            info = self._driver.info(machine)
            self._driver.end("migration.commit", ticket.machine_id, ctx)
            return info

    def cancel(self, ticket: Ticket, ctx: Context) -> None:
        """Give up the place."""
        with self._host.lock:
            self._driver.begin("migration.cancel", ticket.machine_id, ctx)
            machine = self._host.machines.get(ticket.machine_id)
            if machine is not None:
                self._host.give_up(machine)
            self._driver.end("migration.cancel", str(ticket.payload["machine"]), ctx)

    def release(self, offer: Offer, ctx: Context) -> None:
        """Remove it here."""
        with self._host.lock:
            self._driver.begin("migration.release", offer.machine.id, ctx)
            machine = self._host.machines.get(offer.machine.id)
            if machine is not None and machine.epoch <= offer.machine.epoch:
                if machine.state is MachineState.RUNNING:
                    raise InvalidState(
                        f"machine {machine.spec.name!r} runs on host {self._host.name!r}: it never left",
                        hint="look at both hosts before acting",
                        machine=machine.spec.name,
                    )
                machine.end_programs()  # who started them is connected to this host
                self._host.remove(machine)
                self._host.drop_volumes(list(volumes(machine.spec)))
                self._host.tell(EventKind.MIGRATED_OUT, machine)
            self._driver.end("migration.release", offer.machine.name, ctx)

    def resume(self, offer: Offer, ctx: Context) -> None:
        """Let it go on here, as if nothing had been."""
        with self._host.lock:
            self._driver.begin("migration.resume", offer.machine.id, ctx)
            machine = self._host.machines.get(offer.machine.id)
            if machine is not None and machine.state is MachineState.PAUSED and not machine.arriving:
                self._host.turn(machine, offer.state)
            self._driver.end("migration.resume", offer.machine.id, ctx)

    def _show(self, target: SimHost, machine: SimMachine, before: MachineState, after: MachineState) -> None:
        for host in (self._host, target):
            found = host.machines.get(machine.id)
            if found is not None and found.state is before:
                host.turn(found, after)

    def _original(self, offer: Offer) -> SimMachine:
        source = self._host.world.host(str(offer.payload["host"]))
        machine = source.machines.get(offer.machine.id)
        if machine is None:
            raise NotFound(f"there is no machine {offer.machine.name!r} on host {source.name!r}")
        return machine
