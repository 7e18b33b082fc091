"""A small play in a world, whose log must be the same bytes wherever and whenever it is played.

``python play.py`` prints it; the tests of determinism run it so in other processes.
"""

from __future__ import annotations

import logging
import sys

from vhal_mock.driver import MockDriver
from vhal_mock.world import World

import vhal
from vhal.driver import MigrationPolicy
from vhal.errors import VhalError

SPEC = {
    "seed": 42,
    "hosts": [
        {"name": "a", "memory_overcommit": 2, "memory": "16GiB", "domains": {"rack": "r1"}},
        {"name": "b", "numa": 2, "domains": {"rack": "r1"}, "gpus": [{"scheme": "mig"}]},
        {"name": "c", "bandwidth": "300MB", "latency_s": 0.0003},
    ],
    "links": [{"name": "uplink", "domain": {"rack": "r1"}, "bandwidth": "1GB", "latency_s": 0.0001}],
    "faults": [
        {"at": "migration.transfer.round", "kind": "delay", "probability": 0.3, "seconds": 0.7, "times": None},
        {"at": "*.begin", "kind": "error", "probability": 0.01, "times": None},
        {"at": "inspect.*", "kind": "lost-reply", "probability": 0.02, "times": None},
        {"at": "migration.transfer.round=3", "host": "a", "kind": "slow-link", "seconds": 9, "factor": 0.3},
    ],
}


def play() -> World:
    """Play it and return the world."""
    world = World.from_spec(SPEC)
    a, b, c = (vhal.connect(MockDriver(world.host(name))) for name in "abc")

    def trying(call: object, *args: object) -> object:
        try:
            return call(*args)  # type: ignore[operator]
        except VhalError:
            return None

    made: list[vhal.Machine] = []
    for number in range(8):
        mock = {
            "dirty_rate": f"{40 * number + 1}MiB",
            "workload": {"profile": "burst", "every_s": 7, "length_s": 3, "jitter": 1},
        }
        spec = vhal.MachineSpec(
            name=f"m{number}", memory="3GiB", disks=[vhal.Disk(size="2GiB")], options={"mock": mock}
        )
        vm = trying((a, b)[number % 2].create, spec)
        if isinstance(vm, vhal.Machine):
            made.append(vm)
            trying(vm.start)
    for vm in (vm for vm in made if "running" in str(trying(vm.state))):
        trying(lambda vm=vm: vm.wait("ready", timeout_s=60))
    with world.clock.hold():
        moves = [
            world.clock.begin(lambda vm=vm, to=to: trying(vm.migrate, to, MigrationPolicy(auto_converge=True)))  # type: ignore[misc]
            for vm, to in zip(made, (b, c, c, a, b, c, a, c), strict=False)
        ]
        world.clock.at(world.clock.now_s + 60, lambda: world.host("c").trouble.partition(20))
        world.clock.at(world.clock.now_s + 6, lambda: world.host("b").trouble.hang(8))
        world.clock.at(world.clock.now_s + 90, lambda: world.host("b").trouble.crash(60))
        world.clock.advance(4.5)
        world.log.add("mark", detail="between")
        world.clock.join(*moves)
    world.clock.advance(200)
    world.clock.together(*[lambda vm=vm: trying(lambda: vm.stop(timeout_s=1.5)) for vm in made])
    for vm in made:
        trying(lambda vm=vm: vm.delete(force=True))
    return world


def usage(world: World) -> str:
    """Return what is counted and claimed on each host, to the last digit."""
    lines = []
    for host in world.hosts.values():
        host.count()
        lines.append(f"{host.name} {host.used_cpus} {host.used_memory} {host.used_disk} {host.nodes}")
        lines += [f"{machine.name} {machine.state} {machine.guest.cpu_s!r}" for machine in host.machines.values()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    found = play()
    sys.stdout.write(found.log.text() + usage(found))
