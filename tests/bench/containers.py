"""Containers on a real podman: making them, listing them, moving them, against the same calls made without vhal.

The bare client is Python's own ``http.client`` on the engine's socket; podman-py and podman's command line do the same
work. A move is measured by a client that holds one TCP connection: the longest time without an answer.
"""

from __future__ import annotations

import json
import socket
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import vhal
from tests.bench.measure import Ratio, compare, timed
from tests.testbed import ContainerImage, Engine, Lab, wait_until
from tests.testbed.engine import UnixConnection
from vhal.spec import BootImage, MachineKind, Process

API = "/v4.0.0/libpod"
IMAGE = "localhost/counter:1"
NETWORK = "lan"
PORT = 7000
ADDRESS = "10.99.0.77"
ULIMITS = {"nofile": 8192, "nproc": 16384}
MANY = 200
PIECE = 1 << 20


class Bare:
    """One engine, spoken to without vhal: a kept-alive connection, as vhal has one."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._line = UnixConnection(engine.socket, timeout=120)

    def call(self, method: str, path: str, body: Any = None) -> bytes:
        """Send JSON or nothing; return what came."""
        headers = {"Content-Type": "application/json"} if body is not None else {}
        self._line.request(method, API + path, json.dumps(body) if body is not None else None, headers)
        answer = self._line.getresponse()
        data = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {data[:300]!r}")
        return data

    def move_to(self, other: Bare, name: str) -> None:
        """Checkpoint, stream, restore, remove: nothing else."""
        source, target = (UnixConnection(side._engine.socket, timeout=120) for side in (self, other))
        source.request("POST", f"{API}/containers/{name}/checkpoint?export=true&keep=true&tcpEstablished=true")
        archive = source.getresponse()
        assert archive.status == 200, archive.read()
        target.request(
            "POST",
            f"{API}/containers/{name}/restore?import=true&tcpEstablished=true",
            iter(lambda: archive.read(PIECE), b""),
            {"Content-Type": "application/x-tar"},
            encode_chunked=True,
        )
        done = target.getresponse()
        said = done.read()
        assert done.status < 300, said
        source.close()
        target.close()
        self.call("DELETE", f"/containers/{name}?force=true&timeout=0")


class Client:
    """Asks the container for its count all the time, over one connection, and keeps how long each answer took."""

    def __init__(self, lab: Lab) -> None:
        lab.run(["ip", "neigh", "flush", "to", ADDRESS])
        link: list[socket.socket] = []

        def connects() -> bool:
            try:
                link.append(lab.connect_tcp(ADDRESS, PORT, timeout=30))
            except OSError:
                return False
            return True

        wait_until(connects, deadline=60, what="the container's answer")
        self._link = link[0]
        self._link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.answers: list[tuple[float, float]] = []
        self.nonces: set[str] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with self._link as link, link.makefile("rb") as lines:
            last = time.perf_counter()
            while not self._over.is_set():
                link.sendall(b"?\n")
                self.nonces.add(lines.readline().decode().split()[2])
                now = time.perf_counter()
                self.answers.append((now, now - last))
                last = now
                self._over.wait(0.004)

    def gap(self, move: Callable[[], object]) -> float:
        """Return the longest silence while ``move`` was under way, when it is over and an answer has come."""
        begun = time.perf_counter()
        move()
        moved = time.perf_counter()
        wait_until(
            lambda: bool(self.answers) and self.answers[-1][0] > moved, deadline=60, what="an answer after the move"
        )
        if not self._thread.is_alive():
            raise RuntimeError("the connection broke")
        return max(took for at, took in self.answers if at >= begun)

    def close(self) -> None:
        """End it."""
        self._over.set()
        self._thread.join(60)


def _spec(name: str, **fields: Any) -> vhal.MachineSpec:
    mib = fields.pop("mib", 0)
    return vhal.MachineSpec(
        name=name,
        kind=MachineKind.CONTAINER,
        memory="512MiB",
        boot=BootImage(image=IMAGE),
        process=Process(command=["/bin/counter", str(mib)]),
        **fields,
    )


def _provide(lab: Lab) -> None:
    image = ContainerImage.build()
    first, second = lab.engines
    tar = lab.shared / "rootfs.tar"
    tar.write_bytes(image.rootfs_tar.read_bytes())
    saved = lab.shared / "image.tar"
    first.run(["podman", "import", "--quiet", str(tar), IMAGE])
    first.run(["podman", "save", "--quiet", "--output", str(saved), IMAGE])
    second.run(["podman", "load", "--quiet", "--input", str(saved)])
    for engine in lab.engines:
        words = ["--driver", "macvlan", "--opt", "parent=eth0", "--subnet", "10.99.0.0/24"]
        engine.run(["podman", "network", "create", *words, NETWORK])


@contextmanager
def _held(engine: Engine) -> Iterator[None]:
    # Without it the connection of the bare sequence breaks after a few moves.
    rules = (
        "table netdev bare {\n"
        'chain arriving { type filter hook ingress device "eth0" priority -500;\n'
        f"ip daddr {ADDRESS} drop\n}}\n}}\n"
    )
    engine.run(["nft", "--file", "-"], input=rules)
    try:
        yield
    finally:
        engine.run(["nft", "delete", "table", "netdev", "bare"])


def _making(lab: Lab, host: vhal.Host) -> Iterator[Ratio]:
    engine = lab.engines[0]
    bare = Bare(engine)
    host.create(_spec("model"))
    model = json.loads(bare.call("GET", "/containers/model/json"))
    labels: dict[str, str] = model["Config"]["Labels"]
    host.machine("model").delete()
    document = {
        "name": "bench",
        "image": IMAGE,
        "command": ["/bin/counter", "0"],
        "netns": {"nsmode": "none"},
        "labels": labels,
        "resource_limits": {
            "memory": {"limit": 512 << 20, "swap": 512 << 20},
            "cpu": {"quota": 100_000, "period": 100_000},
        },
        "r_limits": [{"type": name, "soft": most, "hard": most} for name, most in ULIMITS.items()],
    }

    def gone() -> None:
        bare.call("DELETE", "/containers/bench?force=true&timeout=0")

    def measured(make: Callable[[], object]) -> Callable[[], float]:
        def once() -> float:
            seconds = timed(make)
            gone()
            return seconds

        return once

    def ours() -> None:
        host.create(_spec("bench")).start()

    def by_hand() -> None:
        bare.call("POST", "/containers/create", document)
        bare.call("POST", "/containers/bench/start")

    def by_command() -> None:
        words = ["podman", "run", "--detach", "--name=bench", "--memory=512m", "--cpus=1", "--network=none"]
        words += [f"--label={name}={value}" for name, value in labels.items()]
        words += [f"--ulimit={name}={most}:{most}" for name, most in ULIMITS.items()]
        words += [IMAGE, "/bin/counter", "0"]
        subprocess.run(["nsenter", f"--target={engine.pid}", "--all", *words], check=True, stdout=subprocess.DEVNULL)

    # A start takes between 60 and 95 ms by itself, so the medians of a few differ by a tenth either way.
    yield compare("create and start a container / bare HTTP", measured(ours), measured(by_hand), limit=1.10, runs=75)
    yield compare(
        "create and start a container / podman's command line", measured(ours), measured(by_command), limit=1.0, runs=9
    )
    yield from _podman_py(engine, labels, measured(ours), measured)


def _podman_py(
    engine: Engine,
    labels: dict[str, str],
    ours: Callable[[], float],
    measured: Callable[[Callable[[], object]], Callable[[], float]],
) -> Iterator[Ratio]:
    from podman import PodmanClient

    with PodmanClient(base_url=f"http+unix://{engine.socket}") as client:

        def theirs() -> None:
            client.containers.run(
                IMAGE,
                ["/bin/counter", "0"],
                name="bench",
                network_mode="none",
                mem_limit="512m",
                memswap_limit="512m",
                cpu_period=100_000,
                cpu_quota=100_000,
                labels=labels,
                ulimits=[{"Name": name, "Soft": most, "Hard": most} for name, most in ULIMITS.items()],
                detach=True,
            )

        yield compare("create and start a container / podman-py", ours, measured(theirs), limit=1.0, runs=15)


def _listing(lab: Lab, host: vhal.Host) -> Iterator[Ratio]:
    bare = Bare(lab.engines[0])
    for number in range(MANY):
        document = {"name": f"one{number}", "image": IMAGE, "command": ["/bin/true"], "netns": {"nsmode": "none"}}
        bare.call("POST", "/containers/create", document)

    def ours() -> None:
        assert len(host.machines()) == MANY

    def by_hand() -> None:
        assert len(json.loads(bare.call("GET", "/containers/json?all=true"))) == MANY

    yield compare(
        f"list {MANY} containers / bare HTTP and JSON",
        lambda: timed(ours),
        lambda: timed(by_hand),
        limit=2.0,
        note="two requests, the second for what podman forgets",
    )
    for number in range(MANY):
        bare.call("DELETE", f"/containers/one{number}?force=true&timeout=0")


def _moving(lab: Lab, hosts: list[vhal.Host], *, mib: int, runs: int, limit: float) -> Iterator[Ratio]:
    bares = [Bare(engine) for engine in lab.engines]
    spec = _spec("mover", mib=mib, nics=[vhal.Nic(network=NETWORK, ip=f"{ADDRESS}/24")])
    hosts[0].create(spec).start()
    client = Client(lab)
    here = 0

    def ours() -> float:
        nonlocal here
        machine = hosts[here].machine("mover")
        seconds = client.gap(lambda: machine.migrate(hosts[1 - here]))
        here = 1 - here
        return seconds

    def by_hand() -> float:
        nonlocal here

        def move() -> None:
            with _held(lab.engines[1 - here]):
                bares[here].move_to(bares[1 - here], "mover")

        seconds = client.gap(move)
        here = 1 - here
        return seconds

    size = f"{mib} MiB in memory" if mib else "small"
    yield compare(
        f"gap that a client sees while a container moves, {size} / bare HTTP",
        ours,
        by_hand,
        limit=limit,
        runs=runs,
        note="one connection all the time",
    )
    if not mib:
        gaps = [ours() for _ in range(50)]
        assert len(client.nonces) == 1, "the process was started anew"
        middle = statistics.median(gaps)
        yield Ratio(
            "50 moves in a row on one connection, all kept", middle, middle, 1.0, 1.0, 50, f"longest {max(gaps):.2f} s"
        )
    client.close()
    hosts[here].machine("mover").delete(force=True)


def ratios() -> Iterator[Ratio]:
    """Yield the comparisons."""
    with Lab(hosts=0, engines=2) as lab:
        _provide(lab)
        with vhal.connect(lab.engines[0].url) as a, vhal.connect(lab.engines[1].url) as b:
            yield from _making(lab, a)
            yield from _listing(lab, a)
            yield from _moving(lab, [a, b], mib=0, runs=11, limit=1.10)
            yield from _moving(lab, [a, b], mib=128, runs=7, limit=1.15)
