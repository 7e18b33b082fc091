"""Three simulated hosts, five machines, one live migration: what vhal does, without a hypervisor."""

from __future__ import annotations

from contextlib import ExitStack

from story import hosts, move, step
from vhal_mock import World

import vhal

world = World.from_spec(
    {
        # A virtual second passes in a third of a real one, so that there is something to watch.
        "speed": 3.0,
        "hosts": [
            {"name": "alpha", "cpus": 8, "memory": "32GiB"},
            {"name": "beta", "cpus": 16, "memory": "64GiB"},
            {"name": "gamma", "cpus": 8, "memory": "32GiB"},
        ],
    }
)

with ExitStack() as stack:
    alpha, beta, gamma = (stack.enter_context(vhal.connect(world.url(name))) for name in world.hosts)

    step("five machines are made and started on three hosts; [bold]alpha[/] gets most of them")
    for host, name, memory in (
        (alpha, "web", "8GiB"),
        (alpha, "db", "12GiB"),
        (alpha, "queue", "4GiB"),
        (beta, "batch", "16GiB"),
        (gamma, "cache", "8GiB"),
    ):
        options = {"mock": {"boot_s": 0, "dirty_rate": "400MiB", "working_set": 0.3}}
        host.create(vhal.MachineSpec(name=name, cpus=2, memory=memory, options=options)).start()
    hosts((alpha, beta, gamma))

    step("what doesn't fit is refused, with what to do about it")
    try:
        gamma.create(vhal.MachineSpec(name="huge", memory="1TiB"))
    except vhal.VhalError as error:
        step(f"[yellow]{error.code}[/]: {error.message} – [italic]{error.hint}[/]")

    step("[bold]alpha[/] runs hot, so [bold]web[/] moves to [bold]beta[/] while it runs")
    vm = alpha.machine("web")
    move(vm, beta)
    hosts((alpha, beta, gamma))

    step("the same script on real hosts: [bold]make demo BACKEND=libvirt[/] (root, Debian)")
