"""Worlds, clocks and physics of the simulator."""

from __future__ import annotations

import gc
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vhal_mock.clock import Clock
from vhal_mock.console import MockConsole
from vhal_mock.physics import MOST_ROUNDS, SWITCH_S, rounds
from vhal_mock.world import World, find, swap_default

import vhal
from vhal.driver import Context
from vhal.errors import InvalidSpec, NotFound, OperationAborted, OperationTimeout


class TestWorlds:
    def test_share_nothing(self) -> None:
        one, two = (World.from_spec({"hosts": [{"name": "a"}]}) for _ in range(2))
        with vhal.connect(one.url("a")) as a, vhal.connect(two.url()) as b:
            a.create(vhal.MachineSpec(name="web"))
            assert b.machines() == []
            assert a.uuid != b.uuid
            assert b.name.startswith("mock://world-")

    def test_live_as_long_as_somebody_holds_them(self) -> None:
        url = World.from_spec({"hosts": [{"name": "a"}]}).url("a")
        gc.collect()
        with pytest.raises(NotFound, match="no mock world") as caught:
            vhal.connect(url)
        assert caught.value.hint
        world = World.from_spec({"hosts": [{"name": "a"}]})
        host = vhal.connect(world.url("a"))
        name = world.name
        del world
        gc.collect()
        assert find(name).host("a").uuid == host.uuid

    def test_the_default_one(self) -> None:
        swap_default(None)
        assert list(find(None).hosts) == ["a", "b"]
        assert find(None) is find(None)
        with pytest.raises(NotFound, match="no mock host 'z'") as caught:
            find(None).host("z")
        assert caught.value.hint == "there are a, b"

    @pytest.mark.parametrize(
        ("spec", "path"),
        [
            ({"hosts": []}, "hosts"),
            ({"hosts": [{"name": "a"}, {"name": "a"}]}, "hosts"),
            ({"hosts": [{"name": "../a"}]}, "hosts[0].name"),
            ({"hosts": [{"name": "a", "cpus": 0}]}, "hosts[0].cpus"),
            ({"hosts": [{"name": "a", "memory": 1}]}, "hosts[0].memory"),
            ({"hosts": [{"name": "a", "memroy": 1}]}, "hosts[0].memroy"),
            ({"hosts": [{"name": "a"}], "speed": 0}, "speed"),
            ({}, "hosts"),
        ],
    )
    def test_malformed(self, spec: dict[str, object], path: str) -> None:
        with pytest.raises(InvalidSpec) as caught:
            World.from_spec(spec)
        assert path in dict(caught.value.problems)


class TestClock:
    def test_time_passes_when_it_is_spent(self) -> None:
        clock = Clock()
        clock.spend(3600)
        clock.spend(0.5, Context(60))
        assert clock.now_s == 3600.5

    def test_no_more_than_the_deadline(self) -> None:
        clock = Clock()
        with pytest.raises(OperationTimeout, match="virtual seconds"):
            clock.spend(100, Context(10))
        assert 9 < clock.now_s <= 10

    def test_nothing_after_an_abort(self) -> None:
        clock, ctx = Clock(), Context()
        ctx.abort()
        with pytest.raises(OperationAborted):
            clock.spend(1, ctx)
        assert clock.now_s == 0

    def test_a_speed_makes_it_wait(self) -> None:
        clock, ctx = Clock(speed=1.0), Context()
        with ctx.on_abort(lambda: None):
            import threading

            threading.Timer(0.01, ctx.abort).start()
            with pytest.raises(OperationAborted):
                clock.spend(3600, ctx)


class TestPhysics:
    def test_a_quiet_guest_takes_one_pass(self) -> None:
        one, last = rounds(1000, 0, 0, 100)
        assert (one.seconds, one.sent, one.left, one.last) == (10.0, 1000, 0, False)
        assert (last.sent, last.seconds, last.last) == (0, SWITCH_S, True)

    def test_by_hand(self) -> None:
        """1000 bytes at 100 a second; 50 a second are written: 1000, 500, 250, 125, 62, 31, then 15 fit into 0.3 s."""
        sent = [(r.sent, r.left) for r in rounds(1000, 50, 1000, 100)]
        assert sent == [(1000, 500), (500, 250), (250, 125), (125, 62), (62, 31), (31, 15), (15, 0)]

    def test_never_converges_without_help(self) -> None:
        assert len(list(rounds(1000, 200, 1000, 100))) == MOST_ROUNDS
        assert not any(r.last for r in rounds(1000, 200, 1000, 100))
        assert list(rounds(1000, 200, 1000, 100, auto_converge=True))[-1].last
        assert list(rounds(1000, 200, 1000, 100, downtime_limit_s=10))[-1].last
        assert [r.last for r in rounds(1000, 200, 1000, 100, post_copy=True)] == [False, True]

    @settings(deadline=None)
    @given(
        memory=st.integers(1, 1 << 40),
        dirty=st.floats(0, 1 << 35),
        working=st.integers(0, 1 << 40),
        bandwidth=st.floats(1 << 20, 1 << 35),
        converge=st.booleans(),
    )
    def test_what_always_holds(self, memory: int, dirty: float, working: int, bandwidth: float, converge: bool) -> None:
        passes = list(rounds(memory, dirty, working, bandwidth, auto_converge=converge))
        assert [r.number for r in passes] == list(range(1, len(passes) + 1))
        assert passes[0].sent == memory
        assert all(later.sent == earlier.left for earlier, later in pairwise(passes))
        assert all(r.left <= working for r in passes)
        assert not any(r.last for r in passes[:-1])
        if passes[-1].last:
            assert passes[-1].seconds <= 0.3 + SWITCH_S


class TestConsole:
    def test_repeats_what_it_is_told(self) -> None:
        console = MockConsole("web")
        assert console.read() == b"web ready\r\n"
        console.write(b"hello")
        assert console.read(0) == b"hello"
        assert console.read(0) == b""

    def test_ends(self) -> None:
        console = MockConsole("web")
        console.close()
        console.close()
        console.write(b"x")
        assert console.read() == b""
