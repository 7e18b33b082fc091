"""The asynchronous face does what the blocking one does, and undoes what a cancelled task began."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from vhal_mock.world import World

import vhal
import vhal.aio
from vhal.aio.console import AsyncConsole
from vhal.aio.events import AsyncEventStream
from vhal.aio.execution import AsyncExecution
from vhal.console import Console
from vhal.execution import Execution
from vhal.guest import Guest
from vhal.host import Host
from vhal.machine import Machine
from vhal.testing import Recorder
from vhal.watch import EventStream

T = TypeVar("T")

PAIRS = [
    (Host, vhal.aio.AsyncHost),
    (Machine, vhal.aio.AsyncMachine),
    (Guest, vhal.aio.AsyncMachine),
    (Console, AsyncConsole),
    (Execution, AsyncExecution),
    (EventStream, AsyncEventStream),
]
# What only makes sense in one of the two: guard and layers are the blocking host's, the count is the blocking stream's.
ONLY_BLOCKING = {"guard", "layer", "dropped"}


def run(main: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(main, 60))


@pytest.mark.parametrize(("blocking", "asynchronous"), PAIRS)
def test_every_public_name_is_mirrored_with_its_parameters(blocking: type[object], asynchronous: type[object]) -> None:
    names = {name for name in vars(blocking) if not name.startswith("_")} - ONLY_BLOCKING
    for name in names:
        ours, theirs = getattr(blocking, name), getattr(asynchronous, name)
        if inspect.isfunction(ours):
            assert inspect.iscoroutinefunction(theirs), name
            assert list(inspect.signature(ours).parameters) == list(inspect.signature(theirs).parameters), name
            defaults = [[p.default for p in inspect.signature(f).parameters.values()] for f in (ours, theirs)]
            assert defaults[0] == defaults[1], name


def test_layers_are_put_around_its_driver_too() -> None:
    async def main() -> None:
        async with await vhal.aio.connect("mock:///a", layers=[Recorder]) as a:
            await a.create(vhal.MachineSpec(name="web"))
            a.host.layer(Recorder).assert_called("create", machine="web")

    run(main())


def test_the_ten_line_script() -> None:
    async def main() -> vhal.MigrationResult:
        world = World.from_spec({"hosts": [{"name": "a"}, {"name": "b"}]})
        async with await vhal.aio.connect(world.url("a")) as a, await vhal.aio.connect(world.url("b")) as b:
            async with await a.events() as events:
                vm = await a.create(vhal.MachineSpec(name="web", cpus=2, memory="2GiB"))
                await vm.start()
                await vm.wait("ready")
                result = await vm.migrate(b)
                assert vm.host is b
                kinds = []
                while (event := await events.next(timeout_s=0.01)) is not None:
                    kinds.append(event.kind)
            assert kinds == ["created", "started", "migrated-out"]
            async with await vm.console() as console:
                assert (await console.expect("ready"))[0] == b"ready"
            await (await b.machine("web")).stop()
            await vm.delete()
            assert await b.machines() == []
            return result

    result = run(main())
    assert result.live
    assert 0 < result.downtime_s < result.total_s


def test_a_cancelled_migration_is_undone_before_the_task_ends() -> None:
    async def main() -> None:
        # Slow enough to be caught in the middle: a virtual second takes a real one, the move needs far more.
        world = World.from_spec({"speed": 1.0, "hosts": [{"name": "a", "bandwidth": "1MiB"}, {"name": "b"}]})
        async with await vhal.aio.connect(world.url("a")) as a, await vhal.aio.connect(world.url("b")) as b:
            vm = await a.create(vhal.MachineSpec(name="web", memory="1GiB"))
            await vm.start()
            move = asyncio.ensure_future(vm.migrate(b))
            while not await b.machines():
                await asyncio.sleep(0)
            move.cancel()
            with pytest.raises(asyncio.CancelledError):
                await move
            assert await b.machines() == []
            assert (await vm.info()).state == "running"

    run(main())


def test_a_cancelled_wait_for_an_event_loses_none() -> None:
    async def main() -> None:
        world = World.from_spec({"hosts": [{"name": "a"}]})
        async with await vhal.aio.connect(world.url("a")) as a, await a.events() as events:
            waiting = asyncio.ensure_future(events.next())
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            await a.create(vhal.MachineSpec(name="web"))
            event = await events.next()
            assert event is not None
            assert event.kind == "created"

    run(main())


def test_errors_come_through_with_their_type() -> None:
    async def main() -> None:
        with pytest.raises(vhal.VhalError) as caught:
            await vhal.aio.connect("mock:///nowhere")
        assert caught.value.code == "not-found"

    run(main())


def test_a_cancelled_console_read_ends_its_thread() -> None:
    async def main() -> None:
        world = World.from_spec({"hosts": [{"name": "a"}]})
        async with await vhal.aio.connect(world.url("a")) as a:
            vm = await a.create(vhal.MachineSpec(name="web"))
            await vm.start()
            console = await vm.console()
            await console.read()
            reading = asyncio.ensure_future(console.read())
            await asyncio.sleep(0)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading

    before = threading.active_count()
    run(main())
    assert threading.active_count() == before


def test_the_inside_of_a_machine(tmp_path: Path) -> None:
    async def main() -> None:
        world = World.from_spec({"hosts": [{"name": "a"}]})
        async with await vhal.aio.connect(world.url("a")) as a:
            vm = await a.create(vhal.MachineSpec(name="web", memory="1GiB"))
            await vm.resize(cpus=2)
            await vm.snapshot("one")
            assert [kept.name for kept in await vm.snapshots()] == ["one"]
            await vm.revert("one")
            await vm.delete_snapshot("one")
            await vm.start()
            assert (await vm.exec(["echo", "hi"])).output == b"hi\n"
            await vm.write_file("/tmp/f", "f")
            assert await vm.read_file("/tmp/f") == b"f"
            await vm.copy_out("/tmp/f", tmp_path / "f")
            await vm.copy_in(tmp_path / "f", "/tmp/g")
            assert (await vm.usage()).processes == 0
            assert list(await a.usage()) == [vm.id]
            async with await vm.spawn(["cat"]) as program:
                await program.write("x")
                assert await program.read(30) == (1, b"x")
                assert await program.exit_code() is None
                await program.close_input()
                assert await program.wait(30) == 0
                assert program.command == ("cat",)

    run(main())


def test_a_cancelled_read_lets_go_of_the_program_and_a_cancelled_wait_doesnt() -> None:
    async def main() -> None:
        world = World.from_spec({"hosts": [{"name": "a"}]})
        vm = await (await vhal.aio.connect(world.url("a"))).create(vhal.MachineSpec(name="web"))
        await vm.start()
        program = await vm.spawn(["cat"])
        for call in (program.wait(), program.read()):
            task = asyncio.ensure_future(call)
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert await program.read() == (0, b"")

    run(main())
