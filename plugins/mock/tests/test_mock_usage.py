"""What machines use, against sums made by hand; workloads, traces, and what is wrong in them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vhal_mock.trace import Traces
from vhal_mock.workload import Burst, Constant, Periodic, Workload
from vhal_mock.world import World

import vhal
from vhal.errors import InvalidSpec, NotFound, VhalError
from vhal.spec.state import MachineState as S

pytestmark = pytest.mark.timeout(60)


def world(**host: object) -> World:
    return World.from_spec({"hosts": [{"name": "a", "cpus": 4, "memory": "16GiB", **host}]})


def vm(host: vhal.Host, name: str, cpus: int = 1, memory: str = "1GiB", **mock: object) -> vhal.Machine:
    made = host.create(vhal.MachineSpec(name=name, cpus=cpus, memory=memory, options={"mock": mock}))
    made.start()
    return made


def whole(workload: Workload, begun_s: float, ended_s: float) -> float:
    """Return the integral, step by step."""
    total, then = 0.0, begun_s
    while then < ended_s:
        end = min(ended_s, workload.until(then))
        assert end > then
        total += workload.level(then) * (end - then)
        then = end
    return total


class TestProcessors:
    def test_constant(self) -> None:
        sim = world()
        one = vm(vhal.connect(sim.url()), "one", cpus=2, load=0.25)
        sim.clock.advance(1000)
        assert one.usage().cpu_s == pytest.approx(500)

    def test_nothing_while_it_stands_still(self) -> None:
        sim = world()
        one = vm(vhal.connect(sim.url()), "one", load=1)
        sim.clock.advance(10)
        one.pause()
        sim.clock.advance(100)
        one.resume()
        sim.clock.advance(5)
        assert one.usage().cpu_s == pytest.approx(15)

    def test_who_wants_more_than_there_is_gets_the_same_part(self) -> None:
        sim = world()
        host = vhal.connect(sim.url())
        one, two = vm(host, "one", cpus=4, load=1), vm(host, "two", cpus=8, load=0.5)
        sim.clock.advance(100)  # eight wanted, four there: half each
        two.stop(force=True)
        sim.clock.advance(10)  # all that it wants
        assert one.usage().cpu_s == pytest.approx(4 * 50 + 4 * 10)

    def test_a_burst_slows_the_others_for_its_time(self) -> None:
        sim = world()
        host = vhal.connect(sim.url())
        steady = vm(host, "steady", cpus=4, load=1)
        vm(host, "burst", cpus=4, workload={"profile": "burst", "low": 0, "high": 1, "every_s": 100, "length_s": 20})
        sim.clock.advance(250)
        # Bursts at 0, 100 and 200, of 20 s: half of four processors in these 60 s.
        assert steady.usage().cpu_s == pytest.approx(4 * 190 + 2 * 60)

    def test_a_day(self) -> None:
        sim = world()
        one = vm(vhal.connect(sim.url()), "one", workload={"profile": "periodic", "low": 0.2, "high": 0.6})
        sim.clock.advance(86400)
        assert one.usage().cpu_s == pytest.approx(0.4 * 86400)

    def test_a_trace(self, tmp_path: Path) -> None:
        (tmp_path / "t.csv").write_text("time_s,cpu\n0,10\n60,50\n120,0\n")
        sim = world()
        sim.folder = tmp_path
        one = vm(vhal.connect(sim.url()), "one", workload={"profile": "trace", "file": "t.csv", "scale": 0.01})
        sim.clock.advance(60 * 4 + 30)  # it begins again after the third
        assert one.usage().cpu_s == pytest.approx(60 * 0.1 + 60 * 0.5 + 60 * 0.1 + 30 * 0.5)

    def test_how_often_one_looks_changes_nothing(self) -> None:
        def used(looks: int) -> float:
            sim = world()
            one = vm(
                vhal.connect(sim.url()), "one", workload={"profile": "burst", "every_s": 70, "length_s": 7, "jitter": 1}
            )
            for _ in range(looks):
                sim.clock.advance(4200 / looks)
                one.usage()
            return one.usage().cpu_s or 0.0

        assert used(1) == pytest.approx(used(7)) == pytest.approx(used(100))


class TestDisksAndNetworks:
    def test_as_much_as_they_want(self) -> None:
        sim = world()
        one = vm(vhal.connect(sim.url()), "one", read=1000, write=200, send=30, receive=4)
        sim.clock.advance(10)
        use = one.usage()
        assert (use.read, use.written, use.sent, use.received) == (10000, 2000, 300, 40)

    def test_no_more_than_there_is(self) -> None:
        sim = world(disk_bandwidth="100MB", bandwidth="10MB")
        host = vhal.connect(sim.url())
        one, two = vm(host, "one", read="150MB", send="15MB"), vm(host, "two", write="50MB", send="5MB")
        sim.clock.advance(10)
        assert one.usage().read == 750_000_000
        assert two.usage().written == 250_000_000
        assert (one.usage().sent, two.usage().sent) == (75_000_000, 25_000_000)

    def test_a_link_that_gets_slow_counts_from_then_on(self) -> None:
        sim = world(bandwidth="10MB")
        one = vm(vhal.connect(sim.url()), "one", send="10MB")
        sim.clock.advance(10)
        sim.host("a").trouble.slow_down(0.1, 10)
        sim.clock.advance(20)
        assert one.usage().sent == 10_000_000 * 10 + 1_000_000 * 10 + 10_000_000 * 10


class TestMemory:
    def test_the_one_that_uses_most_is_ended_when_there_isnt_enough(self) -> None:
        sim = world(memory_overcommit=2)
        host = vhal.connect(sim.url())
        made = [
            vm(host, name, memory="10GiB", used=used) for name, used in (("one", 0.5), ("two", 0.7), ("three", 0.6))
        ]
        sim.clock.advance(0.001)
        assert [each.state() for each in made] == [S.RUNNING, S.CRASHED, S.RUNNING]
        told = [(entry.kind, entry.machine) for entry in sim.log if entry.machine == "two"]
        assert told == [("created", "two"), ("started", "two"), ("crashed", "two")]

    def test_a_larger_one_may_be_too_much(self) -> None:
        sim = world(memory_overcommit=2)
        host = vhal.connect(sim.url())
        one, two = vm(host, "one", memory="8GiB", used=1), vm(host, "two", memory="7GiB", used=1)
        sim.clock.advance(1)
        two.resize(memory="9GiB")
        sim.clock.advance(1)
        assert (one.state(), two.state()) == (S.RUNNING, S.CRASHED)

    def test_what_is_on_its_way_is_no_victim(self) -> None:
        sim = World.from_spec({"hosts": [{"name": "a"}, {"name": "b", "memory": "4GiB", "memory_overcommit": 4}]})
        a, b = vhal.connect(sim.url("a")), vhal.connect(sim.url("b"))
        big, small = vm(a, "big", memory="8GiB", used=0.4), vm(b, "small", memory="4GiB", used=0.5)
        big.migrate(b)
        sim.clock.advance(1)
        assert (big.state(), small.state()) == (S.CRASHED, S.RUNNING)


@settings(max_examples=60, deadline=None)
@given(st.floats(0.01, 5000), st.floats(0, 5000), st.integers(1, 5))
def test_the_mean_of_a_period_is_exact(period_s: float, phase_s: float, periods: int) -> None:
    mean = whole(Periodic(0.1, 0.9, period_s, phase_s), 0, period_s * periods) / (period_s * periods)
    assert mean == pytest.approx(0.5, rel=1e-6)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([0.1, 0.3, 0.7, 1.1, 10.0]), st.floats(0, 1), st.integers(1, 400))
def test_each_burst_comes_once(every_s: float, jitter: float, count: int) -> None:
    burst = Burst(0, 1, every_s, every_s / 4, jitter, "seed")
    assert whole(burst, 0, every_s * count) == pytest.approx(every_s / 4 * count, rel=1e-6)


def test_constant_never_changes() -> None:
    assert whole(Constant(0.5), 3, 7) == 2


class TestTracesThatAreWrong:
    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", "row 1: the first row must name"),
            ("when,cpu\n0,1\n", "row 1: the first row must name"),
            ("time_s,cpu,cpu\n0,1,1\n1,1,1\n", "row 1: two columns"),
            ("time_s,cpu\n0,0.5\n", "fewer than two"),
            ("time_s,cpu\n0,0.5\n60,\n120,1\n", "row 3: cpu is empty"),
            ("time_s,cpu\n0,0.5\n60\n120,1\n", "row 3: it has 1 values"),
            ("time_s,cpu\n0,0.5\n60,x\n", "row 3: cpu is 'x'"),
            ("time_s,cpu\n0,0.5\n60,0.5\n180,1\n", "row 4: it is 120 s after"),
            ("time_s,cpu\n0,0.5\n60,50\n", "row 3: cpu is 50"),
            ("time_s,cpu\n0,0.5\n60,-1\n", "row 3: cpu is -1"),
            ("time_s,cpu\n0,0.5\n60,nan\n", "row 3: cpu is nan"),
            ("time_s,cpu\n60,0.5\n0,0.5\n", "row 3: it is -60 s after"),
            ("time_s,cpu\n0,0.5\nnan,0.5\n60,1\n", "row 3: it is nan s after"),
            ("time_s,cpu\n0,0.5\ninf,0.5\n", "row 3: it is inf s after"),
            ("time_s,cpu\n0,0.5\n0.01,0.5\n", "row 3: it is 0.01 s after"),
        ],
    )
    def test_say_where(self, tmp_path: Path, text: str, said: str) -> None:
        (tmp_path / "t.csv").write_text(text)
        sim = world()
        sim.folder = tmp_path
        with pytest.raises(InvalidSpec) as caught:
            vm(vhal.connect(sim.url()), "one", workload={"profile": "trace", "file": "t.csv"})
        assert said in caught.value.message
        assert "t.csv" in caught.value.message
        assert caught.value.hint

    def test_a_mark_at_the_beginning_is_none(self, tmp_path: Path) -> None:
        (tmp_path / "t.csv").write_text("\ufefftime_s,cpu\n0,0.25\n60,0.5\n", encoding="utf-8")
        assert Traces(tmp_path).read("t.csv", "cpu").level(0) == 0.25

    def test_a_column_or_a_file_that_isnt_there(self, tmp_path: Path) -> None:
        (tmp_path / "t.csv").write_text("time_s,web,db\n0,0,0\n1,0,0\n")
        sim = world()
        sim.folder = tmp_path
        host = vhal.connect(sim.url())
        with pytest.raises(InvalidSpec) as caught:
            vm(host, "one", workload={"profile": "trace", "file": "t.csv", "column": "wb"})
        assert caught.value.hint == "did you mean 'web'?"
        with pytest.raises(NotFound, match=r"u\.csv"):
            vm(host, "one", workload={"profile": "trace", "file": "u.csv"})

    def test_a_profile_that_isnt_there(self) -> None:
        with pytest.raises(VhalError, match="did you mean 'periodic'") as caught:
            vm(vhal.connect(world().url()), "one", workload={"profile": "perodic"})
        assert "options.mock.workload" in str(caught.value)
