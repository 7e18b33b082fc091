"""What the layer *stateful* finds in backends that are wrong in one thing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from vhal_mock.changes import MockResize, MockSnapshots
from vhal_mock.driver import MockDriver
from vhal_mock.host import SimHost
from vhal_mock.world import World

import vhal
from vhal.driver import EventKind
from vhal.errors import NotFound
from vhal.spec import MachineState
from vhal.testing import Harness
from vhal.testing.conformance.lifecycle import live
from vhal.testing.stage import Stage

Patch = pytest.MonkeyPatch


def losing(kind: EventKind) -> Callable[[Patch], None]:
    def patch(patched: Patch) -> None:
        tell = SimHost.tell
        patched.setattr(SimHost, "tell", lambda host, told, *rest: told is kind or tell(host, told, *rest))

    return patch


def an_error_of_another_class(patched: Patch) -> None:
    def kept(_: Any, machine: Any, name: str) -> Any:
        if name not in machine.snapshots:
            raise vhal.VhalError("no", hint="none")
        return machine.snapshots[name]

    patched.setattr(MockSnapshots, "_kept", kept)


def no_hint(patched: Patch) -> None:
    def kept(_: Any, machine: Any, name: str) -> Any:
        if name not in machine.snapshots:
            raise NotFound("no")
        return machine.snapshots[name]

    patched.setattr(MockSnapshots, "_kept", kept)


def sizes_that_stay_at_a_revert(patched: Patch) -> None:
    resize = SimHost.resize

    def wrong(host: SimHost, machine: Any, cpus: int, memory: int) -> None:
        if not machine.has_snapshots:
            resize(host, machine, cpus, memory)

    patched.setattr(SimHost, "resize", wrong)


def a_resize_that_does_nothing(patched: Patch) -> None:
    patched.setattr(MockResize, "resize", lambda *_: None)


def restored_but_paused(patched: Patch) -> None:
    change = MockDriver._change

    def wrong(driver: MockDriver, call: str, machine: Any, state: MachineState) -> None:
        change(driver, call, machine, MachineState.PAUSED if call == "restore" else state)

    patched.setattr(MockDriver, "_change", wrong)


def a_ghost_in_the_listing(patched: Patch) -> None:
    last: list[Any] = []
    delete, machines = MockDriver.delete, MockDriver.machines

    def remembering(driver: MockDriver, id: str, *rest: Any) -> None:
        info = driver.inspect(id)
        delete(driver, id, *rest)
        last[:] = [info]

    patched.setattr(MockDriver, "delete", remembering)
    patched.setattr(MockDriver, "machines", lambda driver: [*machines(driver), *last])


BUGS = [
    losing(EventKind.RESUMED),
    losing(EventKind.MIGRATED_IN),
    an_error_of_another_class,
    no_hint,
    sizes_that_stay_at_a_revert,
    a_resize_that_does_nothing,
    restored_but_paused,
    a_ghost_in_the_listing,
]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__qualname__.partition(".")[0])
def test_it_finds(bug: Callable[[Patch], None], monkeypatch: Patch) -> None:
    world = World.from_spec({"hosts": [{"name": "a"}, {"name": "b"}]})
    harness = Harness(
        open=lambda: MockDriver(world.host("a")), spec=lambda name: vhal.MachineSpec(name=name, memory="64MiB")
    )
    hosts = [vhal.connect(MockDriver(world.host(name))) for name in ("a", "b")]
    monkeypatch.setenv("CI", "1")
    with hosts[0], hosts[1], Stage(harness, hosts) as stage, monkeypatch.context() as patched:
        bug(patched)
        with pytest.raises(AssertionError):
            live(stage, shorten=False)
