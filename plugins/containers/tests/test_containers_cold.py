"""Machines that move while they are stopped, or are stopped for it: made anew over there, and still the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from vhal_containers.api import ApiError
from vhal_containers.migration import image_transfer

from vhal.driver import MigrationPolicy
from vhal.errors import MigrationFailed, MigrationRefused
from vhal.machine import Machine
from vhal.spec import Cpus, MachineState, Mount

from .moving import World, new_address, world_on

if TYPE_CHECKING:
    # The fixture's class is in the conftest.py above, which pytest loads but nobody can import.
    Engines = Any

MIB = 1 << 20
COLD = MigrationPolicy(live=False)


@pytest.fixture
def world(engines: Engines) -> Iterator[World]:
    with world_on(engines) as world:
        yield world


def temporary(world: World) -> list[str]:
    """Return the names of images that were made for a move only."""
    images = (*world.a.api.images.list(), *world.b.api.images.list())
    return [name for image in images for name in image.names if "vhal-moving" in name]


def test_a_running_one_is_stopped_moved_and_started(world: World) -> None:
    ip = new_address()
    machine = world.running(ip=ip, labels={"a": "b"})
    with world.counting(ip) as asker:
        _, nonce = asker.ask()
    before = machine.info()
    result = machine.migrate(world.b.host, COLD)
    assert not result.live
    assert result.downtime_s > 0
    assert machine.info().model_copy(update={"epoch": 1}) == before
    with world.counting(ip) as asker:
        assert asker.ask()[1] != nonce
    world.a.assert_nothing_is_left()


def test_a_stopped_one_stays_stopped_there_and_back(world: World) -> None:
    machine = world.a.host.create(world.spec("mover", new_address()))
    before = machine.info()
    for epoch, source, target in ((2, world.a, world.b), (3, world.b, world.a)):
        machine.migrate(target.host)
        assert machine.info() == before.model_copy(update={"epoch": epoch})
        source.assert_nothing_is_left()
        assert target.names() == ["mover"]
    machine.start()
    assert machine.state() is MachineState.RUNNING


def test_files_go_along_and_what_was_deleted_stays_deleted(world: World) -> None:
    machine = world.running()
    script = "echo one > /srv/f; chmod 640 /srv/f; chown 12:34 /srv/f; rm /etc/group; ln -s f /srv/l; rmdir /root"
    world.a.inside("mover", script)
    for source, target in ((world.a, world.b), (world.b, world.a)) * 2:
        machine.migrate(target.host, COLD)
        assert target.inside("mover", "stat -c '%a %u %g' /srv/f; cat /srv/l; ls -d /etc/group /root; true") == (
            "640 12 34\none\n"
        )
        target.inside("mover", "echo more >> /srv/more")
        source.assert_nothing_is_left()
        assert temporary(world) == []
    assert target.inside("mover", "wc -l < /srv/more").strip() == "4"
    machine.stop()
    machine.delete()
    world.a.assert_nothing_is_left()


def test_its_volumes_go_along_with_owners_and_links(world: World) -> None:
    machine = world.running(mounts=[Mount(target="/data", volume="own"), Mount(target="/memory", tmpfs="1MiB")])
    script = "echo v > /data/f; chown 12:34 /data/f; ln -s f /data/l; mkdir -m 750 /data/d; echo m > /memory/f"
    world.a.inside("mover", script)
    machine.migrate(world.b.host, COLD)
    look = "stat -c '%a' /data/d; stat -c '%u %g' /data/f; cat /data/l; ls /data /memory"
    assert world.b.inside("mover", look) == "750\n12 34\nv\n/data:\nd\nf\nl\n\n/memory:\n"
    world.a.assert_nothing_is_left()
    machine.stop()
    machine.delete()
    world.b.assert_nothing_is_left()


def test_a_shared_volume_is_neither_copied_nor_deleted(world: World) -> None:
    for side in (world.a, world.b):
        side.api.volumes.create("both")
    machine = world.running(mounts=[Mount(target="/data", volume="both", shared=True)])
    world.a.inside("mover", "echo a > /data/f")
    machine.migrate(world.b.host, COLD)
    assert world.b.inside("mover", "ls /data") == ""
    assert world.a.volumes() == {"both"}


def test_the_image_goes_along(world: World) -> None:
    world.b.api.images.remove(world.image)
    machine = world.a.host.create(world.spec("mover"))
    machine.migrate(world.b.host)
    assert world.b.api.images.inspect(world.image).id == world.image_id


def test_sizes_that_were_changed_go_along(world: World) -> None:
    machine = world.a.host.create(world.spec("mover", cpus=Cpus(count=1)))
    machine.resize(memory="96MiB", cpus=2)
    machine.migrate(world.b.host)
    assert (machine.info().memory, machine.info().cpus) == (96 * MIB, 2)
    machine.start()
    assert world.b.group(machine, "memory", "memory.limit_in_bytes") == 96 * MIB


def test_one_that_was_renamed_keeps_its_name(world: World) -> None:
    machine = world.a.host.create(world.spec("before"))
    world.a.node.run(["podman", "rename", "before", "after"])
    machine.migrate(world.b.host)
    assert world.b.names() == ["after"]
    assert world.b.host.machine(machine.id).name == "after"


def test_one_of_somebody_else_is_refused(world: World) -> None:
    world.a.node.run(["podman", "create", "--name", "theirs", "--network=none", world.image, "/bin/counter"])
    machine = world.a.host.machine("theirs")
    with pytest.raises(MigrationRefused, match="wasn't made by vhal"):
        machine.migrate(world.b.host)
    assert {blocker.code for blocker in machine.preflight(world.b.host).blockers} == {"foreign-cold"}


STEPS = ("commit", "save", "load", "create", "untag", "put")


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_a_failure_leaves_the_source_as_it_was(
    world: World, step: str, late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = world.running(mounts=[Mount(target="/data", volume="own")])
    world.a.inside("mover", "echo v > /data/f; echo f > /srv/f")
    break_at(monkeypatch, step, late=late)
    with pytest.raises(MigrationFailed):
        machine.migrate(world.b.host, COLD)
    monkeypatch.undo()
    assert machine.host is world.a.host
    assert machine.state() is MachineState.RUNNING
    assert world.a.inside("mover", "cat /data/f /srv/f") == "v\nf\n"
    assert temporary(world) == []
    world.b.assert_nothing_is_left()
    assert {image.id for image in world.a.api.images.list()} == world.a.images
    machine.migrate(world.b.host, COLD)
    assert world.b.inside("mover", "cat /data/f /srv/f") == "v\nf\n"


def break_at(monkeypatch: pytest.MonkeyPatch, step: str, *, late: bool) -> None:
    from vhal_containers.api.connection import Connection
    from vhal_containers.api.containers import Containers
    from vhal_containers.api.images import Images

    owner, name = {
        "save": (Images, "save"),
        "load": (Images, "load"),
        "put": (Connection, "put"),
        "untag": (Connection, "post"),
    }.get(step, (Containers, step))
    original: Any = getattr(owner, name)

    def broken(self: Any, *args: Any, **kwargs: Any) -> Any:
        if step == "untag" and not str(args[0]).endswith("/untag"):
            return original(self, *args, **kwargs)
        if late:
            original(self, *args, **kwargs)
        raise ApiError(500, f"{step} is broken", "", "POST", "/")

    monkeypatch.setattr(owner, name, broken)


def test_a_volume_that_appears_meanwhile_is_left_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = world.running(mounts=[Mount(target="/data", volume="own")])
    ship = image_transfer.ship

    def shipped(*args: Any) -> None:
        ship(*args)
        world.b.api.volumes.create("own", labels={"whose": "theirs"})

    monkeypatch.setattr(image_transfer, "ship", shipped)
    with pytest.raises(MigrationFailed, match="meanwhile"):
        machine.migrate(world.b.host, COLD)
    assert machine.state() is MachineState.RUNNING
    assert world.b.api.volumes.inspect("own").labels == {"whose": "theirs"}
    assert world.b.names() == []


def test_a_name_that_is_taken_meanwhile(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    machine: Machine = world.a.host.create(world.spec("mover"))
    ship = image_transfer.ship

    def shipped(*args: Any) -> None:
        ship(*args)
        world.b.api.containers.create({"name": "mover", "image": world.image, "netns": {"nsmode": "none"}})

    monkeypatch.setattr(image_transfer, "ship", shipped)
    with pytest.raises(MigrationFailed, match="in use"):
        machine.migrate(world.b.host)
    assert world.b.names() == ["mover"]
    assert machine.state() is MachineState.STOPPED
