"""Loads: rates of counters, smoothed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vhal.fleet.members.meter import Meter
from vhal.spec.units import Bytes
from vhal.spec.usage import Usage


def used(time_s: float, cpu_s: float | None = None, memory: int = 0, read: int | None = None) -> Usage:
    return Usage(time_s=time_s, cpu_s=cpu_s, memory=Bytes(memory), read=None if read is None else Bytes(read))


def meter(*samples: Usage, half_life_s: float = 60, host: str = "h") -> Meter:
    made = Meter(half_life_s)
    for sample in samples:
        made.note(host, "mock", {"1": sample})
    return made


def cpus(made: Meter) -> float:
    load = made.load("mock", "1")
    assert load is not None
    return load.cpus


def test_one_sample_is_no_rate() -> None:
    assert meter(used(0, 0)).load("mock", "1") is None


def test_the_first_rate_is_the_load() -> None:
    load = meter(used(0, 0, 5, 0), used(10, 20, 7, 1000)).load("mock", "1")
    assert load is not None
    assert (load.cpus, load.memory, load.disk, load.network) == (2.0, 7.0, 100.0, 0.0)


def test_after_the_half_life_half_is_new() -> None:
    assert cpus(meter(used(0, 0), used(60, 240), used(120, 240))) == pytest.approx(2.0)


@given(st.lists(st.floats(0.5, 600), min_size=1, max_size=8))
def test_how_often_it_is_measured_changes_nothing(steps: list[float]) -> None:
    """From 4 busy processors to none: only the time since then counts."""
    samples = [used(0, 0), used(60, 240)]
    for step in steps:
        samples.append(used(samples[-1].time_s + step, 240))
    assert cpus(meter(*samples)) == pytest.approx(4 * 0.5 ** (sum(steps) / 60), abs=1e-9)


def test_no_time_no_news() -> None:
    assert cpus(meter(used(0, 0), used(10, 10), used(10, 10))) == 1.0


def test_a_machine_that_was_started_again_keeps_what_was_known() -> None:
    assert cpus(meter(used(0, 0), used(10, 10), used(20, 0))) == 1.0


def test_what_has_no_processor_time_has_no_load() -> None:
    assert meter(used(0), used(10)).load("mock", "1") is None


def test_counters_of_two_hosts_are_not_compared() -> None:
    made = meter(used(0, 0), used(10, 10))
    made.note("other", "mock", {"1": used(1000, 5000)})
    assert cpus(made) == 1.0
    made.note("other", "mock", {"1": used(1060, 5180)})
    assert cpus(made) == 2.0


def test_machines_that_are_gone_are_forgotten() -> None:
    made = meter(used(0, 0), used(10, 10))
    made.keep([])
    assert made.load("mock", "1") is None
