"""The inside of a machine: programs, files and counters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from vhal_mock import programs
from vhal_mock.files import Entry, FileTree
from vhal_mock.metrics import MockMetrics
from vhal_mock.process import MockProcess
from vhal_mock.programs import MockExec

from tests.kit.bugs.seeding import Patch, around
from vhal.spec.usage import Usage

Call = Callable[..., Any]

PIPE = 1 << 16
"""Bytes that a pipe holds."""


def all_is_well(patch: Patch) -> None:
    """Every program ends with 0."""

    def wrong(right: Call, process: MockProcess, *rest: Any) -> int | None:
        return None if right(process, *rest) is None else 0

    around(patch, MockProcess, "exit_code", wrong)


def input_that_is_lost(patch: Patch) -> None:
    """Programs get no input."""
    around(patch, MockProcess, "write", lambda right, process, data: None)


def input_as_far_as_it_fits(patch: Patch) -> None:
    """Of a program's input the pipe takes what fits, and nobody writes the rest."""
    around(patch, MockProcess, "write", lambda right, process, data: right(process, data[: PIPE // 2]))


def a_shell_in_between(patch: Patch) -> None:
    """The arguments are joined, and a shell takes them apart again."""

    def wrong(right: Call, part: MockExec, id: str, command: Any, *rest: Any, **more: Any) -> Any:
        return right(part, id, " ".join(command).split(), *rest, **more)

    around(patch, MockExec, "execute", wrong)


def a_folder_that_is_ignored(patch: Patch) -> None:
    """A program begins in the root folder, whatever was asked for."""

    def wrong(right: Call, machine: Any, command: Any, env: Any, user: Any, cwd: Any) -> Any:
        return right(machine, command, env, user, None)

    around(patch, programs, "_invocation", wrong)


def a_deadline_that_is_ignored(patch: Patch) -> None:
    """Who waits for a program waits until it ends."""
    around(patch, MockProcess, "exit_code", lambda right, process, timeout_s=None: right(process))
    around(patch, MockProcess, "read", lambda right, process, timeout_s=None: right(process))


def files_that_are_cut_off(patch: Patch) -> None:
    """Of a file the first 64 KiB arrive."""

    def wrong(right: Call, tree: FileTree, entries: dict[str, Entry], path: str, entry: Entry) -> None:
        right(tree, entries, path, Entry(entry.kind, entry.mode, entry.data[:PIPE], entry.target))

    around(patch, FileTree, "_put", wrong)


def modes_that_are_lost(patch: Patch) -> None:
    """A program that is copied in can't be run."""

    def wrong(right: Call, tree: FileTree, entries: dict[str, Entry], path: str, entry: Entry) -> None:
        right(tree, entries, path, Entry(entry.kind, 0o644, entry.data, entry.target))

    around(patch, FileTree, "_put", wrong)


def a_gauge_for_a_counter(patch: Patch) -> None:
    """Processor time is what was used since somebody asked last."""
    asked: dict[str, int] = {}

    def wrong(right: Call, part: MockMetrics) -> Mapping[str, Usage]:
        found: dict[str, Usage] = {}
        for machine, used in right(part).items():
            asked[machine] = asked.get(machine, 0) + 1
            found[machine] = used.model_copy(update={"cpu_s": 1.0 / asked[machine]})
        return found

    around(patch, MockMetrics, "usage", wrong)


def usage_of_what_does_not_run(patch: Patch) -> None:
    """A stopped machine is told to use nothing, instead of not being told."""
    idle = Usage(time_s=0.0, cpu_s=0.0)

    def wrong(right: Call, part: MockMetrics) -> Mapping[str, Usage]:
        return {**dict.fromkeys(part._driver.host.machines, idle), **right(part)}

    around(patch, MockMetrics, "usage", wrong)
