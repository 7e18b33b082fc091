"""One machine on its way from one simulated host to another: steps of ``physics``, over links of ``network``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from vhal.driver.context import Context, Progress
from vhal.driver.migration import MigrationPolicy, Offer, Transfer
from vhal.errors import EngineError, HostUnreachable, OperationAborted, OperationTimeout
from vhal.spec.machine import MachineKind
from vhal.spec.state import MachineState
from vhal.spec.units import Bytes
from vhal_mock import usage
from vhal_mock.blockers import DOWNTIME_S
from vhal_mock.creation import volumes
from vhal_mock.physics import BlockCopy, Costs, Dirtying, PreCopy, Step, StopAndCopy

if TYPE_CHECKING:
    from vhal_mock.driver import MockDriver
    from vhal_mock.host import SimHost
    from vhal_mock.machine import SimMachine

COSTS = Costs()


class Copy(Protocol):
    """Something that moves in steps: see :mod:`vhal_mock.physics`."""

    iterations: int
    sent: int
    downtime_s: float

    @property
    def left(self) -> int:
        """Bytes that are still to be sent."""

    @property
    def over(self) -> bool:
        """Whether there is no further step."""

    @property
    def complete(self) -> bool:
        """Whether it is all on the other side."""

    @property
    def throttle(self) -> float:
        """The share of its time that the guest is held back."""

    def next(self) -> Step:
        """Return what is to be done now."""

    def done(self, seconds: float, share: float = 1.0, sent: int | None = None) -> None:
        """Take note that it was done."""


class Journey:
    """A transfer, from its beginning until all is there. The world's lock is held, and let go while time passes.

    Args:
        driver: The source's.
        target: The host it goes to, which holds a place.
        machine: The source's.
        offer: What was offered.
        policy: How it shall go.
        ctx: Deadline, abort and progress.
    """

    def __init__(
        self,
        driver: MockDriver,
        target: SimHost,
        machine: SimMachine,
        offer: Offer,
        policy: MigrationPolicy,
        ctx: Context,
    ) -> None:
        self._driver, self._source, self._target = driver, driver.host, target
        self._machine, self._offer, self._policy, self._ctx = machine, offer, policy, ctx
        self._world = driver.world
        self._begun_s = self._world.clock.now_s
        self._pass = 0
        self._switched_s: float | None = None
        self._resumed_s: float | None = None
        self._deceived = False

    def go(self) -> Transfer:
        """Send it all.

        Raises:
            vhal.errors.VhalError: It didn't arrive. The guest stands still on the source if it had come so far.
        """
        self._disks()
        memory = self._memory()
        if memory is None:
            self._world.clock.spend(COSTS.setup_s, self._ctx)
            self._still_there()
            self._visit("migration.transfer.arrived")
            now_s = self._world.clock.now_s
            return Transfer(setup_s=COSTS.setup_s, elapsed_s=now_s - self._begun_s, transferred=Bytes(self._disk_bytes))
        while not memory.over:
            self._step(memory)
        if not memory.complete:
            raise EngineError(
                f"the guest writes faster than its memory can be sent; {Bytes(memory.left)} are left after "
                f"{memory.iterations} rounds",
                hint="allow a longer downtime, auto_converge or post_copy",
            )
        if self._resumed_s is None:
            self._gpus()
            self._visit("migration.transfer.arrived")
        now_s = self._world.clock.now_s
        still_s = 0.0 if self._switched_s is None else (self._resumed_s or now_s) - self._switched_s
        return Transfer(
            setup_s=COSTS.setup_s,
            elapsed_s=now_s - self._begun_s,
            downtime_s=still_s if self._offer.state is MachineState.RUNNING else 0.0,
            transferred=Bytes(self._disk_bytes + memory.sent),
            iterations=memory.iterations,
            dirty_rate=Bytes(int(self._machine.options.dirty_rate * (1 - memory.throttle))),
        )

    def abort(self) -> None:
        """Ask for its end, as whoever began it can."""
        self._ctx.abort()

    def _memory(self) -> Copy | None:
        """Return how its memory moves; None if it has none now."""
        machine, policy, options = self._machine, self._policy, self._machine.options
        if self._offer.state is MachineState.STOPPED:
            return None
        if machine.spec.kind is MachineKind.CONTAINER:
            return StopAndCopy(machine.resident)
        rate = float(options.dirty_rate) if self._offer.state is MachineState.RUNNING else 0.0
        touched = int(machine.memory * options.touched)
        return PreCopy(
            machine.memory,
            touched,
            Dirtying(rate, min(touched, int(machine.memory * options.working_set)), options.pattern),
            limit=None if policy.bandwidth is None else float(policy.bandwidth),
            downtime_limit_s=policy.max_downtime_s or DOWNTIME_S,
            auto_converge=policy.auto_converge,
            post_copy=policy.post_copy and rate > 0,
            streams=policy.parallel,
            costs=COSTS,
        )

    def _disks(self) -> None:
        """Send the disks that only the source has, before the memory."""
        self._disk_bytes = 0
        wanted = volumes(self._machine.spec)
        if wanted:
            self._visit("migration.transfer.disk")
        rate = float(self._machine.options.write) if self._offer.state is MachineState.RUNNING else 0.0
        for size in wanted.values():
            copy = BlockCopy(
                size, rate, limit=None if self._policy.bandwidth is None else float(self._policy.bandwidth)
            )
            while not copy.over:
                step = copy.next()
                seconds = self._send(step, self._ctx)
                copy.done(seconds, self._activity(seconds))
                self._report("disk", copy, seconds, step)
            if not copy.complete:
                raise EngineError(
                    "the guest writes to its disk faster than it can be sent",
                    hint="raise the bandwidth, or move it with live = false",
                )
            self._disk_bytes += copy.sent

    def _step(self, memory: Copy) -> None:
        step = memory.next()
        if step.still and self._switched_s is None:
            self._halt()
        if step.remote and self._resumed_s is None:
            self._let_go()
        while step.number > self._pass:
            # One by one, also where two begin at once: a fault may wait for each.
            self._pass += 1
            if not step.remote:
                self._world.log.add(
                    "round", self._source.name, self._machine.name, f"{self._pass}: {Bytes(memory.left)} left"
                )
                self._visit(f"migration.transfer.round={self._pass}")
        try:
            # Nobody can call it off any more once it runs on the other side.
            seconds = self._send(step, None if step.remote else self._ctx)
        except BaseException:
            if step.remote:
                self._lose()
            raise
        memory.done(seconds, self._activity(seconds))
        self._report("transfer", memory, seconds, step)

    def _send(self, step: Step, ctx: Context | None) -> float:
        """Carry out a step and return how long it took."""
        took = step.fixed_s
        if step.still or step.number == 0:
            took += self._world.network.latency_s(self._source.name, self._target.name)
        self._world.clock.spend(took, ctx)
        took += self._world.network.send(self._source.name, self._target.name, step.bytes, step.most, ctx)
        self._still_there()
        return took

    def _still_there(self) -> None:
        """Return if both hosts and the machine are as they should be in the middle of it.

        Raises:
            vhal.errors.VhalError: One isn't.
        """
        for host in (self._source, self._target):
            if host.trouble.silent:
                host.trouble.check()
        if self._deceived:
            return
        machine, place = self._machine, self._target.machines.get(self._machine.id)
        if self._source.machines.get(machine.id) is not machine or machine.state not in (
            self._offer.state,
            MachineState.MIGRATING,
        ):
            raise EngineError(f"machine {machine.name!r} became {machine.state} on its way", hint="look at its host")
        if place is None or (self._resumed_s is not None and not place.state.active):
            raise EngineError(f"machine {machine.name!r} is gone at the destination", hint="look at both hosts")

    def _halt(self) -> None:
        """Let the guest stand still on the source."""
        self._still_there()
        self._switched_s = self._world.clock.now_s
        self._source.turn(self._machine, MachineState.MIGRATING)
        self._visit("migration.transfer.switch")
        self._still_there()

    def _let_go(self) -> None:
        """Let it run on the destination, with memory that is still on the source."""
        self._resumed_s = self._world.clock.now_s
        place = self._target.machines[self._machine.id]
        quirks = self._source.model.quirks | self._target.model.quirks
        if "post-copy-parallel-loses" in quirks and self._policy.parallel > 1:
            # As QEMU before 10.1: it dies there, and the engine says that all is well.
            self._target.receive(place, MachineState.CRASHED)
            self._deceived = True
            return
        self._target.receive(place, self._offer.state)
        try:
            self._visit("migration.transfer.post_copy")
        except (OperationAborted, OperationTimeout, HostUnreachable):
            # Nobody can call it off any more, and it needs no daemon: only the hosts must see each other.
            if not self._world.network.reaches(self._source.name, self._target.name):
                self._lose()
                raise
        except BaseException:
            self._lose()
            raise

    def _lose(self) -> None:
        """Let it be lost: a part of its memory was on each host, and neither can go on without the other's."""
        for host in (self._source, self._target):
            found = host.machines.get(self._machine.id)
            if found is not None and found.state.active:
                host.trouble.crash_machine(found, "its memory was on two hosts")

    def _gpus(self) -> None:
        """Send the memory of its vGPUs, while it stands still."""
        size = sum(part.memory for part in self._machine.parts)
        if size:
            self._world.network.send(self._source.name, self._target.name, size, None, self._ctx)
            self._still_there()

    def _activity(self, seconds: float) -> float:
        """Return what part of what it writes at full load the guest wrote in the last ``seconds``."""
        rate = float(self._machine.options.dirty_rate)
        if not rate:
            return 0.0
        now_s = self._world.clock.now_s
        return usage.share(self._source) * usage.dirtied(self._machine, now_s - seconds, now_s) / rate

    def _visit(self, point: str) -> None:
        # Both hosts are in it, so a fault may strike either; one that names none strikes the source.
        for host in (self._source, self._target):
            host.visit(point, self._machine.name, self._ctx)

    def _report(self, phase: str, copy: Copy, seconds: float, step: Step) -> None:
        rate = int(step.bytes / seconds) if seconds > 0 and step.bytes else None
        self._ctx.report(
            Progress(phase, done=copy.sent, total=copy.sent + copy.left, rate=rate, iteration=copy.iterations)
        )
