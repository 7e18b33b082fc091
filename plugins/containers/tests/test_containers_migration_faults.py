"""Moves that go wrong, at every point: nothing runs twice, no memory is lost, and nothing is left behind."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from vhal_containers.api import Unreachable
from vhal_containers.api.checkpoints import Checkpoints
from vhal_containers.api.connection import Connection
from vhal_containers.migration import image_transfer
from vhal_containers.migration.lines import Lines

from tests.testbed import wait_until
from vhal.driver import Context, MigrationPolicy, Progress
from vhal.errors import (
    InsufficientResources,
    MigrationFailed,
    MigrationInDoubt,
    MigrationRefused,
    OperationAborted,
    OperationTimeout,
    VhalError,
)
from vhal.machine import Machine
from vhal.operation import begin
from vhal.spec import MachineState

from .moving import LAN, Side, World, assert_at_home, at_freeze, counters, new_address, put_right, soon, world_on

if TYPE_CHECKING:
    # The fixture's class is in the conftest.py above, which pytest loads but nobody can import.
    Engines = Any

ROOT = Path(__file__).parents[3]


@pytest.fixture
def world(engines: Engines) -> Iterator[World]:
    with world_on(engines) as world:
        yield world


class TestEveryCall:
    """The engines' API fails once, at each call of a move in turn, before it or after it took effect."""

    def calls(self, world: World, machine: Machine) -> list[str]:
        with injected(-1, late=False) as made:
            machine.migrate(world.b.host)
            machine.migrate(world.a.host)
        return made[: len(made) // 2]

    @pytest.mark.timeout(600)
    @pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
    def test_nothing_runs_twice_and_nothing_is_lost(self, world: World, late: bool) -> None:
        ip = new_address()
        machine = world.running(ip=ip)
        ended: dict[str, int] = {}
        with world.counting(ip) as asker:
            _, nonce = asker.ask()
            made = self.calls(world, machine)
            for number, what in enumerate(made):
                if late and what.startswith("GET"):
                    continue
                with injected(number, late=late):
                    try:
                        machine.migrate(world.b.host)
                        outcome = "moved"
                    except MigrationInDoubt:
                        outcome = "in doubt"
                    except (MigrationFailed, MigrationRefused, VhalError):
                        outcome = "stayed"
                assert counters(world.a) + counters(world.b) <= 1, (number, what, outcome)
                where = put_right(world, machine)
                assert counters(world.a) + counters(world.b) == 1, (number, what, outcome)
                assert asker.ask()[1] == nonce, (number, what, outcome)
                assert (world.a.rules(), world.b.rules()) == ("", ""), (number, what)
                if where is world.a:
                    assert (world.b.names(), world.b.volumes()) == ([], set()), (number, what, outcome)
                ended[outcome] = ended.get(outcome, 0) + 1
                machine = where.host.machine("mover")
                if where is world.b:
                    # A source that couldn't be tidied may keep the record; without the machine it counts for nothing.
                    left = {name for name in world.a.volumes() if not name.startswith("vhal-record-")}
                    assert (world.a.names(), left) == ([], set()), (number, what, outcome)
                    machine.migrate(world.a.host)
        assert ended.keys() >= {"stayed"}
        assert ended.get("in doubt", 0) <= len(made) // 2


@contextlib.contextmanager
def injected(number: int, *, late: bool) -> Iterator[list[str]]:
    """Have the call of that number fail, counted over all connections; give what is called."""
    original = Connection.stream
    made: list[str] = []

    @contextlib.contextmanager
    def stream(self: Connection, method: str, path: str, *args: Any, **kwargs: Any) -> Iterator[Any]:
        made.append(f"{method} {path}")
        mine = len(made) - 1 == number
        if mine and not late:
            raise Unreachable("cut before", sent=True)
        with original(self, method, path, *args, **kwargs) as answer:
            if mine:
                answer.discard()
                raise Unreachable("cut after", sent=True)
            yield answer

    Connection.stream = stream  # type: ignore[method-assign]
    try:
        yield made
    finally:
        Connection.stream = original  # type: ignore[method-assign]


class TestCut:
    def test_a_lost_answer_of_an_engine_that_goes_on_is_no_failure(self, world: World) -> None:
        ip = new_address()
        machine = world.running(ip=ip)
        lines: list[Lines] = []
        original = Lines.sent

        def sent(self: Lines) -> None:
            original(self)
            lines.append(self)
            soon(0.05, self.destination.connection.close)

        with world.counting(ip) as asker:
            _, nonce = asker.ask()
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Lines, "sent", sent)
                machine.migrate(world.b.host)
            assert lines
            assert asker.ask()[1] == nonce
            assert machine.host is world.b.host
            world.a.assert_nothing_is_left()

    @pytest.mark.parametrize("most", [0, 1000, 100_000, 4_000_000])
    def test_a_stream_that_breaks_off(self, world: World, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
        ip = new_address()
        machine = world.running(ip=ip, mib=8)
        original = Checkpoints.restore

        def restore(self: Checkpoints, archive: Any, **kwargs: Any) -> str:
            def pieces() -> Iterator[bytes]:
                sent = 0
                for piece in archive:
                    yield piece[: most - sent]
                    sent += len(piece)
                    if sent >= most:
                        self._connection.close()
                        return

            return original(self, pieces(), **kwargs)

        monkeypatch.setattr(Checkpoints, "restore", restore)
        with world.counting(ip) as asker:
            _, nonce = asker.ask()
            with pytest.raises(MigrationFailed):
                machine.migrate(world.b.host)
            assert_at_home(world, machine, asker, nonce)

    @pytest.mark.parametrize(
        "damage",
        [
            lambda data: data[: len(data) // 2],
            lambda data: data.replace(b'"mover"', b'"mauve"', 2),
            lambda data: b"<html>" * 1000,
            lambda data: b"",
        ],
        ids=["truncated", "foreign", "rubbish", "empty"],
    )
    def test_an_archive_that_is_not_what_it_should_be(
        self, world: World, damage: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ip = new_address()
        machine = world.running(ip=ip)
        original = Checkpoints.export

        @contextlib.contextmanager
        def export(self: Checkpoints, *args: Any, **kwargs: Any) -> Iterator[Any]:
            with original(self, *args, **kwargs) as archive:
                yield iter([damage(b"".join(archive))])

        monkeypatch.setattr(Checkpoints, "export", export)
        with world.counting(ip) as asker:
            _, nonce = asker.ask()
            with pytest.raises(MigrationFailed, match="checkpoint of 'mover' can't be used"):
                machine.migrate(world.b.host)
            assert_at_home(world, machine, asker, nonce)


class TestDestinationChangesItsMind:
    @pytest.mark.parametrize("what", ["name", "network", "image", "address"])
    def test_between_the_examination_and_the_arrival(self, world: World, what: str) -> None:
        ip = new_address()
        machine = world.running(ip=ip)

        def change() -> None:
            if what == "name":
                world.b.api.containers.create({"name": "mover", "image": world.image, "netns": {"nsmode": "none"}})
            elif what == "network":
                world.b.api.networks.remove(LAN)
            elif what == "image":
                world.b.api.images.remove(world.image)
            else:
                world.b.host.create(world.spec("thief", ip)).start()

        with world.counting(ip) as asker:
            _, nonce = asker.ask()
            with at_freeze(change), pytest.raises(MigrationFailed):
                machine.migrate(world.b.host)
            for side in (world.b,):
                for container in side.api.containers.list():
                    assert container.labels.get("io.vhal.id") != machine.id
                    side.api.containers.delete(container.id, force=True)
            world.lab.run(["ip", "neigh", "flush", "to", ip])
            assert_at_home(world, machine, asker, nonce)


@contextlib.contextmanager
def full(side: Side, folder: str) -> Iterator[None]:
    """Leave room for next to nothing in a folder of a host."""
    side.node.run(["mkdir", "-p", folder])
    side.node.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder])
    try:
        yield
    finally:
        side.node.run(["umount", "-l", folder])


class TestDiskIsFull:
    """The error says so, and what to do; the source goes on with its memory, and nothing is left."""

    def move(self, world: World, machine: Machine, policy: MigrationPolicy | None = None) -> None:
        with pytest.raises(MigrationFailed) as caught:
            machine.migrate(world.b.host, policy)
        assert isinstance(caught.value.__cause__, InsufficientResources)
        assert "make room" in str(caught.value)

    def test_at_the_destination(self, world: World) -> None:
        ip = new_address()
        machine = world.running(ip=ip, mib=32)
        with world.counting(ip) as asker:
            _, nonce = asker.ask()
            # Where the engine keeps what comes before it unpacks it.
            with full(world.b, "/var/tmp"):
                self.move(world, machine)
            assert_at_home(world, machine, asker, nonce)

    @pytest.mark.parametrize("where", ["archive", "checkpoint"])
    def test_on_the_source(self, world: World, where: str) -> None:
        ip = new_address()
        machine = world.running(ip=ip, mib=32)
        own = world.a.node.run(["podman", "inspect", "--format", "{{.StaticDir}}", "mover"]).stdout.strip()
        with world.counting(ip) as asker:
            _, nonce = asker.ask()
            with full(world.a, "/var/tmp" if where == "archive" else f"{own}/checkpoint"):
                self.move(world, machine)
            assert_at_home(world, machine, asker, nonce)
            machine.migrate(world.b.host)
            assert asker.ask()[1] == nonce

    @pytest.mark.parametrize("victim", ["source", "destination"])
    def test_while_it_moves_cold(self, world: World, victim: str) -> None:
        machine = world.running()
        world.a.inside("mover", "head -c 32000000 /dev/urandom >/data")
        with full(world.a if victim == "source" else world.b, "/var/tmp"):
            self.move(world, machine, MigrationPolicy(live=False))
        assert machine.state() is MachineState.RUNNING
        assert world.a.inside("mover", "wc -c </data").strip() == "32000000"
        world.b.assert_nothing_is_left()
        assert {image.id for image in world.a.api.images.list()} <= world.a.images


class TestEnded:
    @pytest.mark.parametrize("phase", ["image", "freeze", "memory"])
    def test_by_an_abort(self, world: World, phase: str) -> None:
        world.b.api.images.remove(world.image)
        ip = new_address()
        machine = world.running(ip=ip, mib=16)
        with world.counting(ip) as asker:
            _, nonce = asker.ask()
            operation = begin(machine.migrate, world.b.host, MigrationPolicy(bandwidth="4MiB"))
            for progress in operation.updates():
                if progress.message == phase:
                    operation.abort()
            with pytest.raises(OperationAborted):
                operation.result()
            assert_at_home(world, machine, asker, nonce)

    def test_by_the_deadline(self, world: World) -> None:
        ip = new_address()
        machine = world.running(ip=ip, mib=32)
        with world.counting(ip) as asker:
            _, nonce = asker.ask()
            with pytest.raises(OperationTimeout):
                machine.migrate(world.b.host, MigrationPolicy(bandwidth="4MiB"), timeout_s=3)
            assert_at_home(world, machine, asker, nonce)

    def test_by_an_exception_of_whoever_watches(self, world: World) -> None:
        machine = world.running()
        offer, ticket = world.begun(machine)

        def watch(progress: Progress) -> None:
            if progress.message == "memory":
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            world.a.migration.transfer(offer, ticket, MigrationPolicy(), Context(60, on_progress=watch))
        world.b.migration.cancel(ticket, Context())
        world.a.migration.resume(offer, Context())
        assert machine.state() is MachineState.RUNNING
        world.b.assert_nothing_is_left()

    def test_by_itself_while_its_image_goes_over(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        machine = world.running()
        ship = image_transfer.ship

        def shipped(*args: Any) -> None:
            ship(*args)
            world.a.node.run(["podman", "kill", "mover"])
            wait_until(lambda: machine.state() is not MachineState.RUNNING, deadline=20, what="its end")

        monkeypatch.setattr(image_transfer, "ship", shipped)
        with pytest.raises(MigrationFailed):
            machine.migrate(world.b.host)
        world.b.assert_nothing_is_left()
        machine = world.a.host.machine("mover")
        assert machine.state() in (MachineState.STOPPED, MachineState.SAVED)
