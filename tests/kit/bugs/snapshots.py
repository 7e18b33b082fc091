"""Snapshots that aren't taken, used, listed or forgotten as they should be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vhal_mock.changes import MockSnapshots
from vhal_mock.driver import MockDriver
from vhal_mock.files import FileTree

from tests.kit.bugs.seeding import Patch, around, nothing
from vhal.driver import Context
from vhal.spec import MachineInfo, MachineSpec

Call = Callable[..., Any]


def ghosts(patch: Patch) -> None:
    """Snapshots are kept by the machine's name: who takes the name gets them."""
    kept: dict[str, Any] = {}

    def delete(right: Call, driver: MockDriver, id: str, *rest: Any) -> None:
        machine = driver.find(id)
        right(driver, id, *rest)
        kept[machine.name] = machine._snapshots

    def create(right: Call, driver: MockDriver, spec: MachineSpec, ctx: Context) -> MachineInfo:
        info: MachineInfo = right(driver, spec, ctx)
        driver.find(info.id)._snapshots = kept.get(spec.name)
        return info

    around(patch, MockDriver, "delete", delete)
    around(patch, MockDriver, "create", create)


def a_revert_that_does_nothing(patch: Patch) -> None:
    """``revert`` says that all is well."""
    nothing(patch, MockSnapshots, "revert")


def sizes_that_stay(patch: Patch) -> None:
    """``revert`` leaves the sizes as they are."""

    def wrong(right: Call, part: MockSnapshots, id: str, *rest: Any) -> None:
        machine = part._driver.find(id)
        sizes = machine.cpus, machine.memory
        right(part, id, *rest)
        part._driver.host.resize(machine, *sizes)

    around(patch, MockSnapshots, "revert", wrong)


def files_that_stay(patch: Patch) -> None:
    """A snapshot is of the definition only: ``revert`` leaves the disk as it is."""
    nothing(patch, FileTree, "become")


def a_deletion_that_does_nothing(patch: Patch) -> None:
    """``delete_snapshot`` says that all is well."""
    nothing(patch, MockSnapshots, "delete_snapshot")


def the_same_name_again(patch: Patch) -> None:
    """A snapshot of a name that is taken replaces the older one."""
    nothing(patch, MockSnapshots, "_free")


def a_revert_that_forgets_what_came_later(patch: Patch) -> None:
    """``revert`` deletes the snapshots that were taken after that one."""

    def wrong(right: Call, part: MockSnapshots, id: str, name: str, ctx: Context) -> None:
        right(part, id, name, ctx)
        kept = part._driver.find(id).snapshots
        for later in list(kept)[list(kept).index(name) + 1 :]:
            del kept[later]

    around(patch, MockSnapshots, "revert", wrong)


def without_its_memory(patch: Patch) -> None:
    """``snapshot(memory=True)`` keeps the disk, and no memory."""

    def wrong(right: Call, part: MockSnapshots, id: str, name: str, memory: bool, ctx: Context) -> Any:
        return right(part, id, name, False, ctx)

    around(patch, MockSnapshots, "snapshot", wrong)
