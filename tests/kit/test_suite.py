"""How the suite prepares a test and clears up after it."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from vhal_mock.driver import MockDriver
from vhal_mock.world import World

import vhal
from vhal.driver import Context
from vhal.errors import EngineError
from vhal.testing import BackendSuite, Harness
from vhal.testing.conformance.deadline import Overdue, within
from vhal.testing.harness import KIT_NAME
from vhal.testing.suite import reap


class Stuck(MockDriver):
    def delete(self, id: str, ctx: Context, keep_disks: bool = False) -> None:
        if self.inspect(id).name == "vhal-kit-0a1b2c-1":
            raise EngineError("it is nailed down")
        super().delete(id, ctx, keep_disks)


def test_every_machine_of_the_suite_is_removed_and_no_other() -> None:
    host = World.from_spec({"hosts": [{"name": "a"}]}).host("a")
    with vhal.connect(Stuck(host)) as a:
        for name in ("vhal-kit-0a1b2c-1", "vhal-kit-0a1b2c-2", "vhal-kit-ffffff-1", "web"):
            a.create(vhal.MachineSpec(name=name)).start()
        with pytest.raises(AssertionError, match="vhal-kit-0a1b2c-1: it is nailed down") as caught:
            reap(a, "vhal-kit-0a1b2c-")
        assert "'vhal conformance URL --reap' tries again" in str(caught.value)
        assert sorted(vm.name for vm in a.machines()) == ["vhal-kit-0a1b2c-1", "vhal-kit-ffffff-1", "web"]


def test_each_harness_has_names_of_its_own() -> None:
    def harness() -> Harness:
        return Harness(open=lambda: None, spec=lambda name: vhal.MachineSpec(name=name))  # type: ignore[arg-type,return-value]

    first, second = harness(), harness()
    assert first.prefix != second.prefix
    assert KIT_NAME.fullmatch(first.name())
    assert first.name() != first.name()


def test_what_is_no_driver_is_said() -> None:
    class Wrong(BackendSuite):
        __test__ = False
        harness = Harness(open=lambda: "x", spec=lambda name: vhal.MachineSpec(name=name))  # type: ignore[arg-type,return-value]

    with pytest.raises(AssertionError, match=r"the harness's open\(\) returned a str, no Driver"):
        next(Wrong()._opened("open", Wrong.harness.open))


def test_what_is_raised_in_time_comes_through() -> None:
    def stops() -> Any:
        raise SystemExit(3)

    assert within(60, "it", lambda: 7) == 7
    with pytest.raises(SystemExit):
        within(60, "it", stops)
    with pytest.raises(pytest.skip.Exception):
        within(60, "it", lambda: pytest.skip("not here"))


def test_what_hangs_is_shown_with_its_stack() -> None:
    gate = threading.Event()
    with pytest.raises(Overdue, match=r"it has not ended within 0\.05 s") as caught:
        within(0.05, "it", gate.wait)
    gate.set()
    assert "thread 'vhal-kit it':" in str(caught.value)
    assert "thread 'MainThread':" in str(caught.value)
