"""Two hosts between which machines move, a counter that holds a connection, and what may be left of a move."""

from __future__ import annotations

import contextlib
import itertools
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vhal_containers.api import Failure, Libpod
from vhal_containers.api.checkpoints import Checkpoints
from vhal_containers.driver import ContainersDriver
from vhal_containers.migration.lines import Lines

from tests.testbed import Engine, Lab, LabError, wait_until
from vhal.driver import MIGRATION, Context, HostUrl, Migration, MigrationPolicy, Offer, Ticket, Transfer
from vhal.errors import NotFound
from vhal.host import Host, connect
from vhal.machine import Machine
from vhal.spec import BootImage, MachineInfo, MachineKind, MachineSpec, MachineState, Nic, Process

if TYPE_CHECKING:
    # The fixture's class is in the conftest.py above, which pytest loads but nobody can import.
    Engines = Any

LAN = "lan"
PORT = 7000
_ANSWER_S = 60.0
_addresses = itertools.count(60)


def new_address() -> str:
    """Return an address that no test used before: nobody remembers a hardware address for it."""
    return f"10.99.0.{next(_addresses) % 40 + 60}"


class Asker:
    """One connection to a counter, for as long as it lasts."""

    def __init__(self, lab: Lab, ip: str) -> None:
        lab.run(["ip", "neigh", "flush", "to", ip])
        links: list[socket.socket] = []

        def connects() -> bool:
            try:
                links.append(lab.connect_tcp(ip, PORT, timeout=60))
            except OSError:
                return False
            return True

        wait_until(connects, deadline=60, what=f"an answer from {ip}")
        self._link = links[0]

    def ask(self) -> tuple[int, str]:
        """Return the count and the nonce of the process that counts."""
        self._link.sendall(b"?\n")
        said = b""
        while not said.endswith(b"\n"):
            data = self._link.recv(64)
            assert data, "the counter closed the connection"
            said += data
        _, count, nonce = said.decode().split()
        return int(count), nonce

    def close(self) -> None:
        self._link.close()


class Watch:
    """Asks all the time, and knows the longest it had to wait."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        self._ended = threading.Event()
        self._gaps: list[tuple[float, float]] = []
        self.nonces: set[str] = set()
        self.counts: list[int] = []
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        wait_until(lambda: self.counts, deadline=30, what="a first count")
        return self

    def __exit__(self, *exc: object) -> None:
        self._ended.set()
        self._thread.join(70)

    def has_more_than(self, answers: int) -> bool:
        """Return whether it was answered more often than that."""
        return len(self.counts) > answers

    def longest_since(self, moment: float) -> float:
        return max((gap for at, gap in self._gaps if at >= moment), default=0.0)

    def _run(self) -> None:
        last = time.monotonic()
        try:
            while not self._ended.is_set():
                count, nonce = self._asker.ask()
                now = time.monotonic()
                self._gaps.append((now, now - last))
                last = now
                self.counts.append(count)
                self.nonces.add(nonce)
                self._ended.wait(0.005)
        except BaseException as failure:  # noqa: BLE001 - told to the test
            self.failure = failure


@dataclass
class Side:
    """One of the two hosts."""

    node: Engine
    api: Libpod
    host: Host
    driver: ContainersDriver
    images: set[str] = field(default_factory=set)

    @property
    def migration(self) -> Migration:
        found = self.driver.provides(MIGRATION)
        assert found is not None
        return found

    def names(self) -> list[str]:
        return sorted(container.name for container in self.api.containers.list())

    def rules(self) -> str:
        return self.node.run(["nft", "list", "ruleset", "netdev"]).stdout

    def neighbours(self, ip: str) -> str:
        return self.node.run(["ip", "neigh", "show", "to", ip]).stdout

    def volumes(self) -> set[str]:
        return {volume.name for volume in self.api.volumes.list()} - {"vhal-host"}

    def assert_nothing_is_left(self) -> None:
        """Nothing of any move: no container, image, volume, record, rule."""
        assert self.names() == []
        assert self.volumes() == set()
        assert {image.id for image in self.api.images.list()} <= self.images
        assert self.rules() == ""

    def clear(self, image: str) -> None:
        """Leave nothing but an image, whatever state a test left the engine in."""
        with contextlib.suppress(LabError):
            self.node.signal_service(signal.SIGCONT)
        with contextlib.suppress(LabError):
            self.node.start_service()
        try:
            self._remove_all(image)
        except Failure:
            # It hangs, or doesn't know what runs: without it its command line can do the same.
            with contextlib.suppress(LabError):
                self.node.signal_service(signal.SIGKILL)
            self.node.run(["podman", "rm", "--all", "--force", "--time", "0"], check=False)
            self.node.start_service()
            self._remove_all(image)

    def _remove_all(self, image: str) -> None:
        self.api.ping(timeout_s=_ANSWER_S)
        for container in self.api.containers.list():
            self.api.containers.delete(container.id, force=True)
        for other in self.api.images.list():
            if other.id != image:
                self.api.images.remove(other.id, force=True)

    def inside(self, name: str, script: str) -> str:
        """Run a shell script in a container and return what it says."""
        return self.node.run(["podman", "exec", name, "/bin/sh", "-c", script]).stdout

    def group(self, machine: Machine, controller: str, file: str) -> int:
        path = self.driver.inventory.find(machine.id).container.state.cgroup
        return int(self.node.run(["cat", f"/sys/fs/cgroup/{controller}{path}/{file}"]).stdout)


@dataclass
class World:
    """Two hosts on one network, with the counter's image on both."""

    lab: Lab
    a: Side
    b: Side
    image: str
    image_id: str

    def spec(self, name: str, ip: str | None = None, mib: int = 0, **fields: Any) -> MachineSpec:
        process = {"command": ("/bin/counter", str(mib)), **fields.pop("process", {})}
        return MachineSpec(
            **{
                "name": name,
                "kind": MachineKind.CONTAINER,
                "memory": "256MiB",
                "boot": BootImage(image=self.image),
                "process": Process(**process),
                "nics": [Nic(network=LAN, ip=ip)] if ip else [],
                **fields,
            }
        )

    def running(self, name: str = "mover", ip: str | None = None, mib: int = 0, **fields: Any) -> Machine:
        machine = self.a.host.create(self.spec(name, ip, mib, **fields))
        machine.start()
        return machine

    @contextmanager
    def counting(self, ip: str) -> Iterator[Asker]:
        asker = Asker(self.lab, ip)
        try:
            yield asker
        finally:
            asker.close()

    def begun(self, machine: Machine | MachineInfo, policy: MigrationPolicy | None = None) -> tuple[Offer, Ticket]:
        """Offer and prepare a move from a to b."""
        policy = policy or MigrationPolicy()
        offer = self.a.migration.offer(machine.id, policy)
        answer = self.b.migration.examine(offer, policy)
        assert answer, answer.blockers
        return offer, self.b.migration.prepare(offer, policy, Context(60))

    def transfer(self, offer: Offer, ticket: Ticket, policy: MigrationPolicy | None = None) -> Transfer:
        return self.a.migration.transfer(offer, ticket, policy or MigrationPolicy(), Context(60))

    def blockers(self, machine: Machine, policy: MigrationPolicy | None = None, **changes: Any) -> set[str]:
        """Return the codes of what stands against a move, of an offer changed so."""
        policy = policy or MigrationPolicy()
        offer = self.a.migration.offer(machine.id, policy)
        if changes:
            offer = offer.model_copy(update={"payload": {**offer.payload, **changes}})
        answer = self.b.migration.examine(offer, policy)
        assert all(blocker.message and blocker.remedy for blocker in answer.blockers)
        return {blocker.code for blocker in answer.blockers}


@contextmanager
def world_on(engines: Engines) -> Iterator[World]:
    """Give the two engines as hosts, with a network; what a test did to them is undone."""
    sides = []
    image_id = engines.a.images.inspect(engines.image).id
    for node, api in zip(engines.lab.engines, (engines.a, engines.b), strict=True):
        if not api.networks.exists(LAN):
            api.networks.create(
                {
                    "name": LAN,
                    "driver": "macvlan",
                    "network_interface": "eth0",
                    "subnets": [{"subnet": "10.99.0.0/24", "gateway": "10.99.0.254"}],
                }
            )
        driver = ContainersDriver.open(HostUrl.parse(node.url))
        sides.append(Side(node, api, connect(driver), driver, {image.id for image in api.images.list()}))
    a, b = sides
    try:
        yield World(engines.lab, a, b, engines.image, image_id)
    finally:
        for side in sides:
            side.host.close()
            side.clear(image_id)
        if not engines.b.images.exists(engines.image):
            with engines.a.images.save(engines.image) as saved:
                engines.b.images.load(saved)


def state(side: Side, machine: Machine) -> MachineState | None:
    try:
        return side.driver.inspect(machine.id).state
    except NotFound:
        return None


def counters(side: Side) -> int:
    """Return how many counters run on a host, whatever its engine knows of them."""
    said = side.node.run(["ps", "-e", "-o", "args="]).stdout.splitlines()
    return sum(line.startswith("/bin/counter") for line in said)


def assert_at_home(world: World, machine: Machine, asker: Asker, nonce: str) -> None:
    """It runs where it was, with its memory and its connection, and the other side has nothing."""
    assert machine.host is world.a.host
    assert machine.state() is MachineState.RUNNING
    assert asker.ask()[1] == nonce
    assert (counters(world.a), counters(world.b)) == (1, 0)
    world.b.assert_nothing_is_left()
    assert world.a.rules() == ""


def put_right(world: World, machine: Machine) -> Side:
    """Bring a machine in doubt to one of the two good ends, as a person would, and return where it runs."""
    if state(world.b, machine) is MachineState.RUNNING:
        assert state(world.a, machine) is not MachineState.RUNNING
        with contextlib.suppress(NotFound):
            world.a.host.machine(machine.id).delete(keep_disks=True)
        return world.b
    if state(world.a, machine) is MachineState.SAVED:
        world.a.host.machine(machine.id).restore()
    assert state(world.a, machine) is MachineState.RUNNING
    return world.a


def soon(seconds: float, action: Callable[[], object]) -> threading.Thread:
    """Do something from another thread, some time from now."""
    thread = threading.Timer(seconds, action)
    thread.start()
    return thread


@contextlib.contextmanager
def at_freeze(action: Callable[[], object]) -> Iterator[None]:
    original = Checkpoints.export

    def export(self: Checkpoints, *args: Any, **kwargs: Any) -> Any:
        action()
        return original(self, *args, **kwargs)

    Checkpoints.export = export  # type: ignore[method-assign]
    try:
        yield
    finally:
        Checkpoints.export = original  # type: ignore[method-assign]


@contextlib.contextmanager
def when_sent(action: Callable[[], object]) -> Iterator[None]:
    original = Lines.sent

    def sent(self: Lines) -> None:
        original(self)
        action()

    Lines.sent = sent  # type: ignore[method-assign]
    try:
        yield
    finally:
        Lines.sent = original  # type: ignore[method-assign]
