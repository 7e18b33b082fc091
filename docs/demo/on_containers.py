"""Two real container hosts, one server that counts, and moves back and forth while a client holds one connection.

The hosts live in namespaces of this machine and are gone at the end: each has a podman of its own. The server is a
container without anything special: it doesn't know that it moves, and neither does the client.
"""

from __future__ import annotations

import socket
import threading
import time
from functools import partial

from story import hosts, move, step

import vhal
from tests.testbed import ContainerImage, Lab, LabError, wait_until
from vhal.spec import Process

ADDRESS = "10.99.0.50"
PORT = 7000
IMAGE = "localhost/counter:1"
ROUNDS = 4


class Client:
    """Asks for the count over one connection, as fast as it is answered, and notes how long it had to wait."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._ended = threading.Event()
        self._waits: list[tuple[float, float]] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.count = 0
        self.processes: set[str] = set()
        self._thread.start()

    def longest_wait_since(self, moment: float) -> float:
        """Return the longest wait for an answer that ended after ``moment``, in seconds."""
        return max((wait for at, wait in self._waits if at >= moment), default=0.0)

    def answered_since(self, moment: float) -> bool:
        """Return whether an answer has come since ``moment``."""
        return bool(self._waits) and self._waits[-1][0] > moment

    def end(self) -> None:
        """Ask no more, and close the connection."""
        self._ended.set()
        self._thread.join(60)
        self._connection.close()

    def _run(self) -> None:
        while not self._ended.is_set():
            asked = time.monotonic()
            self._connection.sendall(b"?\n")
            answer = b""
            while not answer.endswith(b"\n"):
                received = self._connection.recv(64)
                if not received:
                    return
                answer += received
            _, count, process = answer.decode().split()
            self.count = int(count)
            self.processes.add(process)
            now = time.monotonic()
            self._waits.append((now, now - asked))
            self._ended.wait(0.005)


def provide(lab: Lab) -> None:
    """Give the first host the image, and both a network that reaches this machine."""
    (lab.shared / "image.tar").write_bytes(ContainerImage.build().rootfs_tar.read_bytes())
    lab.engines[0].run(["podman", "import", "--quiet", str(lab.shared / "image.tar"), IMAGE])
    for engine in lab.engines:
        words = ("--driver", "macvlan", "--opt", "parent=eth0", "--subnet", "10.99.0.0/24", "--gateway", "10.99.0.254")
        engine.run(["podman", "network", "create", *words, "lan"])


def connect(lab: Lab) -> socket.socket:
    """Return a connection to the server, once it listens."""
    found: list[socket.socket] = []

    def listens() -> bool:
        try:
            found.append(lab.connect_tcp(ADDRESS, PORT, timeout=60))
        except OSError:
            return False
        return True

    wait_until(listens, deadline=60, what="an answer of the server")
    return found[0]


def main() -> None:
    """Tell the story."""
    step("two container hosts come up, each with a podman in namespaces of its own")
    with Lab(hosts=0, engines=2) as lab:
        provide(lab)
        urls = [engine.url for engine in lab.engines]
        with vhal.connect(urls[0]) as a, vhal.connect(urls[1]) as b:
            machine = a.create(
                vhal.MachineSpec(
                    name="counter",
                    kind="container",
                    memory="128MiB",
                    boot=vhal.BootImage(image=IMAGE),
                    process=Process(command=("/bin/counter", "16")),
                    nics=[vhal.Nic(network="lan", ip=ADDRESS)],
                )
            )
            machine.start()
            client = Client(connect(lab))
            wait_until(lambda: client.count > 0, deadline=60, what="a first count")
            step(f"a server counts in a container, a client asks it over one connection: [bold]{client.count}[/]")
            hosts((a, b))
            step("it moves to the other host and back, with its memory and its open connection")
            for number in range(ROUNDS):
                target = (b, a)[number % 2]
                begun, before = time.monotonic(), client.count
                move(machine, target)
                arrived = time.monotonic()
                wait_until(partial(client.answered_since, arrived), deadline=60, what="an answer")
                gap = client.longest_wait_since(begun)
                step(
                    f"on [bold]{target.info().name}[/]: [bold]{before}[/] → [bold]{client.count}[/], "
                    f"the client's longest wait was [bold green]{gap * 1000:.0f} ms[/]"
                )
            hosts((a, b))
            client.end()
            if len(client.processes) != 1:
                raise SystemExit("the server was started again")
            step(f"one connection, one process, {ROUNDS} moves")
            machine.stop()
            machine.delete()
    step("the server was stopped, the hosts are gone, nothing is left")


if __name__ == "__main__":
    try:
        main()
    except LabError as error:
        raise SystemExit(f"the hosts could not be brought up: {error}") from None
