"""A simulated fleet in which one host runs hot: what to move, why, and what came of it. No hypervisor needed."""

from __future__ import annotations

from story import carry, console, fleet, lines, step
from vhal_mock import World

import vhal
from vhal.fleet.balance import plan_balance
from vhal.fleet.rules import Apart
from vhal.fleet.show import text

SIZES = {"db": (8, "24GiB"), "web-1": (4, "8GiB"), "web-2": (4, "8GiB"), "queue": (4, "8GiB"), "cache": (2, "16GiB")}


def busy(name: str, host: str, level: float) -> dict[str, object]:
    """Return a machine of the world that keeps so much of its processors busy."""
    cpus, memory = SIZES.get(name, (2, "6GiB"))
    options = {
        "boot_s": 0,
        "dirty_rate": "200MiB",
        "working_set": 0.2,
        "workload": {"profile": "constant", "level": level},
    }
    spec = {"name": name, "cpus": cpus, "memory": memory, "options": {"mock": options}}
    return {"host": host, "running": True, "spec": {**spec, "labels": {"app": name.partition("-")[0]}}}


world = World.from_spec(
    {
        # A virtual second passes in a fifth of a real one, so that there is something to watch.
        "speed": 5.0,
        "hosts": [{"name": name, "cpus": 16, "memory": "96GiB"} for name in ("alpha", "beta", "gamma", "delta")],
        "machines": [
            *(busy(name, "alpha", 0.9) for name in SIZES),
            busy("batch", "beta", 0.3),
            busy("mail", "gamma", 0.2),
        ],
    }
)

rules = [Apart(name="two of one app aren't on one host", machines="app=web")]
with vhal.Fleet({name: world.url(name) for name in world.hosts}, rules=rules, clock=lambda: world.clock.now_s) as hosts:
    step("four hosts; [bold]alpha[/] runs hot, and has both web servers, which shall be apart")
    before = hosts.snapshot(over_s=10, movable=True)
    fleet(before)

    step("which machines should move, and why")
    plan = plan_balance(before)
    lines(text.plan(plan, console.width - 2))

    step("the moves, as many at once as the hosts allow; each machine runs on while it moves")
    applied = carry(plan, hosts)
    step(f"[bold]{applied}[/]")

    step("a while later")
    after = hosts.snapshot(over_s=10, movable=True)
    fleet(after)
    again = plan_balance(after)
    step(f"planned again: {again.notes[0] if again.notes else f'{len(again.moves)} moves'}")

    step("the same on real hosts: [bold]make demo BACKEND=libvirt[/] (root, Debian)")
