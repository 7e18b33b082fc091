"""One script, any engine: only the URLs differ."""

from __future__ import annotations

import vhal
from tests.scenarios.conftest import Pair
from tests.testbed import wait_until


def test_the_script_of_the_readme(pair: Pair) -> None:
    with vhal.connect(pair.a) as a, vhal.connect(pair.b) as b:
        vm = a.create(pair.spec("web"))
        vm.start()
        result = vm.migrate(b)
        assert "downtime" in str(result)
        b.machine("web").wait("ready")
        b.machine("web").stop()
        b.machine("web").delete()
        assert a.machines() == b.machines() == []


def test_a_whole_life_tells_the_same_story(pair: Pair) -> None:
    """The observable states, errors and events of one sequence of calls are the engine's business in no way."""
    story: list[str] = []
    with vhal.connect(pair.a) as a, vhal.connect(pair.b) as b, a.events() as at_a, b.events() as at_b:
        vm = a.create(pair.spec("life").replace(labels={"team": "blue"}))

        def note(what: str) -> None:
            story.append(f"{what}: {vm.state()}")

        for call in (vm.start, vm.start, vm.pause, vm.stop, vm.resume, vm.wait, vm.save, vm.start, vm.restore):
            try:
                call()
                note(call.__name__)
            except vhal.VhalError as error:
                note(f"{call.__name__} {error.code}")
        result = vm.migrate(b)
        story.append(f"live {result.live}, epoch {vm.info().epoch}, labels {dict(vm.info().labels)}")
        vm.wait("ready")
        vm.stop()
        note("stop")
        vm.delete()
        kinds = {"a": [], "b": []}  # type: dict[str, list[str]]

        def ended() -> bool:
            for name, stream in (("a", at_a), ("b", at_b)):
                while (event := stream.next(timeout_s=0.01)) is not None:
                    kinds[name].append(event.kind)
            return "deleted" in kinds["b"] and "migrated-out" in kinds["a"]

        wait_until(ended, deadline=30, what="the last events")
    assert story == [
        "start: running",
        "start invalid-state: running",
        "pause: paused",
        "stop invalid-state: paused",
        "resume: running",
        "wait: running",
        "save: saved",
        "start invalid-state: saved",
        "restore: running",
        story[9],
        "stop: stopped",
    ]
    assert story[9] == "live True, epoch 2, labels {'team': 'blue'}"
    assert kinds["a"] == ["created", "started", "paused", "resumed", "saved", "restored", "migrated-out"]
    assert kinds["b"] == ["migrated-in", "stopped", "deleted"]


def test_one_count_goes_on_across_the_move(real: Pair) -> None:
    """The main job: a machine is made on host A, counts, moves to host B while it counts, and the count goes on."""
    with vhal.connect(real.a) as a, vhal.connect(real.b) as b:
        vm = a.create(real.spec("counter"))
        vm.start()
        pattern = r"count (\d+)\r?\n"
        with vm.console() as console:
            before = int(console.expect(pattern)[1])
        result = vm.migrate(b)
        with vm.console() as console:
            after = int(console.expect(pattern)[1])
        assert after > before
        assert vm.host is b
        assert a.machines() == []
        assert 0 < result.downtime_s < result.total_s
        assert result.transferred > 0
        assert result.iterations > 0


def test_a_stopped_machine_that_moves_tells_where_it_was(pair: Pair) -> None:
    with vhal.connect(pair.a) as a, vhal.connect(pair.b) as b, a.events() as events:
        vm = a.create(pair.spec("still"))
        assert not vm.migrate(b).live
        kinds: list[str] = []

        def left() -> bool:
            while (event := events.next(timeout_s=0.01)) is not None:
                kinds.append(event.kind)
            return "migrated-out" in kinds

        wait_until(left, deadline=30, what="the event of its leaving")
        assert kinds == ["created", "migrated-out"]
        vm.delete()


def test_a_cold_move_stops_and_starts(pair: Pair) -> None:
    with vhal.connect(pair.a) as a, vhal.connect(pair.b) as b:
        vm = a.create(pair.spec("cold"))
        vm.start()
        vm.wait("ready")
        result = vm.migrate(b, vhal.MigrationPolicy(live=False))
        assert not result.live
        assert 0 < result.downtime_s <= result.total_s
        assert b.machine("cold").state() == "running"
        assert a.machines() == []
        vm.delete(force=True)
