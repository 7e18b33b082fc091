"""How a simulated machine moves: the five steps, with the rounds of ``physics`` as its transfer.

While it is on its way the destination holds a place in state ``migrating``, with room claimed. The guest stands still
from the last round on; it goes on at ``commit``, or at ``resume`` on the source.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vhal.driver.answer import Answer, Blocker, Level
from vhal.driver.context import Context, Progress
from vhal.driver.event import EventKind
from vhal.driver.migration import MigrationPolicy, Offer, Ticket, Transfer
from vhal.errors import AlreadyExists, EngineError, InsufficientResources, NotFound
from vhal.spec.frozen import FrozenDict
from vhal.spec.machine import MachineInfo
from vhal.spec.state import MachineState
from vhal.spec.units import Bytes
from vhal_mock import physics
from vhal_mock.host import SimHost, SimMachine

if TYPE_CHECKING:
    from vhal_mock.driver import MockDriver


class MockMigration:
    """The migration steps of one host."""

    def __init__(self, driver: MockDriver) -> None:
        self._driver = driver
        self._host = driver.host

    def offer(self, id: str, policy: MigrationPolicy) -> Offer:
        """Say what would move."""
        with self._host.lock:
            info = self._driver.inspect(id)
        moving = info.state if policy.live or info.state is not MachineState.RUNNING else MachineState.STOPPED
        return Offer(
            backend="mock",
            host_uuid=self._host.uuid,
            machine=info,
            state=moving,
            payload=FrozenDict({"world": self._host.world.name, "host": self._host.model.name}),
        )

    def examine(self, offer: Offer, policy: MigrationPolicy) -> Answer:
        """Look at name, world and room."""
        with self._host.lock:
            return Answer.of(self._blockers(offer))

    def prepare(self, offer: Offer, policy: MigrationPolicy, ctx: Context) -> Ticket:
        """Hold name and room."""
        ticket = Ticket(
            host_uuid=self._host.uuid,
            machine_id=offer.machine.id,
            state=offer.state,
            payload=FrozenDict({"host": self._host.model.name}),
        )
        with self._host.lock:
            held = self._host.machines.get(offer.machine.id)
            if held is not None and held.arriving:
                return ticket
            answer = Answer.of(self._blockers(offer))
            if not answer:
                raise answer.error()
            machine = self._original(offer)
            active = offer.state is not MachineState.STOPPED
            self._host.add(
                SimMachine(
                    id=machine.id,
                    spec=machine.spec,
                    options=machine.options,
                    state=MachineState.MIGRATING if active else MachineState.STOPPED,
                    cpus=machine.cpus,
                    memory=machine.memory,
                    epoch=machine.epoch + 1,
                    booted_at_s=machine.booted_at_s,
                    guest=machine.guest,
                    arriving=True,
                )
            )
        return ticket

    def transfer(self, offer: Offer, ticket: Ticket, policy: MigrationPolicy, ctx: Context) -> Transfer:
        """Send the memory in rounds; the guest stands still in the last one."""
        machine = self._host.machines.get(offer.machine.id)
        if machine is None:
            raise NotFound(f"there is no machine {offer.machine.name!r} on host {self._host.model.name!r}")
        clock = self._host.world.clock
        clock.spend(physics.SETUP_S, ctx)
        if offer.state is MachineState.STOPPED:
            return Transfer(setup_s=physics.SETUP_S, elapsed_s=physics.SETUP_S)
        bandwidth = float(min(self._link(ticket), policy.bandwidth or self._link(ticket)))
        running = offer.state is MachineState.RUNNING
        begun, sent, downtime = clock.now_s, 0, 0.0
        last = physics.Round(0, 0, 0.0, machine.memory, last=False)
        for last in physics.rounds(
            machine.memory,
            float(machine.options.dirty_rate) if running else 0.0,
            int(machine.memory * machine.options.working_set),
            bandwidth,
            downtime_limit_s=policy.max_downtime_s or physics.DOWNTIME_LIMIT_S,
            auto_converge=policy.auto_converge,
            post_copy=policy.post_copy,
        ):
            if last.last:
                with self._host.lock:
                    if machine.state not in (offer.state, MachineState.MIGRATING):
                        raise EngineError(f"machine {offer.machine.name!r} became {machine.state} on its way")
                    self._host.turn(machine, MachineState.MIGRATING)
                downtime = last.seconds
            clock.spend(last.seconds, ctx)
            sent += last.sent
            ctx.report(
                Progress("transfer", done=sent, total=sent + last.left, rate=int(bandwidth), iteration=last.number)
            )
        if not last.last:
            raise EngineError(
                f"the guest writes faster than its memory can be sent; {Bytes(last.left)} are left after "
                f"{last.number} rounds",
                hint="allow a longer downtime, auto_converge or post_copy",
            )
        return Transfer(
            setup_s=physics.SETUP_S,
            elapsed_s=physics.SETUP_S + clock.now_s - begun,
            downtime_s=downtime if running else 0.0,
            transferred=Bytes(sent),
            iterations=last.number,
            dirty_rate=machine.options.dirty_rate,
        )

    def commit(self, ticket: Ticket, ctx: Context) -> MachineInfo:
        """Let it go on here."""
        with self._host.lock:
            machine = self._host.machines.get(ticket.machine_id)
            if machine is None:
                raise NotFound(f"nothing was prepared for machine {ticket.machine_id!r}")
            if machine.arriving:
                machine.arriving = False
                self._host.turn(machine, ticket.state)
                self._host.tell(EventKind.MIGRATED_IN, machine)
            return self._driver.inspect(machine.id)

    def cancel(self, ticket: Ticket, ctx: Context) -> None:
        """Give up the place."""
        with self._host.lock:
            machine = self._host.machines.get(ticket.machine_id)
            if machine is not None and machine.arriving:
                self._host.remove(machine)

    def release(self, offer: Offer, ctx: Context) -> None:
        """Remove it here."""
        with self._host.lock:
            machine = self._host.machines.get(offer.machine.id)
            if machine is not None and machine.epoch <= offer.machine.epoch:
                self._host.remove(machine)
                self._host.tell(EventKind.MIGRATED_OUT, machine)

    def resume(self, offer: Offer, ctx: Context) -> None:
        """Let it go on here, as if nothing had been."""
        with self._host.lock:
            machine = self._host.machines.get(offer.machine.id)
            if machine is not None and machine.state is MachineState.MIGRATING:
                self._host.turn(machine, offer.state)

    def _original(self, offer: Offer) -> SimMachine:
        # Without the source's lock: a migration the other way holds that one and waits for ours.
        machine = self._peer(str(offer.payload["host"])).machines.get(offer.machine.id)
        if machine is None:
            raise NotFound(f"there is no machine {offer.machine.name!r} on host {offer.payload['host']!r}")
        return machine

    def _peer(self, name: str) -> SimHost:
        return self._host.world.host(name)

    def _link(self, ticket: Ticket) -> int:
        return min(self._host.model.bandwidth, self._peer(str(ticket.payload["host"])).model.bandwidth)

    def _blockers(self, offer: Offer) -> list[Blocker]:
        host, machine, found = self._host, offer.machine, []
        here = repr(host.model.name)
        if offer.payload.get("world") != host.world.name:
            found.append(
                Blocker("other-world", f"host {here} is in another world", "choose a host of the same", Level.HOST)
            )
        if machine.name in host.by_name or machine.id in host.machines:
            found.append(
                Blocker(
                    "name-taken",
                    f"there is a machine {machine.name!r} on host {here}",
                    "delete or rename one of them",
                    raises=AlreadyExists,
                )
            )
        # A machine that runs now needs room, even if it is to be stopped for the move: it is started here again.
        active = offer.state.active or machine.state.active
        shortage = host.shortage(machine.cpus, machine.memory) if active else None
        if shortage:
            found.append(
                Blocker(
                    "no-room", f"host {here} is full: {shortage}", "make room there", Level.HOST, InsufficientResources
                )
            )
        return found
