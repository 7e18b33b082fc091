"""Specs, labels and sizes that don't come back as they went in, and what was told and isn't a picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vhal_mock.changes import MockResize
from vhal_mock.driver import MockDriver
from vhal_mock.host import SimHost
from vhal_mock.machine import SimMachine

from tests.kit.bugs.seeding import Patch, around, nothing, remembering, telling
from vhal.driver import Context
from vhal.spec import Bytes, FrozenDict, MachineInfo, MachineSpec, MachineState

Call = Callable[..., Any]


def labels_that_are_trimmed(patch: Patch) -> None:
    """Labels come back without the blanks around them."""
    telling(patch, lambda machine: {"labels": FrozenDict({k: v.strip() for k, v in machine.spec.labels.items()})})


def a_spec_with_defaults_filled_in(patch: Patch) -> None:
    """Disks come back with the names that the engine gave them."""

    def wrong(machine: SimMachine) -> dict[str, Any]:
        named = [
            disk.replace(name=disk.name or f"{machine.name}-{place}") for place, disk in enumerate(machine.spec.disks)
        ]
        return {"spec": machine.spec.without_secrets().replace(disks=named)}

    telling(patch, wrong)


def options_of_others_that_are_dropped(patch: Patch) -> None:
    """Options that are for other backends don't come back."""
    telling(patch, lambda machine: {"spec": machine.spec.without_secrets().replace(options={})})


def secrets_that_come_back(patch: Patch) -> None:
    """The spec comes back with its secrets."""
    telling(patch, lambda machine: {"spec": machine.spec})


def memory_in_whole_pages(patch: Patch) -> None:
    """Memory is told as the engine rounds it, to 4 MiB."""
    telling(patch, lambda machine: {"memory": Bytes(machine.memory >> 22 << 22)})


def small_letters(patch: Patch) -> None:
    """Names are written in small letters."""

    def wrong(right: Call, driver: MockDriver, spec: MachineSpec, ctx: Context) -> MachineInfo:
        info: MachineInfo = right(driver, spec.replace(name=spec.name.lower()), ctx)
        return info

    around(patch, MockDriver, "create", wrong)


# what was told


def info_that_changes(patch: Patch) -> None:
    """What was told of a machine is what is kept of it."""
    kept: dict[tuple[str, str], MachineInfo] = {}

    def wrong(right: Call, driver: MockDriver, machine: SimMachine) -> MachineInfo:
        now = right(driver, machine)
        told = kept.setdefault((driver.host.name, machine.id), now)
        vars(told).update(vars(now))
        return told

    around(patch, MockDriver, "info", wrong)


def a_list_that_is_shared(patch: Patch) -> None:
    """``machines()`` hands out the list that it keeps."""
    remembering(patch, MockDriver, "machines")


def old_news(patch: Patch) -> None:
    """What a connection has seen it doesn't look at again, until it changes something itself."""
    looks = ("describe", "machines", "inspect", "snapshots", "usage", "ready")

    def inspect(right: Call, driver: MockDriver, ref: str) -> MachineInfo:
        seen: dict[str, MachineInfo] = vars(driver).setdefault("seen", {})
        if ref not in seen:
            seen[ref] = right(driver, ref)
        return seen[ref]

    def end(right: Call, driver: MockDriver, call: str, *rest: Any) -> None:
        if call not in looks:
            vars(driver).get("seen", {}).clear()
        right(driver, call, *rest)

    around(patch, MockDriver, "inspect", inspect)
    around(patch, MockDriver, "end", end)


# sizes


def a_resize_that_does_nothing(patch: Patch) -> None:
    """``resize`` says that all is well."""
    nothing(patch, MockResize, "resize")


def a_resize_of_what_was_not_given(patch: Patch) -> None:
    """A size that isn't given is the spec's, not the one that the machine has."""

    def wrong(right: Call, part: MockResize, id: str, cpus: int | None, memory: Bytes | None, ctx: Context) -> None:
        spec = part._driver.find(id).spec
        right(part, id, cpus or spec.cpus.count, memory or spec.memory.size, ctx)

    around(patch, MockResize, "resize", wrong)


def a_resize_of_what_runs_only(patch: Patch) -> None:
    """New sizes of a running machine are forgotten when it stops."""

    def wrong(right: Call, host: SimHost, machine: SimMachine, state: MachineState) -> None:
        right(host, machine, state)
        if state is MachineState.STOPPED:
            host.resize(machine, machine.spec.cpus.count, int(machine.spec.memory.size))

    around(patch, SimHost, "turn", wrong)
