"""What befalls a simulated host: it crashes, is cut off, hangs, has slow links, a full disk, too little memory.

Each lasts until it is ended, or so many virtual seconds. What a call finds then is what it would find in a real fleet:
a host that can't be reached says nothing, also not that it will never answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from vhal.driver.event import EventKind
from vhal.errors import HostUnreachable, InvalidSpec
from vhal.spec.state import MachineState

if TYPE_CHECKING:
    from vhal.driver.context import Context
    from vhal_mock.clock import Alarm, Signal
    from vhal_mock.host import SimHost
    from vhal_mock.machine import SimMachine

PATIENCE_S = 30.0
"""Virtual seconds after which a call without a deadline gives up a host that doesn't answer: libvirt's keepalive of
5 s, sent six times."""


class Trouble:
    """The troubles of one host. Everything is done with the world's lock held."""

    __slots__ = ("_crashed", "_ends", "_host", "_waiting", "cut", "disk_full", "down", "hung", "slow", "troubled")

    def __init__(self, host: SimHost) -> None:
        self._host = host
        self.down = False
        """Whether it has no power."""
        self.cut = False
        """Whether it can't be reached."""
        self.hung = False
        """Whether its engine's daemon doesn't answer."""
        self.slow = 1.0
        """What its links carry of what they did."""
        self.disk_full = False
        self.troubled = False
        """Whether a call must look closer before it begins."""
        self._crashed: list[SimMachine] = []
        self._waiting: list[Signal] = []
        self._ends: dict[str, Alarm] = {}

    @property
    def silent(self) -> bool:
        """Whether nobody hears from it."""
        return self.down or self.cut

    def check(self, ctx: Context | None = None) -> None:
        """Return if the host answers; wait while its daemon hangs.

        Raises:
            vhal.errors.HostUnreachable: It is down or cut off, or hangs and the call has no deadline.
            vhal.errors.OperationTimeout: It hangs, and the call's deadline has passed.
        """
        name = self._host.name
        if self.hung and not self.silent:
            self._wait(ctx)
        if self.down:
            raise HostUnreachable(f"host {name!r} is down", hint="wait until it is up again; its machines are stopped")
        if self.cut:
            raise HostUnreachable(f"host {name!r} can't be reached", hint="mend the network; its machines may run")

    def _wait(self, ctx: Context | None) -> None:
        from vhal_mock.clock import Signal

        clock, name = self._host.world.clock, self._host.name
        signal = Signal(clock)
        self._waiting.append(signal)
        limit = None
        if ctx is None or ctx.left_s is None:
            error = HostUnreachable(f"host {name!r} doesn't answer", hint="restart its engine's daemon")
            limit = clock.at(clock.now_s + PATIENCE_S, lambda: signal.set(error))
        try:
            clock.wait(signal, ctx)
        finally:
            clock.cancel(limit)
            self._waiting.remove(signal)

    def crash(self, seconds: float | None = None) -> None:
        """Take its power away: what runs there is gone, what was saved and on disk stays.

        Args:
            seconds: Until it is up again; None for :meth:`recover`.
        """
        host = self._host
        with host.lock:
            if self.down:
                return
            host.world.log.add("host-crash", host.name)
            self.down = self.troubled = True
            host.world.network.cut(host.name)
            for machine in list(host.machines.values()):
                if machine.arriving:
                    host.give_up(machine)
                elif machine.state.active:
                    host.turn(machine, MachineState.CRASHED)
                    machine.boot = None
                    self._crashed.append(machine)
            self._answer()
            self._later("down", seconds, self._up)

    def partition(self, seconds: float | None = None) -> None:
        """Cut it off from callers and from other hosts. Its machines go on."""
        host = self._host
        with host.lock:
            host.world.log.add("partition", host.name)
            self.cut = self.troubled = True
            host.world.network.cut(host.name)
            self._answer()
            self._later("cut", seconds, self._mend)

    def hang(self, seconds: float | None = None) -> None:
        """Let its engine's daemon not answer. Its machines go on."""
        with self._host.lock:
            self._host.world.log.add("hang", self._host.name)
            self.hung = self.troubled = True
            self._later("hung", seconds, self._thaw)

    def slow_down(self, factor: float, seconds: float | None = None) -> None:
        """Let its links carry only ``factor`` of what they did.

        Args:
            factor: More than 0, and at most 1. A host that nothing reaches is :meth:`partition`.
            seconds: How long; None for until :meth:`recover`.

        Raises:
            vhal.errors.InvalidSpec: The factor is none.
        """
        if not 0 < factor <= 1:
            raise InvalidSpec(
                f"links can't carry {factor:g} of what they did",
                problems=[("factor", "must be more than 0, and at most 1")],
                hint="partition() lets nothing reach a host",
            )
        with self._host.lock:
            self._host.world.log.add("slow-link", self._host.name, detail=f"{factor:g}")
            self._carry(factor)
            self._later("slow", seconds, self._speed_up)

    def fill_disk(self, seconds: float | None = None) -> None:
        """Let its disk take nothing more."""
        with self._host.lock:
            self._host.world.log.add("disk-full", self._host.name)
            self.disk_full = True
            self._later("disk", seconds, self._empty_disk)

    def recover(self) -> None:
        """End all troubles. Machines that crashed with it stay crashed; they can be started."""
        with self._host.lock:
            for alarm in self._ends.values():
                self._host.world.clock.cancel(alarm)
            self._ends.clear()
            for end in (self._up, self._mend, self._thaw, self._speed_up, self._empty_disk):
                end()

    def crash_machine(self, machine: SimMachine, detail: str) -> None:
        """Let one machine crash. Does nothing if it isn't active."""
        if machine.state.active and not machine.arriving:
            self._host.turn(machine, MachineState.CRASHED)
            machine.boot = None
            self._host.tell(EventKind.CRASHED, machine, detail)

    def run_out_of_memory(self) -> None:
        """End machines until what the others really use fits: the largest first, as a kernel's OOM killer does."""
        host = self._host
        active = [machine for machine in host.machines.values() if machine.state.active and not machine.arriving]
        used = sum(machine.resident for machine in active)
        while used > host.model.memory:
            victim = max(active, key=lambda machine: (machine.resident, machine.name))
            active.remove(victim)
            used -= victim.resident
            self.crash_machine(victim, "out of memory")

    def _up(self) -> None:
        if self.down:
            self.down = False
            self._host.world.log.add("host-up", self._host.name)
            self._settle()
            crashed, self._crashed = self._crashed, []
            for machine in crashed:
                if self._host.machines.get(machine.id) is machine:
                    self._host.tell(EventKind.CRASHED, machine, "its host lost power")

    def _mend(self) -> None:
        if self.cut:
            self.cut = False
            self._host.world.log.add("mended", self._host.name)
            self._settle()

    def _thaw(self) -> None:
        if self.hung:
            self.hung = False
            self._host.world.log.add("answers", self._host.name)
            self._answer()
            self._settle()

    def _speed_up(self) -> None:
        if self.slow != 1.0:
            self._carry(1.0)

    def _carry(self, factor: float) -> None:
        self._host.count()
        self.slow = factor
        self._host.world.network.slow(self._host.name, factor)

    def _empty_disk(self) -> None:
        self.disk_full = False

    def _answer(self) -> None:
        for signal in self._waiting:
            signal.set()

    def _settle(self) -> None:
        self.troubled = self.silent or self.hung
        if not self.silent:
            self._host.world.network.mend(self._host.name)

    def _later(self, trouble: str, seconds: float | None, end: Callable[[], None]) -> None:
        clock = self._host.world.clock
        clock.cancel(self._ends.pop(trouble, None))
        if seconds is not None:
            self._ends[trouble] = clock.at(clock.now_s + seconds, end)
