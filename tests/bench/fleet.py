"""Looking at a fleet of hosts that are far away, against asking one of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from vhal_mock.driver import MockDriver
from vhal_mock.world import World

import vhal
from tests.bench.measure import Ratio, compare, timed
from vhal.fleet.fleet import Fleet
from vhal.layers.calls import Call
from vhal.layers.funnel import Around

HOSTS = 100
LATENCY_S = 0.05
LIMIT_S = 0.5


class FarAway(Around):
    """A driver whose every call takes as long as a round trip of :data:`LATENCY_S`."""

    def around(self, call: Call, method: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        time.sleep(LATENCY_S)
        return method(*args, **kwargs)


def ratios() -> Iterator[Ratio]:
    """Yield how many times the limit of half a second a snapshot takes."""
    world = World.from_spec(
        {
            "hosts": [{"name": "h", "count": HOSTS}],
            "machines": [
                {"host": f"h{number}", "running": True, "count": 10, "spec": {"name": f"m{number}-"}}
                for number in range(1, HOSTS + 1)
            ],
        }
    )
    hosts = {name: vhal.connect(FarAway(MockDriver(world.host(name)))) for name in world.hosts}
    with Fleet(hosts) as fleet:
        found = fleet.snapshot()
        assert len(found.machines) == 10 * HOSTS
        assert {host.status for host in found.hosts} == {"up"}
        yield compare(
            f"snapshot of {HOSTS} hosts at {LATENCY_S * 1000:.0f} ms / {LIMIT_S} s",
            lambda: timed(fleet.snapshot),
            lambda: LIMIT_S,
            limit=1.0,
            note="three calls a host; 1,000 machines",
        )
    for host in hosts.values():
        host.close()
