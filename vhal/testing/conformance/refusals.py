"""The layer *refusals*: what a backend doesn't declare must refuse, before any effect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from vhal.driver.capability import CONSOLE, EXEC, FILES, METRICS, PAUSE, READINESS, RESIZE, SAVE, SNAPSHOTS, Capability
from vhal.errors import Unsupported
from vhal.host import Host
from vhal.machine import Machine
from vhal.spec.state import MachineState
from vhal.testing.harness import Harness


class RefusalsSuite:
    """Of :class:`vhal.testing.suite.BackendSuite`, which has the fixtures."""

    harness: ClassVar[Harness]

    # LACK: what isn't declared

    def test_lack_001_what_is_not_declared_refuses_before_any_effect(self, host: Host, running: Machine) -> None:
        calls: dict[Capability[Any], Callable[[], object]] = {
            PAUSE: running.pause,
            SAVE: running.save,
            CONSOLE: running.console,
            READINESS: running.wait,
            RESIZE: lambda: running.resize(cpus=2),
            EXEC: lambda: running.exec(["true"]),
            FILES: lambda: running.read_file("/etc/passwd"),
            SNAPSHOTS: lambda: running.snapshot("one"),
            METRICS: running.usage,
        }
        for key, call in calls.items():
            answer = host.can(key)
            if not answer:
                with pytest.raises(Unsupported) as caught:
                    call()
                assert caught.value.blockers == answer.blockers
                assert all(blocker.remedy for blocker in answer.blockers)
                assert running.state() is MachineState.RUNNING
