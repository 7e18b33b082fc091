"""Engines behind ssh: a real ssh and a real sshd in the engine's namespaces, with a key that is made for the test."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from vhal_containers.api import Connection
from vhal_containers.api.checkpoints import Checkpoints
from vhal_containers.migration.lines import Lines

from tests.testbed import Lab, Ssh, wait_until
from vhal.driver import MigrationPolicy
from vhal.errors import AccessDenied, HostUnreachable, MigrationFailed
from vhal.host import Host, connect
from vhal.machine import Machine
from vhal.spec import MachineState, Mount

from .moving import Asker, Side, World, counters, new_address, world_on

if TYPE_CHECKING:
    # The fixture's class is in the conftest.py above, which pytest loads but nobody can import.
    Engines = Any


@pytest.fixture(scope="module")
def made(engine_lab: Lab) -> Ssh:
    return Ssh(engine_lab.engines, engine_lab.shared / "ssh")


@pytest.fixture
def ssh(made: Ssh, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ssh]:
    monkeypatch.setenv("PATH", made.path)
    yield made
    made.let_in()
    made.know(["pa", "pb"])


@pytest.fixture
def world(engines: Engines) -> Iterator[World]:
    with world_on(engines) as world:
        yield world


def url(side: Side) -> str:
    return f"containers+ssh://{side.node.name}{side.node.socket}"


@pytest.fixture
def hosts(world: World, ssh: Ssh) -> Iterator[tuple[Host, Host]]:
    """Both engines, by ssh."""
    with connect(url(world.a)) as a, connect(url(world.b)) as b:
        yield a, b


def test_a_life(world: World, hosts: tuple[Host, Host]) -> None:
    host, _ = hosts
    machine = host.create(world.spec("far"))
    machine.start()
    assert [one.name for one in host.machines()] == ["far"]
    assert machine.exec(["/bin/sh", "-c", "echo out; exit 3"]).exit_code == 3
    machine.stop(force=True)
    assert machine.state() is MachineState.STOPPED


def test_a_machine_moves_there_and_back_with_its_connection(world: World, hosts: tuple[Host, Host]) -> None:
    ip = new_address()
    machine = world.running(ip=ip, mib=4)
    with world.counting(ip) as asker:
        before, nonce = asker.ask()
        machine = hosts[0].machine("mover")
        for target in (hosts[1], hosts[0]):
            machine.migrate(target, MigrationPolicy(options={"containers": {"hold": "required"}}))
            after, same = asker.ask()
            assert (same, after >= before) == (nonce, True)
            before = after
    assert (counters(world.a), counters(world.b)) == (1, 0)
    world.b.assert_nothing_is_left()


def test_a_stopped_machine_moves_with_its_volume(world: World, hosts: tuple[Host, Host]) -> None:
    machine = world.a.host.create(world.spec("cold", mounts=[Mount(volume="data", target="/data")]))
    machine.start()
    world.a.inside("cold", "echo kept >/data/word")
    machine.stop(force=True)
    moved = hosts[0].machine("cold")
    moved.migrate(hosts[1])
    moved.start()
    assert world.b.inside("cold", "cat /data/word").strip() == "kept"
    moved.delete(force=True)
    world.a.assert_nothing_is_left()


class TestRefused:
    def test_a_key_that_is_not_let_in(self, world: World, ssh: Ssh) -> None:
        ssh.keep_out()
        with pytest.raises(AccessDenied, match="Permission denied") as caught:
            connect(url(world.a)).info()
        assert "a key that the host lets in" in str(caught.value.hint)

    def test_a_host_that_is_not_known(self, world: World, ssh: Ssh) -> None:
        ssh.know(["pb"])
        with pytest.raises(AccessDenied, match="Host key verification failed") as caught:
            connect(url(world.a)).info()
        assert "known_hosts" in str(caught.value.hint)

    def test_a_host_that_is_not_there(self, ssh: Ssh) -> None:
        with pytest.raises(HostUnreachable, match=r"ssh to nowhere\.invalid") as caught:
            connect("containers+ssh://nowhere.invalid/run/podman/podman.sock").info()
        assert "by hand" in str(caught.value.hint)

    def test_no_engine_over_there(self, world: World, ssh: Ssh) -> None:
        with pytest.raises(HostUnreachable, match="open failed") as caught:
            connect("containers+ssh://pa/run/nobody.sock").info()
        assert "is the engine running there" in str(caught.value.hint)


def at_home(world: World, machine: Machine, asker: Asker, nonce: str) -> None:
    wait_until(lambda: machine.state() is MachineState.RUNNING, deadline=60, what="the machine")
    assert asker.ask()[1] == nonce
    assert (counters(world.a), counters(world.b)) == (1, 0)
    world.b.assert_nothing_is_left()
    assert world.a.rules() == ""


def cut(connection: Connection) -> None:
    """End the ssh that a connection goes through, as a bad network would."""
    tunnel = connection._tunnel
    assert tunnel is not None
    assert tunnel._process is not None
    tunnel._process.send_signal(signal.SIGKILL)


class TestBreaksOff:
    """The source goes on with its memory, and nothing is left at the destination."""

    def test_before_the_freeze(self, world: World, hosts: tuple[Host, Host], ssh: Ssh) -> None:
        ip = new_address()
        world.running(ip=ip, mib=4)
        machine = hosts[0].machine("mover")
        with world.counting(ip) as asker:
            _, nonce = asker.ask()
            ssh.keep_out()
            with pytest.raises(MigrationFailed, match="Permission denied"):
                machine.migrate(hosts[1])
            at_home(world, machine, asker, nonce)

    @pytest.mark.parametrize("side", ["source", "destination"])
    def test_while_the_memory_goes_over(
        self, world: World, hosts: tuple[Host, Host], side: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ip = new_address()
        world.running(ip=ip, mib=32)
        machine = hosts[0].machine("mover")
        lines: list[Lines] = []
        enter, restore = Lines.__enter__, Checkpoints.restore

        def entered(self: Lines) -> Lines:
            lines.append(self)
            return enter(self)

        def restored(self: Checkpoints, archive: Any, **options: Any) -> str:
            def pieces() -> Iterator[bytes]:
                sent = 0
                for piece in archive:
                    yield piece
                    sent += len(piece)
                    if sent > 1 << 20 and lines:
                        cut(getattr(lines.pop(), side).connection)

            return restore(self, pieces(), **options)

        monkeypatch.setattr(Lines, "__enter__", entered)
        monkeypatch.setattr(Checkpoints, "restore", restored)
        with world.counting(ip) as asker:
            _, nonce = asker.ask()
            with pytest.raises(MigrationFailed) as caught:
                machine.migrate(hosts[1])
            assert not lines
            assert caught.value.hint
            at_home(world, machine, asker, nonce)


@pytest.mark.usefixtures("ssh")
def test_nothing_runs_over_there_when_nobody_is_connected(world: World) -> None:
    with connect(url(world.a)) as host:
        host.info()
        assert "sshd" in world.a.node.run(["ps", "-e", "-o", "comm="]).stdout
    wait_until(
        lambda: "sshd" not in world.a.node.run(["ps", "-e", "-o", "comm="]).stdout, deadline=60, what="the end of sshd"
    )
