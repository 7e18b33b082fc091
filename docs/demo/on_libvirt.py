"""Three real libvirt hosts, of which one runs hot: the balancer moves a busy guest off it, while it counts.

The hosts live in namespaces of this machine and are gone at the end. The guests are Debian's kernel with a program that
counts on its serial line and on a TCP port; the connection to the busy one stays open all the time.
"""

from __future__ import annotations

import socket

from story import carry, console, fleet, lines, step

import vhal
from tests.testbed import CounterGuest, Lab, LabError, kernel_cmdline
from tests.testbed.guest import PORT
from vhal.fleet.balance import plan_balance
from vhal.fleet.moves.applied import ApplySettings
from vhal.fleet.settings import BalanceSettings
from vhal.fleet.show import text

ADDRESSES = {"one": "10.99.0.50", "two": "10.99.0.51"}


def asked(connection: socket.socket) -> int:
    """Return the guest's count, asked over TCP."""
    connection.sendall(b"?\n")
    answer = b""
    while not answer.endswith(b"\n"):
        received = connection.recv(64)
        if not received:
            raise SystemExit("the guest closed the connection")
        answer += received
    return int(answer.split()[1])


def spec(guest: CounterGuest, name: str) -> vhal.MachineSpec:
    """Return a guest that writes to its memory as fast as it can."""
    cmdline = kernel_cmdline(ip=f"{ADDRESSES[name]}/24", dirty_mib=16, dirty_mib_s=4000)
    return vhal.MachineSpec(
        name=name,
        memory="128MiB",
        boot=vhal.BootKernel(kernel=str(guest.kernel), initrd=str(guest.initrd), cmdline=cmdline),
        nics=[vhal.Nic(bridge="br0")],
        options={"libvirt": {"accelerator": "tcg"}},
    )


def main() -> None:
    """Tell the story."""
    step("guests are built from Debian's kernel and busybox")
    guest = CounterGuest.build()
    step("three libvirt hosts come up, each in namespaces of its own")
    with Lab(hosts=3) as lab, vhal.Fleet({host.name: host.url for host in lab.hosts}) as hosts:
        first = hosts.host(lab.hosts[0].name)
        machines = [first.create(spec(guest, name)) for name in ADDRESSES]
        for vm in machines:
            vm.start()
        step(f"two busy guests boot on host [bold]{lab.hosts[0].name}[/]; their agents will say when they are up")
        for vm in machines:
            vm.wait("ready")
        connections = {name: lab.connect_tcp(address, PORT) for name, address in ADDRESSES.items()}
        before = {name: asked(connection) for name, connection in connections.items()}
        step(f"they count: [bold]{before['one']}[/] and [bold]{before['two']}[/]; loads are measured for 5 s")
        seen = hosts.snapshot(over_s=5, movable=True)
        fleet(seen)

        # What is hot depends on the machine below: emulated guests beside other work make little heat.
        (heat,) = (text.shares(seen, host).load for host in seen.hosts if host.uuid == first.uuid)
        hot = (heat or 0) * 0.75
        step(f"what cools a host with more than {hot:.0%} of its processors busy, and why")
        plan = plan_balance(seen, BalanceSettings(mode="hot", hot=hot, band=0))
        lines(text.plan(plan, console.width - 2))
        if not plan:
            raise SystemExit("there is nothing to move")
        moved = plan.moves[0].machine

        step("it is carried out, while the guests count")
        # Slowly enough to watch.
        carry(plan, hosts, ApplySettings(policy=vhal.MigrationPolicy(bandwidth="128MiB", auto_converge=True)))
        after = asked(connections[moved])
        step(f"same connection, same count, on another host: [bold]{before[moved]}[/] → [bold]{after}[/]")
        fleet(hosts.snapshot(over_s=5))
        if after <= before[moved] or hosts.find(moved).host.uuid == first.uuid:
            raise SystemExit("the guest did not go on elsewhere")
        for connection in connections.values():
            connection.close()
        for vm in hosts.machines():
            vm.stop()
            vm.delete()
    step("the guests were shut down, the hosts are gone, nothing is left")


if __name__ == "__main__":
    try:
        main()
    except LabError as error:
        raise SystemExit(f"the hosts could not be brought up: {error}") from None
