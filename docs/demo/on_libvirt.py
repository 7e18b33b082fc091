"""Two real libvirt hosts, one real guest that counts, and a move while it counts.

The hosts live in namespaces of this machine and are gone at the end. The guest is Debian's kernel with a program that
counts on its serial line and on a TCP port; the connection to it stays open all the time.
"""

from __future__ import annotations

import socket

from story import hosts, move, step

import vhal
from tests.testbed import CounterGuest, Lab, LabError, kernel_cmdline
from tests.testbed.guest import PORT

ADDRESS = "10.99.0.50"


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


def main() -> None:
    """Tell the story."""
    step("a guest is built from Debian's kernel and busybox")
    guest = CounterGuest.build()
    step("two libvirt hosts come up, each in namespaces of its own")
    with Lab(hosts=2) as lab:
        urls = [host.url for host in lab.hosts]
        with vhal.connect(urls[0]) as a, vhal.connect(urls[1]) as b:
            vm = a.create(
                vhal.MachineSpec(
                    name="counter",
                    memory="128MiB",
                    boot=vhal.BootKernel(
                        kernel=str(guest.kernel),
                        initrd=str(guest.initrd),
                        cmdline=kernel_cmdline(ip=f"{ADDRESS}/24", dirty_mib=32, dirty_mib_s=8),
                    ),
                    nics=[vhal.Nic(bridge="br0")],
                    options={"libvirt": {"accelerator": "tcg"}},
                )
            )
            vm.start()
            step("the guest boots on host [bold]a[/]; its agent will say when it is up")
            vm.wait("ready")
            hosts((a, b))
            connection = lab.connect_tcp(ADDRESS, PORT)
            before = asked(connection)
            step(f"it counts, and writes 8 MiB a second: [bold]{before}[/]")
            step("it moves to host [bold]b[/] while it counts")
            # Slowly enough to watch; without a limit it takes half as long.
            result = move(vm, b, vhal.MigrationPolicy(bandwidth="32MiB"))
            after = asked(connection)
            step(f"same connection, same count, on the other host: [bold]{before}[/] → [bold]{after}[/]")
            hosts((a, b))
            if after <= before or not result.live:
                raise SystemExit("the count did not go on")
            connection.close()
            vm.stop()
            vm.delete()
    step("the guest was shut down, the hosts are gone, nothing is left")


if __name__ == "__main__":
    try:
        main()
    except LabError as error:
        raise SystemExit(f"the hosts could not be brought up: {error}") from None
