"""The memory of a running VM on its way: pre-copy as QEMU does it, with auto-converge and post-copy.

Passes over the memory send what was written during the one before (Clark et al., "Live Migration of Virtual Machines",
NSDI 2005, section 3.2), until what is left can be sent while the guest stands still. How QEMU decides that is from the
source of its release 7.2:

- ``migration/migration.c``: ``migration_update_counters`` measures the bandwidth in windows of ``BUFFER_DELAY`` = 100
  ms; times the downtime limit (``DEFAULT_MIGRATE_SET_DOWNTIME`` = 300 ms) it is the threshold, 0 before the first
  window is over. ``migration_iteration_run`` compares what is left with it all through a pass, not at its end.
- ``migration/ram.c``: ``ram_save_pending`` fetches the dirty log as soon as less than the threshold is left of a pass,
  so that the next pass begins with that rest; if less is left even then, the guest is stopped. A pass that goes on is
  looked at again when the window's bytes are sent (a limit is a tenth of it every 100 ms), or after ``MAX_WAIT`` = 50
  ms.
- ``save_zero_page``: a zero page is a header of 8 bytes and 1 byte. What is left counts it as a whole page.
- ``migration_completion``, ``postcopy_start``: the limit on the bandwidth is lifted for the last step and for
  post-copy.
- ``migration_trigger_throttle``: once in more than 1 s, if more than 50 %
  (``DEFAULT_MIGRATE_THROTTLE_TRIGGER_THRESHOLD``) of what was sent was dirtied meanwhile, for the second time since the
  guest was last slowed down, it is slowed down: by 20 % at first, then 10 % more each time, 99 % at most.

Nothing here knows links or clocks: whoever asks for a step says afterwards how long it took. Only sums, products and
quotients are used, which IEEE 754 rounds alike everywhere.
"""

from __future__ import annotations

from enum import Enum, auto

from vhal_mock.physics.costs import Costs
from vhal_mock.physics.dirtying import Dirtying
from vhal_mock.physics.step import Step

DOWNTIME_LIMIT_S = 0.3
WINDOW_S = 0.1
MAX_WAIT_S = 0.05
PERIOD_S = 1.0
PAGE = 4096
ZERO_PAGE = 9
"""Bytes that a page of zeros costs."""
MOST_THROTTLED = 99
"""Per cent."""
PROBE = 1 << 20
"""Bytes of a first step, when nothing is known about the bandwidth."""
MOST_PASSES = 1000
"""QEMU goes on for ever; a simulation should end."""


class _Phase(Enum):
    SETUP = auto()
    COPY = auto()
    STOP = auto()
    SWITCH = auto()
    PULL = auto()
    OVER = auto()


class PreCopy:
    """One VM's memory on its way.

    Ask for the :meth:`next` step, carry it out, say that it's :meth:`done`, until it's :attr:`over`. Not for several
    threads.

    Args:
        memory: Bytes of the guest.
        touched: Of these, how many aren't zero; None for all. Those come first, then the zero pages.
        dirty: What the guest writes; a paused one nothing.
        limit: Bytes a second that the policy allows; None for no limit.
        downtime_limit_s: How long the guest may stand still, for its memory.
        auto_converge: Slow the guest down if it writes too fast.
        throttle_initial: By how much at first, as a share of its time.
        throttle_increment: By how much more each further time.
        post_copy: Switch after the first pass, if it doesn't converge by itself.
        streams: Connections that carry memory (QEMU: multifd).
        costs: What it takes besides.
    """

    def __init__(
        self,
        memory: int,
        touched: int | None = None,
        dirty: Dirtying | None = None,
        *,
        limit: float | None = None,
        downtime_limit_s: float = DOWNTIME_LIMIT_S,
        auto_converge: bool = False,
        throttle_initial: float = 0.2,
        throttle_increment: float = 0.1,
        post_copy: bool = False,
        streams: int = 1,
        costs: Costs | None = None,
    ) -> None:
        touched = memory if touched is None else touched
        if not 0 <= touched <= memory:
            raise ValueError(f"{touched} of {memory} bytes can't be touched")
        self.dirty = dirty or Dirtying()
        """Another rate may be set between steps; the area should stay."""
        self.limit = limit
        """May be set between steps."""
        self._hot = min(touched, self.dirty.working_set)  # touched, and written to all the time
        self._cold = touched - self._hot
        self._zero = memory - touched
        self._unseen = touched  # that the destination hasn't got any version of; those are sent before others
        self._downtime_limit_s = downtime_limit_s
        self._auto_converge = auto_converge
        self._percent = round(throttle_initial * 100), round(throttle_increment * 100)
        self._post_copy = post_copy
        self._demanded = False
        self._streams = streams
        self._costs = costs or Costs()
        self._phase = _Phase.SETUP
        self._step: Step | None = None
        self._planned = (0, 0)  # of its bytes of memory, those that aren't zero, and zero pages
        self._written = 0.0  # bytes, since the dirty log was last fetched
        self._window = (0, 0.0)  # bytes and seconds since the bandwidth was last measured
        self._threshold = 0.0
        self._period = (0.0, 0, 0)  # seconds, bytes sent and bytes dirtied since throttling was last thought about
        self._high = 0  # how often too much was dirtied
        self._throttled = 0
        self._before = memory
        self._stalled = 0
        self.bandwidth = 0.0
        """Bytes a second, as last measured; 0 before that."""
        self.iterations = 0
        """How often the dirty log was fetched, which is what QEMU counts."""
        self.sent = 0
        """Bytes so far."""
        self.elapsed_s = 0.0
        self.downtime_s = 0.0
        self.complete = False
        """Whether the machine is all on the other side. If it's over without, it didn't converge."""

    @property
    def left(self) -> int:
        """Bytes of memory that are still to be sent, zero pages counted as whole ones."""
        return self._hot + self._cold + self._zero

    @property
    def over(self) -> bool:
        """Whether there is no further step."""
        return self._phase is _Phase.OVER

    @property
    def throttle(self) -> float:
        """The share of its time that the guest is held back."""
        return self._throttled / 100

    @property
    def converges(self) -> bool:
        """Whether it looks like it will end.

        False once two passes in a row left no less than the one before, and the guest can't be slowed down further. A
        faster link can still change that.
        """
        return self._stalled < 2

    def next(self) -> Step:
        """Return what is to be done now: always the same until it's :meth:`done`."""
        if self._step is None:
            self._step = self._plan()
        return self._step

    def done(self, seconds: float, share: float = 1.0, sent: int | None = None) -> None:
        """Take note that the step was carried out.

        Args:
            seconds: How long it took, with its ``fixed_s``.
            share: Of that time, how much the guest had a CPU, 0 to 1; throttling not counted.
            sent: Bytes of it that were sent, if it was broken off; the rest comes with the next one.
        """
        step = self.next()
        self._step = None
        moved = step.bytes if sent is None else max(0, min(sent, step.bytes))
        self.sent += moved
        self.elapsed_s += seconds
        if step.still:
            self.downtime_s += seconds
        broken_off = moved < step.bytes
        if self._phase is _Phase.SETUP:
            self._phase = _Phase.COPY
            self.iterations = 1
        elif self._phase is _Phase.COPY:
            self._take(moved)
            self._written += self.dirty.rate * seconds * share * (1 - self.throttle)
            self._measure(moved, seconds)
            self._look()
        elif self._phase is _Phase.SWITCH:
            self._phase = _Phase.PULL
        else:
            self._take(moved)
            if not broken_off:
                self._hot = self._cold = self._zero = 0
                self._phase, self.complete = _Phase.OVER, True

    def switch(self) -> None:
        """Go over to post-copy after the step that is under way, unless the guest is being stopped already."""
        self._demanded = True

    def _plan(self) -> Step:
        costs, number = self._costs, self.iterations
        if self._phase is _Phase.SETUP:
            return Step(0, 0, costs.setup_s)
        if self._phase is _Phase.COPY:
            touched, zero = self._planned = self._portion()
            most = self._most(touched, self._streams)
            most = most if self.limit is None else min(most, self.limit)
            return Step(number, touched + _wire(zero), zero / costs.scan_rate, most, throttle=self.throttle)
        if self._phase is _Phase.SWITCH:
            return Step(number, 0, costs.switch_s, still=True)
        touched, zero = self._planned = self._hot + self._cold, self._zero
        scan_s, rest = zero / costs.scan_rate, touched + _wire(zero)
        if self._phase is _Phase.PULL:
            return Step(number, rest, scan_s, self._most(touched, 1), last=True, remote=True)
        if self._phase is _Phase.STOP:
            most = self._most(touched, self._streams)
            return Step(number, rest, costs.switch_s + scan_s, most, still=True, last=True, throttle=self.throttle)
        raise ValueError("it is over")

    def _most(self, touched: int, streams: int) -> float:
        """Return how many bytes a second of the next ``touched`` ones the two ends manage."""
        unseen = min(touched, self._unseen)
        seconds = unseen / self._costs.fill_rate + (touched - unseen) / self._costs.stream_rate
        return (touched / seconds if seconds else self._costs.stream_rate) * min(streams, self._costs.cpus)

    def _portion(self) -> tuple[int, int]:
        """Return how many bytes of touched memory and how many of zero pages go until QEMU looks again."""
        touched = self._hot + self._cold
        # A pass begins with what the one before has left over, and those are the first one's zero pages.
        if self._zero and (self.iterations > 1 or not touched):
            return 0, min(self._zero, self._until_it_looks(self._costs.scan_rate))
        rate = self.bandwidth
        if not rate and self._window[1] > 0:
            rate = self._window[0] / self._window[1]
        if not rate:
            return min(touched, PROBE if self.limit is None else _ceil(self.limit * WINDOW_S)), 0
        return min(touched, self._until_it_looks(rate)), 0

    def _until_it_looks(self, rate: float) -> int:
        """Return how many bytes go at some rate until QEMU looks again and there's something to see."""
        if not self._threshold:
            return max(PAGE, _ceil(rate * (WINDOW_S - self._window[1])))
        portion = max(PAGE, _ceil(rate * (MAX_WAIT_S if self.limit is None else WINDOW_S)))
        return portion * (int((self.left - self._threshold) / portion) + 1)

    def _take(self, moved: int) -> None:
        """Note that so many bytes of the step are on the other side."""
        touched, zero = self._planned
        now = min(touched, moved)
        if now:
            hot = now * self._hot // (self._hot + self._cold)
            self._hot -= hot
            self._cold -= now - hot
            self._unseen = max(0, self._unseen - now)
        self._zero -= min(zero, (moved - now) // ZERO_PAGE * PAGE)

    def _measure(self, moved: int, seconds: float) -> None:
        period_s, sent, dirtied = self._period
        self._period = (period_s + seconds, sent + moved, dirtied)
        total, total_s = self._window[0] + moved, self._window[1] + seconds
        self._window = (total, total_s)
        # A window's bytes are a whole number of them, so the window may seem a little shorter.
        if total_s >= WINDOW_S * 0.99:
            self.bandwidth = total / total_s
            self._threshold = self.bandwidth * self._downtime_limit_s
            self._window = (0, 0.0)

    def _look(self) -> None:
        """Decide how it goes on."""
        if self._demanded:
            self._sync()
            self._phase = _Phase.SWITCH
        elif not self.left or self.left < self._threshold:
            unmeasured = not self._threshold
            self._sync()
            if unmeasured or not self.left or self.left < self._threshold:
                self._phase = _Phase.STOP
                self.iterations += not unmeasured  # it is fetched once more when the guest stands still
            elif self._post_copy:
                self._phase = _Phase.SWITCH
            elif self.iterations >= MOST_PASSES:
                self._phase = _Phase.OVER

    def _sync(self) -> None:
        """Fetch the dirty log."""
        fresh, self._written = self.dirty.fresh(self._written, self._hot), 0.0
        self._hot += fresh
        self.iterations += 1
        seconds, sent, before = self._period
        self._period = (seconds, sent, before + fresh)
        if seconds > PERIOD_S:
            self._slow()
        stuck = self.left >= self._before and (not self._auto_converge or self._throttled == MOST_THROTTLED)
        self._stalled = self._stalled + 1 if stuck else 0
        self._before = self.left

    def _slow(self) -> None:
        """Slow the guest down if it dirties too much."""
        _, sent, dirtied = self._period
        self._period = (0.0, 0, 0)
        if not self._auto_converge or dirtied * 2 <= sent:
            return
        self._high += 1
        if self._high >= 2:
            self._high = 0
            initial, increment = self._percent
            self._throttled = min(MOST_THROTTLED, self._throttled + increment if self._throttled else initial)


def _ceil(number: float) -> int:
    whole = int(number)
    return whole if whole == number else whole + 1


def _wire(zero: int) -> int:
    """Return what so many bytes of zero pages cost on the link."""
    return (zero + PAGE - 1) // PAGE * ZERO_PAGE
