"""The model of a migration, step by step: by hand, and what always holds."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from vhal_mock.physics import BlockCopy, Costs, Dirtying, PreCopy, Step, StopAndCopy
from vhal_mock.physics.blockcopy import IN_FLIGHT
from vhal_mock.physics.precopy import MOST_PASSES, PAGE, ZERO_PAGE

MIB = 1 << 20
FREE = Costs(setup_s=0, switch_s=0, scan_rate=1e15, stream_rate=1e15)
LINK = 1000.0 * MIB
SLACK_S = 0.3
"""A pass ends with a window, and whether one more is needed is decided by little: so it isn't quite monotone."""


def carry_out(copy: PreCopy | StopAndCopy | BlockCopy, link: float = LINK, share: float = 1.0) -> list[Step]:
    steps = []
    while not copy.over:
        step = copy.next()
        assert copy.next() is step or copy.next() == step
        steps.append(step)
        copy.done(step.seconds(link), share)
    return steps


def total_s(copy: PreCopy, link: float = LINK) -> float:
    carry_out(copy, link)
    return copy.elapsed_s if copy.complete else math.inf


class TestDirtying:
    def test_a_sweep_writes_each_page_once_before_it_comes_back(self) -> None:
        assert [Dirtying(10, 100).dirtied(n) for n in (0, 30, 100, 110)] == [0, 30, 100, 100]

    def test_random_writes_hit_pages_twice(self) -> None:
        dirty = Dirtying(1 << 20, 1 << 30, "random")
        for turns in (0.01, 0.1, 0.5, 1, 2, 4, 16, 1000, 1e300):
            assert abs(dirty.dirtied(turns * (1 << 30)) / (1 << 30) - (1 - math.exp(-turns))) <= 0.0008
        assert Dirtying(5, 0, "random").dirtied(1) == 0

    def test_what_is_still_to_be_sent_is_not_fresh(self) -> None:
        sweep, anywhere = Dirtying(1, 100), Dirtying(1, 100, "random")
        assert [sweep.fresh(60, unsent) for unsent in (0, 40, 70, 100)] == [60, 60, 30, 0]
        assert anywhere.fresh(1e6, 0) == 100
        assert anywhere.fresh(1e6, 70) == 30
        assert anywhere.fresh(50, 50) == 20

    @pytest.mark.parametrize(("rate", "area"), [(-1, 0), (0, -1)])
    def test_nonsense(self, rate: float, area: int) -> None:
        with pytest.raises(ValueError, match="can't write"):
            Dirtying(rate, area)


class TestByHand:
    def test_a_quiet_guest(self) -> None:
        """100 MiB in 10 s: a probe's window at the limit, then all but the threshold of 0.3 s, then that."""
        copy = PreCopy(100 * MIB, limit=10 * MIB, costs=FREE)
        steps = carry_out(copy)
        assert [(s.number, s.bytes // MIB, s.still, s.last) for s in steps] == [
            (0, 0, False, False),
            (1, 1, False, False),
            (1, 97, False, False),
            (3, 2, True, True),
        ]
        assert copy.elapsed_s == pytest.approx(9.8 + 2 * MIB / LINK)
        assert (copy.sent, copy.left, copy.iterations, copy.complete) == (100 * MIB, 0, 3, True)
        assert copy.downtime_s == pytest.approx(2 * MIB / LINK)

    def test_what_is_written_is_sent_again(self) -> None:
        """10 MiB/s, 4 MiB/s of 50: after 9.8 s, 39.2 MiB are dirty beside the rest of 2; and so on."""
        copy = PreCopy(100 * MIB, dirty=Dirtying(4 * MIB, 50 * MIB), limit=10 * MIB, costs=FREE)
        carry_out(copy)
        # 98; 39.2 less what of the rest is in the area; then about 0.4 of each before.
        assert copy.complete
        assert 160 * MIB < copy.sent < 168 * MIB
        assert copy.downtime_s < 0.01

    def test_zero_pages_cost_little(self) -> None:
        copy = PreCopy(1024 * MIB, 64 * MIB, costs=FREE)
        carry_out(copy)
        assert copy.sent == 64 * MIB + 960 * MIB // PAGE * ZERO_PAGE

    def test_it_takes_what_it_takes_besides(self) -> None:
        costs = Costs(setup_s=0.5, switch_s=0.25, scan_rate=1024 * MIB)
        copy = PreCopy(1024 * MIB, 0, costs=costs)
        steps = carry_out(copy)
        assert steps[0] == Step(0, 0, 0.5)
        assert copy.elapsed_s == pytest.approx(1.75, abs=0.01)
        assert steps[-1].fixed_s >= 0.25

    def test_a_limit_is_lifted_for_the_last_step(self) -> None:
        steps = carry_out(PreCopy(1024 * MIB, limit=100 * MIB))
        assert {step.most for step in steps if step.bytes and not step.still} == {100 * MIB}
        assert steps[-1].most == Costs().stream_rate

    def test_streams(self) -> None:
        link = 12_000.0 * MIB
        one, four = (total_s(PreCopy(64 << 30, streams=n), link) for n in (1, 4))
        assert one == pytest.approx(4 * four, rel=0.05)

    def test_no_more_streams_than_processors(self) -> None:
        link = 12_000.0 * MIB
        two, four = (total_s(PreCopy(64 << 30, streams=n, costs=Costs(cpus=2)), link) for n in (2, 4))
        assert two == four

    def test_memory_that_the_destination_gets_for_the_first_time(self) -> None:
        costs = Costs(setup_s=0, fill_rate=100.0 * MIB, stream_rate=400.0 * MIB)
        copy = PreCopy(1000 * MIB, dirty=Dirtying(40 * MIB, 1000 * MIB), costs=costs)
        first, *_, last = (step for step in carry_out(copy) if step.bytes > MIB)
        assert (first.most, last.most) == (100 * MIB, 400 * MIB)
        copy = PreCopy(10 * MIB, dirty=Dirtying(40 * MIB, 10 * MIB), costs=costs)
        copy.switch()
        assert 100 * MIB <= carry_out(copy)[-1].most < 120 * MIB

    def test_nothing_to_send(self) -> None:
        copy = PreCopy(0)
        assert carry_out(copy)[-1].last
        assert copy.complete

    def test_an_impossible_guest(self) -> None:
        with pytest.raises(ValueError, match="touched"):
            PreCopy(1, 2)

    def test_over_is_over(self) -> None:
        for copy in (PreCopy(1), StopAndCopy(1), BlockCopy(1)):
            carry_out(copy)
            with pytest.raises(ValueError, match="over"):
                copy.next()


class TestConvergence:
    WILD = Dirtying(200 * MIB, 900 * MIB)

    def test_a_wild_guest_never_ends(self) -> None:
        copy = PreCopy(1024 * MIB, dirty=self.WILD)
        assert copy.converges
        carry_out(copy, 100 * MIB)
        assert not copy.complete
        assert not copy.converges
        assert copy.iterations == MOST_PASSES
        assert copy.downtime_s == 0

    def test_slowing_it_down_helps(self) -> None:
        copy = PreCopy(1024 * MIB, dirty=self.WILD, auto_converge=True)
        throttles = [step.throttle for step in carry_out(copy, 100 * MIB)]
        assert copy.complete
        assert throttles == sorted(throttles)
        assert [a for a, b in pairwise([*throttles, 1]) if a != b][:4] == [0, 0.2, 0.3, 0.4]

    def test_the_second_time_that_too_much_was_dirtied(self) -> None:
        copy = PreCopy(1024 * MIB, dirty=self.WILD, auto_converge=True)
        seen = {}
        while not copy.throttle:
            seen[copy.iterations] = copy.throttle
            copy.done(copy.next().seconds(100 * MIB))
        assert list(seen) == [0, 1, 2]

    def test_so_does_a_longer_downtime(self) -> None:
        assert total_s(PreCopy(1024 * MIB, dirty=self.WILD, downtime_limit_s=10), 100 * MIB) < math.inf

    def test_so_does_a_faster_link_half_way(self) -> None:
        copy = PreCopy(1024 * MIB, dirty=self.WILD)
        while copy.converges:
            copy.done(copy.next().seconds(100 * MIB))
        carry_out(copy, 1000 * MIB)
        assert copy.complete

    def test_so_does_a_guest_that_comes_to_rest(self) -> None:
        copy = PreCopy(1024 * MIB, dirty=self.WILD)
        while copy.converges:
            copy.done(copy.next().seconds(100 * MIB))
        copy.dirty = Dirtying(0, self.WILD.working_set)
        carry_out(copy, 100 * MIB)
        assert copy.complete

    def test_so_does_a_higher_limit(self) -> None:
        copy = PreCopy(1024 * MIB, dirty=self.WILD, limit=100.0 * MIB)
        while copy.converges:
            copy.done(copy.next().seconds(LINK))
        copy.limit = None
        carry_out(copy)
        assert copy.complete

    def test_a_guest_without_cpu_writes_nothing(self) -> None:
        copy = PreCopy(1024 * MIB, dirty=self.WILD)
        carry_out(copy, 100 * MIB, share=0)
        assert copy.sent == 1024 * MIB


class TestPostCopy:
    def test_switches_after_the_first_pass(self) -> None:
        copy = PreCopy(1024 * MIB, dirty=TestConvergence.WILD, post_copy=True)
        steps = carry_out(copy, 100 * MIB)
        switch, pull = steps[-2:]
        assert (switch.bytes, switch.still, switch.fixed_s) == (0, True, Costs().switch_s)
        assert (pull.remote, pull.still, pull.last, pull.most) == (True, False, True, Costs().stream_rate)
        assert not any(step.remote or step.still for step in steps[:-2])
        assert copy.sent <= 1024 * MIB + 900 * MIB
        assert copy.downtime_s == Costs().switch_s
        assert copy.complete

    def test_isnt_used_if_it_converges(self) -> None:
        steps = carry_out(PreCopy(1024 * MIB, post_copy=True))
        assert steps[-1].still

    def test_on_demand(self) -> None:
        copy = PreCopy(1024 * MIB, dirty=TestConvergence.WILD)
        for _ in range(10):
            copy.done(copy.next().seconds(100 * MIB))
        copy.switch()
        assert [step.remote for step in carry_out(copy, 100 * MIB)] == [False, False, True]


class TestInterruptions:
    """A step may be told to be done before all of it is sent: the rest comes again."""

    @settings(deadline=None)
    @given(parts=st.lists(st.floats(0, 1), max_size=40), post_copy=st.booleans())
    def test_nothing_is_lost(self, parts: list[float], post_copy: bool) -> None:
        whole = PreCopy(512 * MIB, 256 * MIB, post_copy=post_copy)
        for part in parts:
            if whole.over:
                break
            step = whole.next()
            whole.done(step.seconds(LINK) * part, sent=int(step.bytes * part))
        carry_out(whole)
        assert whole.complete
        assert whole.sent >= 256 * MIB
        assert whole.left == 0

    def test_of_the_others(self) -> None:
        container = StopAndCopy(10 * MIB, image=4 * MIB)
        container.done(1, sent=MIB)
        assert container.left == 13 * MIB
        carry_out(container)
        assert container.sent == 14 * MIB
        disk = BlockCopy(100 * MIB)
        disk.done(1, sent=MIB)
        assert disk.left == 99 * MIB
        carry_out(disk)
        assert disk.sent == 100 * MIB


class TestContainers:
    def test_downtime_is_nearly_all_of_it(self) -> None:
        copy = StopAndCopy(128 * MIB)
        steps = carry_out(copy)
        assert copy.downtime_s == copy.elapsed_s == pytest.approx(2.66, abs=0.05)
        assert steps[-1].last
        assert copy.complete

    def test_the_image_goes_while_it_runs(self) -> None:
        copy = StopAndCopy(0, image=1000 * MIB)
        carry_out(copy)
        assert copy.elapsed_s == pytest.approx(copy.downtime_s + 1)


class TestDisks:
    def test_a_quiet_disk_is_one_pass(self) -> None:
        copy = BlockCopy(1000 * MIB, limit=100 * MIB)
        (step,) = carry_out(copy)
        assert (step.bytes, copy.elapsed_s, copy.left) == (1000 * MIB, 10, 0)

    def test_writes_are_sent_again_until_few_are_left(self) -> None:
        copy = BlockCopy(1000 * MIB, 100 * MIB)
        carry_out(copy)
        assert copy.iterations == 2
        assert copy.left <= IN_FLIGHT
        assert copy.complete
        assert copy.downtime_s == 0

    def test_a_disk_that_is_written_too_fast(self) -> None:
        copy = BlockCopy(1000 * MIB, 2000 * MIB)
        carry_out(copy)
        assert not copy.complete
        assert not copy.converges

    def test_an_empty_one(self) -> None:
        assert BlockCopy(0).over


GUESTS = {
    "memory": st.integers(1 << 20, 1 << 38),
    "touched": st.floats(0, 1),
    "rate": st.floats(0, 1 << 33),
    "area": st.floats(0, 1),
    "pattern": st.sampled_from(["sweep", "random"]),
    "bandwidth": st.floats(1 << 22, 1 << 34),
    "limited": st.booleans(),
}


def guest(memory: int, touched: float, rate: float, area: float, pattern: str, **more: object) -> PreCopy:
    dirty = Dirtying(rate, int(memory * touched * area), pattern)  # type: ignore[arg-type]
    return PreCopy(memory, int(memory * touched), dirty, **more)  # type: ignore[arg-type]


class TestAlways:
    @settings(deadline=None)
    @given(**GUESTS, converge=st.booleans(), post_copy=st.booleans(), allowed=st.floats(0.1, 10))
    def test_one_migration(
        self, bandwidth: float, limited: bool, converge: bool, post_copy: bool, allowed: float, **given: object
    ) -> None:
        more = {"auto_converge": converge, "post_copy": post_copy, "downtime_limit_s": allowed}
        copy = guest(**given, limit=bandwidth if limited else None, **more)  # type: ignore[arg-type]
        steps = carry_out(copy, bandwidth)
        assert copy.sent == sum(step.bytes for step in steps)
        assert [step.number for step in steps] == sorted(step.number for step in steps)
        assert all(step.bytes >= 0 and step.fixed_s >= 0 and 0 <= step.throttle <= 0.99 for step in steps)
        assert converge or not any(step.throttle for step in steps)
        assert copy.complete or not (converge or post_copy) or copy.iterations >= MOST_PASSES
        assert copy.complete is steps[-1].last
        assert not any(step.last for step in steps[:-1])
        if copy.complete:
            assert copy.left == 0
            if not any(step.remote for step in steps):
                last = steps[-1]
                assert copy.downtime_s == last.seconds(bandwidth) <= allowed * 1.001 + last.fixed_s
        else:
            assert copy.downtime_s == 0

    @settings(deadline=None, derandomize=True)
    @given(**GUESTS)
    def test_a_faster_link_takes_no_longer(self, bandwidth: float, limited: bool, **given: object) -> None:
        slow, fast = (
            total_s(guest(**given, limit=rate if limited else None), rate)  # type: ignore[arg-type]
            for rate in (bandwidth, bandwidth * 2)
        )
        assert fast <= slow * 1.001 + SLACK_S

    @settings(deadline=None, derandomize=True)
    @given(**GUESTS)
    def test_a_busier_guest_takes_no_less(self, bandwidth: float, limited: bool, rate: float, **given: object) -> None:
        assume(rate > 0)
        busy, quiet = (
            total_s(guest(**given, rate=r, limit=bandwidth if limited else None), bandwidth)  # type: ignore[arg-type]
            for r in (rate, rate / 2)
        )
        assert busy >= quiet * 0.999 - SLACK_S
