"""What a recorder keeps, and the assertions that a test makes of it."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from vhal_mock.world import World

import vhal
from tests.unit.fakes import FakeDriver, NativeError, raises
from vhal.driver import Context, StopMode
from vhal.errors import EngineError, NotFound
from vhal.layers.record import Recorder
from vhal.spec import MachineState

S = MachineState


@pytest.fixture
def host() -> vhal.Host:
    world = World.from_spec({"hosts": [{"name": "a"}]})
    return vhal.connect(world.url("a"), layers=[Recorder])


@pytest.fixture
def recorder(host: vhal.Host) -> Recorder:
    return host.layer(Recorder)


def test_keeps_what_was_called_and_what_came_of_it(host: vhal.Host, recorder: Recorder) -> None:
    vm = host.create(vhal.MachineSpec(name="web", cpus=2))
    vm.start()
    (made,) = recorder.calls("create")
    assert (made.machine, made.thread) == ("web", threading.current_thread().name)
    assert made.arguments["spec"]["cpus"]["count"] == 2
    assert made.result.id == vm.id
    assert made.ended_s is not None
    assert made.ended_s >= made.begun_s
    (started,) = recorder.calls("start", machine="web")
    assert started.arguments == {"id": vm.id}
    assert started.number > made.number
    assert [record.number for record in recorder.calls()] == list(range(1, recorder.count() + 1))


def test_keeps_errors_as_ours() -> None:
    inner = FakeDriver("here", S.RUNNING)
    recorder = Recorder(inner)
    inner.on["stop"] = raises(NativeError("no"))
    with pytest.raises(NativeError):
        recorder.stop("1", StopMode.FORCED, Context())
    inner.on["stop"] = raises(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        recorder.stop("1", StopMode.FORCED, Context())
    with pytest.raises(NotFound):
        recorder.inspect("2")
    first, second, third = recorder.calls()
    assert isinstance(first.error, EngineError)
    assert "NativeError: no" in first.error.message
    assert "interrupted" in str(second.error)
    assert str(third) == "inspect '2' → NotFound"


def test_what_changes_later_is_kept_as_it_was(host: vhal.Host, recorder: Recorder) -> None:
    vm = host.create(vhal.MachineSpec(name="web"))
    vm.start()
    env = {"A": "1"}
    vm.exec(["true"], env=env)
    env["A"] = "2"
    recorder.assert_called("execute", env={"A": "1"}, command=["true"])


class TestAssertions:
    @pytest.fixture(autouse=True)
    def _life(self, host: vhal.Host) -> None:
        for name in ("web", "db"):
            host.create(vhal.MachineSpec(name=name))
        web = host.machine("web")
        web.start()
        web.stop(force=True)
        web.start()

    def test_called(self, recorder: Recorder) -> None:
        recorder.assert_called("start")
        recorder.assert_called("start", machine="web", times=2)
        recorder.assert_called("start", machine="db", times=0)
        recorder.assert_called("st*", times=3)
        recorder.assert_called("stop", mode=StopMode.FORCED)
        recorder.assert_called("stop", mode="forced")
        assert recorder.count("create") == 2
        assert recorder.count(machine="db") == 2, "it was asked for, then made"

    @pytest.mark.parametrize(
        ("call", "facts", "message"),
        [
            ("delete", {}, "delete was not called, but 0 times; there were: .*create 'web'.*start 'web'"),
            ("start", {"machine": "db"}, "start of 'db' was not called, but 0 times"),
            ("start", {"times": 1}, "start was not called 1 times, but 2 times"),
            ("stop", {"mode": "graceful"}, "stop with {'mode': 'graceful'} was not called.*stop 'web' with .*'forced'"),
            ("stop", {"speed": None}, "stop with {'speed': None} was not called"),
        ],
    )
    def test_not_called(self, recorder: Recorder, call: str, facts: dict[str, Any], message: str) -> None:
        with pytest.raises(AssertionError, match=message):
            recorder.assert_called(call, **facts)

    def test_order(self, recorder: Recorder) -> None:
        recorder.assert_order("create", "start", "stop", "start", machine="web")
        recorder.assert_order("create", "create", "start")
        with pytest.raises(AssertionError, match="stop was not called after stop; there were: "):
            recorder.assert_order("start", "stop", "stop")
        with pytest.raises(AssertionError, match=r"^delete was not called; there were: "):
            recorder.assert_order("delete")

    def test_forgets(self, recorder: Recorder) -> None:
        recorder.clear()
        assert recorder.calls() == []
        with pytest.raises(AssertionError, match="no calls"):
            recorder.assert_called("start")
