"""Rates of what machines use."""

from __future__ import annotations

import pytest

from vhal.spec import Bytes, Rates, Usage, rates


def test_a_rate_is_what_was_used_over_its_time() -> None:
    first = Usage(time_s=10, cpu_s=5, memory=Bytes(1), read=Bytes(100), written=Bytes(0), received=Bytes(7))
    later = Usage(time_s=14, cpu_s=11, memory=Bytes(9), read=Bytes(500), written=Bytes(0), sent=Bytes(9))
    assert rates(first, later) == Rates(seconds=4, cpus=1.5, read=100, written=0)


@pytest.mark.parametrize("time_s", [10.0, 3.0])
def test_without_time_there_is_none(time_s: float) -> None:
    assert rates(Usage(time_s=10, cpu_s=1), Usage(time_s=time_s, cpu_s=2)) == Rates(seconds=0)


def test_a_counter_that_went_back_is_of_another_run() -> None:
    assert rates(Usage(time_s=1, cpu_s=5, read=Bytes(1)), Usage(time_s=2, cpu_s=1, read=Bytes(2))) == Rates(
        seconds=1, read=1
    )
