"""The layer *examples*: what a backend says of itself is so, and the suite that proves it is whole."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import pytest

from vhal.driver.answer import Answer, Blocker, Level
from vhal.driver.capability import (
    CAPABILITIES,
    CONSOLE,
    CREATE,
    EXEC,
    FILES,
    METRICS,
    PAUSE,
    READINESS,
    RESIZE,
    SAVE,
    SNAPSHOTS,
    Capability,
)
from vhal.driver.driver import Driver
from vhal.errors import Unsupported, VhalError
from vhal.host import Host
from vhal.layers.calls import PARTS
from vhal.layers.layer import innermost
from vhal.machine import Machine
from vhal.spec.host import HostInfo
from vhal.spec.machine import MachineInfo
from vhal.spec.snapshot import SnapshotInfo
from vhal.spec.state import MachineState
from vhal.spec.usage import Usage
from vhal.testing.conformance.facts import facts, limited
from vhal.testing.conformance.integrity import changes
from vhal.testing.harness import Harness

_CODE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


class ClaimsSuite:
    """Of :class:`vhal.testing.suite.BackendSuite`, which has the fixtures."""

    harness: ClassVar[Harness]

    # CONF: what a backend says of itself

    def test_conf_001_what_is_declared_is_known_and_implemented(self, host: Host) -> None:
        driver = innermost(host.guard)
        wrong = [
            f"it declares {strange!r}, which the contract doesn't know{_near(strange)}" for strange in _strange(driver)
        ]
        for key in CAPABILITIES.values():
            part = driver.provides(key)
            lacking = (
                [] if part is None else [name for name in PARTS[key.id] if not callable(getattr(part, name, None))]
            )
            if lacking:
                wrong.append(f"it declares {key.id!r}, but has no {', '.join(lacking)}(): implement what {key.id} says")
        assert not wrong, "\n".join(wrong)

    def test_conf_002_answers_are_answers_with_reasons_and_remedies(self, host: Host, vm: Machine) -> None:
        driver = innermost(host.guard)
        wrong: list[str] = []
        wrong += _examined(driver, "the host", None)
        wrong += _examined(driver, "a stopped machine", driver.inspect(vm.id))
        self._tell_limits(host, "stopped", vm.info())
        vm.start()
        wrong += _examined(driver, "a running machine", driver.inspect(vm.id))
        self._tell_limits(host, "running", vm.info())
        assert not wrong, "\n".join(wrong)

    def test_conf_003_what_comes_back_has_the_types_of_the_contract(self, host: Host, vm: Machine) -> None:
        driver = innermost(host.guard)
        vm.start()
        said: dict[str, object] = {"describe()": driver.describe()}
        wrong = []
        if not isinstance(said["describe()"], HostInfo):
            wrong.append(_not("describe()", said["describe()"], "HostInfo"))
        elif driver.describe().uuid != driver.host_id:
            wrong.append("describe() tells another uuid than host_id: two connections to a host are to have one")
        listed: object = driver.machines()
        if isinstance(listed, list):
            for info in listed:
                wrong += _of_machine("machines()", info)
        else:
            wrong.append(_not("machines()", listed, "list of MachineInfo"))
        for ref in (vm.name, vm.id):
            seen: object = driver.inspect(ref)
            wrong += _of_machine("inspect()", seen)
            if isinstance(seen, MachineInfo) and (seen.name, seen.id) != (vm.name, vm.id):
                wrong.append(f"inspect({ref!r}) returned machine {seen.name!r}: return the one that is asked for")
        wrong += _of_parts(driver, vm.id)
        assert not wrong, "\n".join(wrong)

    def test_conf_004_what_can_be_done_is_not_refused(self, host: Host, vm: Machine) -> None:
        before = vm.info()
        stopped: dict[Capability[Any], Callable[[], object]] = {
            RESIZE: lambda: vm.resize(cpus=before.cpus + 1),
            SNAPSHOTS: lambda: vm.snapshot("one"),
        }
        running: dict[Capability[Any], Callable[[], object]] = {
            READINESS: lambda: host.guard.require(READINESS, vm.info()).ready(vm.id),
            CONSOLE: lambda: vm.console().close(),
            EXEC: lambda: vm.exec(["true"]),
            FILES: lambda: vm.read_file("/etc/passwd"),
            METRICS: vm.usage,
            PAUSE: _both(vm.pause, vm.resume),
            SAVE: _both(vm.save, vm.restore),
        }
        wrong = [*_lies(host, vm, stopped)]
        vm.start()
        wrong += _lies(host, vm, running)
        assert not wrong, "\n".join(wrong)

    def test_conf_005_no_test_of_the_suite_is_deleted_or_overridden(self) -> None:
        found = changes(type(self), self.harness.known_failures)
        assert not found, "\n".join(found)

    def test_conf_006_what_the_run_requires_is_there(self, host: Host, request: pytest.FixtureRequest) -> None:
        required = request.config.getoption("--vhal-require")
        keys = [key for key in CAPABILITIES.values() if key.id in required]
        wrong = [
            f"{key.id}: {blocker.message} ({blocker.remedy})" for key in keys for blocker in host.can(key).blockers
        ]
        assert not wrong, "\n".join(wrong)

    def _tell_limits(self, host: Host, state: str, info: MachineInfo) -> None:
        """Have the report say what is against it for a machine, where the host alone says yes."""
        for name, said in facts(type(self))["capabilities"].items():
            key = CAPABILITIES[name]
            if said["can"] and key is not CREATE:
                limited(type(self), key, f"of a {state} machine", host.can(key, info))


def _strange(driver: Driver) -> list[str]:
    return sorted(set(driver.capabilities) - set(CAPABILITIES))


def _near(id: str) -> str:
    near = difflib.get_close_matches(id, CAPABILITIES, 1)
    return f": write {near[0]!r}" if near else f": it knows {', '.join(CAPABILITIES)}"


def _not(call: str, value: object, wanted: str) -> str:
    return f"{call} returned a {type(value).__name__}: return a {wanted}"


def _examined(driver: Driver, what: str, subject: MachineInfo | None) -> Iterator[str]:
    """Yield what is wrong with a driver's answers about one subject."""
    for key in CAPABILITIES.values():
        asked = f"can({key.id.upper()}) for {what}"
        if driver.provides(key) is None or (key is CREATE and subject is not None):
            continue
        answer: object = driver.can(key, subject)
        if not isinstance(answer, Answer):
            yield _not(asked, answer, "vhal.driver.Answer")
            continue
        if bool(answer) is bool(answer.blockers):
            yield f"{asked} is a {'yes' if answer else 'no'} that its blockers don't agree with: use Answer.no() or YES"
        for blocker in answer.blockers:
            if not isinstance(blocker, Blocker):
                yield _not(f"{asked} has a blocker that", blocker, "vhal.driver.Blocker")
                continue
            if not _CODE.fullmatch(blocker.code):
                yield f"{asked} has a blocker with code {blocker.code!r}: write a few words, with-hyphens"
            if not blocker.message.strip() or not blocker.remedy.strip():
                yield f"{asked} has blocker {blocker.code!r} without a sentence or a remedy: say what would help"
            if not isinstance(blocker.level, Level):
                yield f"{asked} has blocker {blocker.code!r} of level {blocker.level!r}: use vhal.driver.Level"
            if not issubclass(blocker.raises, VhalError):
                yield f"{asked} has blocker {blocker.code!r} that raises no VhalError: use a class of vhal.errors"


def _of_machine(call: str, info: object) -> Iterator[str]:
    if not isinstance(info, MachineInfo):
        yield _not(call, info, "MachineInfo for each machine")
        return
    for name, wanted in (("id", str), ("name", str), ("state", MachineState), ("cpus", int), ("memory", int)):
        value = getattr(info, name, None)
        if not isinstance(value, wanted):
            yield f"{call} returned a machine whose {name} is a {type(value).__name__}: make it a {wanted.__name__}"


def _of_parts(driver: Driver, id: str) -> Iterator[str]:
    snapshots, metrics, readiness = driver.provides(SNAPSHOTS), driver.provides(METRICS), driver.provides(READINESS)
    if snapshots is not None:
        kept: object = snapshots.snapshots(id)
        if not isinstance(kept, list) or not all(isinstance(one, SnapshotInfo) for one in kept):
            yield _not("snapshots()", kept, "list of SnapshotInfo")
    if metrics is not None and driver.can(METRICS):
        used: object = metrics.usage()
        if not isinstance(used, Mapping) or not all(isinstance(one, Usage) for one in used.values()):
            yield _not("usage()", used, "mapping of ids to Usage")
    if readiness is not None and driver.can(READINESS, driver.inspect(id)):
        ready: object = readiness.ready(id)
        if not isinstance(ready, bool):
            yield _not("ready()", ready, "bool")


def _both(there: Callable[[], None], back: Callable[[], None]) -> Callable[[], None]:
    def call() -> None:
        there()
        back()

    return call


def _lies(host: Host, vm: Machine, calls: Mapping[Capability[Any], Callable[[], object]]) -> Iterator[str]:
    """Yield which of ``calls`` are refused although the answer was yes; what else goes wrong is for other rows."""
    for key, call in calls.items():
        if not host.can(key, vm.info()):
            continue
        try:
            call()
        except Unsupported as error:
            yield f"can({key.id.upper()}) said yes, and the call raised Unsupported: {error}: have can() say no"
        except VhalError:
            continue
