"""What a backend says wrongly of itself: each oddity is found by its row, with its name and a remedy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import pytest
from vhal_mock.driver import MockDriver
from vhal_mock.world import World

import vhal
from vhal.driver import PAUSE, SNAPSHOTS, YES, Answer, Blocker, Capability, Level
from vhal.errors import Unsupported
from vhal.spec import MachineInfo, MachineSpec
from vhal.testing import BackendSuite, Harness

Subject = MachineInfo | MachineSpec | None


class Suite(BackendSuite):
    harness = Harness(
        open=lambda: MockDriver(World.from_spec({"hosts": [{"name": "a"}]}).host("a")),
        spec=lambda name: vhal.MachineSpec(name=name, memory="64MiB"),
    )


Suite.__test__ = False  # type: ignore[attr-defined]


class Unknown(MockDriver):
    capabilities = MockDriver.capabilities | {"paws"}


class Hollow(MockDriver):
    """Declares to pause, without being able to resume."""

    resume = None  # type: ignore[assignment]


class Truthy(MockDriver):
    def can(self, capability: Capability[Any], subject: Subject = None) -> Answer:
        return cast(Answer, True) if capability is PAUSE else super().can(capability, subject)


class Mute(MockDriver):
    def can(self, capability: Capability[Any], subject: Subject = None) -> Answer:
        bad = Blocker("No Way", " ", "", "attic", ValueError)  # type: ignore[arg-type]
        return Answer((bad,)) if capability is SNAPSHOTS else super().can(capability, subject)


class Stubborn(Answer):
    """A no that has no reason."""

    def __bool__(self) -> bool:
        return False


class Unreasoned(MockDriver):
    def can(self, capability: Capability[Any], subject: Subject = None) -> Answer:
        return Stubborn() if capability is SNAPSHOTS else super().can(capability, subject)


class Dicts(MockDriver):
    def machines(self) -> list[MachineInfo]:
        return cast(list[MachineInfo], [dict(info) for info in super().machines()])


class Shuffled(MockDriver):
    def inspect(self, ref: str) -> MachineInfo:
        return super().inspect(ref).model_copy(update={"name": "other"})


class Stringly(MockDriver):
    def inspect(self, ref: str) -> MachineInfo:
        info = super().inspect(ref)
        return info.model_copy(update={"state": str(info.state)})


class Numbers:
    def usage(self) -> Mapping[str, Any]:
        return {"some": 1}


class Measured(MockDriver):
    def provides(self, capability: Capability[Any]) -> Any:
        return Numbers() if capability.id == "metrics" else super().provides(capability)


class Liar(MockDriver):
    def pause(self, id: str, ctx: Any) -> None:
        raise Unsupported("not on Mondays", hint="wait")


ODDITIES: list[tuple[type[MockDriver], str, list[str]]] = [
    (Unknown, "conf_001", ["it declares 'paws', which the contract doesn't know: write 'pause'"]),
    (Hollow, "conf_001", ["it declares 'pause', but has no resume(): implement what pause says"]),
    (Truthy, "conf_002", ["can(PAUSE) for the host returned a bool: return a vhal.driver.Answer"]),
    (
        Mute,
        "conf_002",
        [
            "blocker with code 'No Way': write a few words, with-hyphens",
            "blocker 'No Way' without a sentence or a remedy: say what would help",
            "blocker 'No Way' of level 'attic': use vhal.driver.Level",
            "blocker 'No Way' that raises no VhalError: use a class of vhal.errors",
        ],
    ),
    (Unreasoned, "conf_002", ["can(SNAPSHOTS) for the host is a no that its blockers don't agree with"]),
    (Dicts, "conf_003", ["machines() returned a dict: return a MachineInfo for each machine"]),
    (Shuffled, "conf_003", ["returned machine 'other': return the one that is asked for"]),
    (Stringly, "conf_003", ["inspect() returned a machine whose state is a str: make it a MachineState"]),
    (Measured, "conf_003", ["usage() returned a dict: return a mapping of ids to Usage"]),
    (
        Liar,
        "conf_004",
        ["can(PAUSE) said yes, and the call raised Unsupported: not on Mondays (wait): have can() say no"],
    ),
]


@pytest.fixture
def prove() -> Callable[[type[MockDriver], str], None]:
    """Return what runs one row of the suite against a driver of that class."""

    def prove(driver: type[MockDriver], name: str) -> None:
        host = World.from_spec({"hosts": [{"name": "a"}]}).host("a")
        with vhal.connect(MockDriver(host)) as sound, vhal.connect(driver(host)) as odd:
            made = sound.create(Suite.harness.spec("web"))
            row = next(test for test in dir(Suite) if test.startswith(f"test_{name}"))
            arguments = [odd] if name == "conf_001" else [odd, vhal.Machine(odd, made.seen)]
            getattr(Suite(), row)(*arguments)

    return prove


@pytest.mark.parametrize(("driver", "row", "said"), ODDITIES, ids=lambda value: getattr(value, "__name__", ""))
def test_an_oddity_is_found_by_its_row(
    prove: Callable[[type[MockDriver], str], None], driver: type[MockDriver], row: str, said: list[str]
) -> None:
    with pytest.raises(AssertionError) as caught:
        prove(driver, row)
    assert [sentence for sentence in said if sentence not in str(caught.value)] == []


@pytest.mark.parametrize("row", ["conf_001", "conf_002", "conf_003", "conf_004"])
def test_a_sound_backend_passes(prove: Callable[[type[MockDriver], str], None], row: str) -> None:
    prove(MockDriver, row)


def test_what_is_refused_with_a_reason_is_no_lie(prove: Callable[[type[MockDriver], str], None]) -> None:
    class Honest(Liar):
        def can(self, capability: Capability[Any], subject: Subject = None) -> Answer:
            return Answer.no("monday", "not on Mondays", "wait", Level.HOST) if capability is PAUSE else YES

    prove(Honest, "conf_004")
    prove(Honest, "conf_002")
