"""Links and what flows over them: max-min fair, whole bytes, and what happens when they change in the middle."""

from __future__ import annotations

from functools import partial
from math import fsum, inf
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vhal_mock.clock import Clock, Signal
from vhal_mock.network import Flow, Link, Network, _fair

from vhal.driver import Context
from vhal.errors import HostUnreachable, OperationAborted, OperationTimeout

pytestmark = pytest.mark.timeout(60)

MB = 1_000_000


class Wires:
    """A network of hosts with links of 100 MB/s."""

    def __init__(self, *hosts: str) -> None:
        self.clock = Clock()
        self.net = Network(self.clock)
        for host in hosts:
            self.net.add_host(host, 100 * MB)

    def send(self, source: str, destination: str, megabytes: float, limit: float | None = None) -> float:
        """Send and return when it was there."""
        self.net.send(source, destination, megabytes * MB, limit, None)
        return self.clock.now_s

    def together(self, *ways: tuple[str, str, float]) -> list[float]:
        """Send at one moment and return when each was there."""
        return self.clock.together(*[lambda way=way: self.send(*way) for way in ways])


class TestByHand:
    def test_alone(self) -> None:
        assert Wires("a", "b").send("a", "b", 500) == 5

    def test_two_that_share_a_link_take_twice_as_long(self) -> None:
        assert Wires("a", "b", "c").together(("a", "b", 500), ("a", "c", 500)) == [10, 10]

    def test_both_ways_dont_meet(self) -> None:
        assert Wires("a", "b").together(("a", "b", 500), ("b", "a", 500)) == [5, 5]

    def test_who_is_alone_again_goes_on_faster(self) -> None:
        # Half each until the first is there at 4 s; then 300 MB at full rate.
        assert Wires("a", "b", "c").together(("a", "b", 200), ("a", "c", 500)) == [4, 7]

    def test_what_one_leaves_over_the_other_has(self) -> None:
        wires = Wires("a", "b", "c")
        wires.net.add_host("slow", 20 * MB)
        # To "slow" 20 MB/s; the other gets the 80 that are left of what leaves "a".
        assert wires.together(("a", "slow", 100), ("a", "b", 400)) == [5, 5]

    def test_a_limit_is_a_limit(self) -> None:
        wires = Wires("a", "b", "c")
        assert wires.clock.together(lambda: wires.send("a", "b", 50, 10 * MB), lambda: wires.send("a", "c", 450)) == [
            5,
            5,
        ]

    def test_a_rack_shares_its_uplink_and_nothing_inside(self) -> None:
        wires = Wires("a", "b", "c", "d")
        wires.net.share("rack", ["a", "b"], 60 * MB)
        assert wires.together(("a", "c", 300), ("b", "d", 300)) == [10, 10]
        assert wires.together(("c", "a", 300), ("a", "b", 1000)) == [15, 20]
        assert wires.net.capacity("a", "c") == 60 * MB
        assert wires.net.capacity("a", "b") == 100 * MB

    def test_three_links_in_a_row(self) -> None:
        """The textbook's: one long flow and one on each of its links; each gets half."""
        wires = Wires("a", "b", "c", "d")
        wires.net.share("r1", ["a", "b"], 50 * MB)
        wires.net.share("r2", ["c", "d"], 30 * MB)
        # a→c has 15 of r2's 30, as b→d; nobody is on r1 besides.
        assert wires.together(("a", "c", 150), ("b", "d", 150)) == [10, 10]

    def test_latencies_add_up(self) -> None:
        wires = Wires("a")
        wires.net.add_host("far", MB, 0.3)
        wires.net.share("wan", ["far"], MB, 0.05)
        assert wires.net.latency_s("a", "far") == pytest.approx(0.35)

    def test_nothing_takes_no_time(self) -> None:
        assert Wires("a", "b").send("a", "b", 0) == 0


class TestChanges:
    def test_a_link_that_gets_slow_and_fast_again(self) -> None:
        wires = Wires("a", "b")
        wires.clock.at(2, lambda: wires.net.slow("b", 0.1))
        wires.clock.at(12, lambda: wires.net.slow("b", 1))
        # 200 MB in 2 s, 100 in 10 s, 200 in 2 s.
        assert wires.send("a", "b", 500) == pytest.approx(14)

    def test_a_host_that_is_cut_off_fails_what_is_on_its_way_and_frees_the_link(self) -> None:
        wires = Wires("a", "b", "c")
        wires.clock.at(2, lambda: wires.net.cut("b"))

        def fails() -> float:
            with pytest.raises(HostUnreachable, match="don't see each other") as caught:
                wires.send("a", "b", 500)
            assert caught.value.hint
            return wires.clock.now_s

        assert wires.clock.together(fails, lambda: wires.send("a", "c", 500)) == [2, 6]
        assert not wires.net.flows
        with pytest.raises(HostUnreachable):
            wires.send("c", "b", 1)
        wires.net.mend("b")
        assert wires.send("c", "b", 100) == 7

    def test_an_abort_frees_the_link(self) -> None:
        wires, ctx = Wires("a", "b", "c"), Context()
        wires.clock.at(2, ctx.abort)

        def aborted() -> float:
            with pytest.raises(OperationAborted):
                wires.net.send("a", "b", 500 * MB, None, ctx)
            return wires.clock.now_s

        assert wires.clock.together(aborted, lambda: wires.send("a", "c", 500)) == [2, 6]

    def test_a_deadline_too(self) -> None:
        wires = Wires("a", "b")
        with pytest.raises(OperationTimeout):
            wires.net.send("a", "b", 500 * MB, None, Context(3))
        assert (wires.clock.now_s, len(wires.net.flows)) == (3, 0)


@st.composite
def meshes(draw: st.DrawFn) -> list[Flow]:
    links = [Link(f"l{n}", draw(st.floats(1, 1e9))) for n in range(draw(st.integers(1, 6)))]
    flows = []
    for _ in range(draw(st.integers(1, 8))):
        path = tuple(draw(st.lists(st.sampled_from(links), min_size=1, max_size=4, unique_by=id)))
        limit = draw(st.one_of(st.just(inf), st.floats(0.5, 1e9)))
        flow = Flow("a", "b", path, 1.0, limit, Signal(Clock()))
        flows.append(flow)
        for link in path:
            link.flows[flow] = None
    return flows


@settings(max_examples=150, deadline=None)
@given(meshes())
def test_rates_are_max_min_fair(flows: list[Flow]) -> None:
    """No link carries more than it can, and each flow has its limit, or a full link on which nobody has more."""
    rates = _fair(flows)
    assert set(rates) == set(flows)
    links = {link for flow in flows for link in flow.path}
    carried = {link: fsum(rates[flow] for flow in link.flows) for link in links}
    for link in links:
        assert carried[link] <= link.capacity * (1 + 1e-9)
    for flow in flows:
        assert 0 < rates[flow] <= flow.limit
        full = [link for link in flow.path if carried[link] >= link.capacity * (1 - 1e-9)]
        most = any(rates[flow] >= max(rates[other] for other in link.flows) * (1 - 1e-9) for link in full)
        assert rates[flow] == flow.limit or most


SENDS = st.lists(
    st.tuples(st.sampled_from("abcd"), st.sampled_from("abcd"), st.integers(1, 900), st.integers(0, 9)),
    min_size=1,
    max_size=7,
).filter(lambda sends: all(source != destination for source, destination, _, _ in sends))
CHANGES = st.lists(st.tuples(st.integers(1, 20), st.sampled_from("abcd"), st.sampled_from([0.1, 0.5, 1.0])), max_size=4)


@settings(max_examples=30, deadline=None)
@given(SENDS, CHANGES)
def test_every_byte_arrives_and_none_twice(
    sends: list[tuple[str, str, int, int]], changes: list[tuple[int, str, float]]
) -> None:
    """What the links carried, counted from the rates between any two moments, is what was sent."""
    wires = Wires("a", "b", "c", "d")
    wires.net.share("rack", ["a", "b"], 70 * MB)
    carried: dict[Flow, float] = {}
    last = SimpleNamespace(time_s=0.0, rates=dict[Flow, float]())
    share_out, remove = wires.net._share_out, wires.net._remove

    def tally() -> None:
        passed = wires.clock.now_s - last.time_s
        for flow, rate in last.rates.items():
            carried[flow] = carried.get(flow, 0.0) + rate * passed
        last.time_s, last.rates = wires.clock.now_s, {flow: flow.rate for flow in wires.net.flows}

    def sharing() -> None:
        tally()
        share_out()
        tally()

    def removing(flow: Flow) -> None:
        tally()
        remove(flow)
        tally()

    wires.net._share_out, wires.net._remove = sharing, removing  # type: ignore[method-assign]
    for at_s, host, factor in changes:
        wires.clock.at(at_s, lambda host=host, factor=factor: wires.net.slow(host, factor))  # type: ignore[misc]
    tasks = [wires.clock.begin(partial(wires.send, *send[:3]), send[3]) for send in sends]
    wires.clock.join(*tasks)
    assert all(task.error is None for task in tasks)
    assert fsum(carried.values()) == pytest.approx(sum(size for _, _, size, _ in sends) * MB, rel=1e-6)
    assert sorted(carried.values()) == pytest.approx(sorted(size * MB for _, _, size, _ in sends), rel=1e-6)
    for (_, _, size, at_s), task in zip(sends, tasks, strict=True):
        assert task.result >= at_s + size * MB / (100 * MB) - 1e-6
