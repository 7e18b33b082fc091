"""What is checked of arguments before anything is asked: sizes of a machine, names of snapshots, commands."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from vhal.errors import InvalidSpec

if TYPE_CHECKING:
    from vhal.spec.units import Bytes


def sizes(machine: str, cpus: int | None, memory: Bytes | int | str | None) -> tuple[int | None, Bytes | None]:
    """Return new sizes as they are handed on.

    Raises:
        vhal.errors.InvalidSpec: There is none, or one isn't what a spec could say.
    """
    from vhal.spec.hardware import Cpus, Memory

    if cpus is None and memory is None:
        raise InvalidSpec(
            "no new size is given",
            hint="say cpus, memory or both: resize(memory='4GiB')",
            problems=[("cpus", "neither this nor memory is given")],
            machine=machine,
        )
    try:
        count = None if cpus is None else Cpus(count=cpus).count
        size = None if memory is None else Memory(size=memory).size
    except InvalidSpec as error:
        where = {"count": "cpus", "size": "memory", "": "memory"}
        problems = [(where.get(path, path), reason) for path, reason in error.problems]
        raise InvalidSpec(
            "; ".join(f"{path}: {reason}" for path, reason in problems),
            hint="as in a spec: resize(cpus=4, memory='4GiB')",
            problems=problems,
            machine=machine,
        ) from None
    return count, size


def snapshot_name(name: str) -> str:
    """Return a snapshot's name as it is handed on.

    Raises:
        vhal.errors.InvalidSpec: It is none.
    """
    from vhal.spec.units import NAME_PATTERN

    if not re.fullmatch(NAME_PATTERN, name) or ".." in name:
        raise InvalidSpec(
            f"{name!r} is no name for a snapshot",
            hint="1 to 63 letters, digits, '_', '.', '-'; begins with a letter or digit; no '..'",
            problems=[("name", "is none")],
        )
    return name


def words(command: Sequence[str]) -> tuple[str, ...]:
    """Return a command as it is handed on.

    Raises:
        vhal.errors.InvalidSpec: It is one text, or empty, or has parts that aren't texts or that no kernel takes.
    """
    if isinstance(command, (str, bytes)):
        raise InvalidSpec(
            "a command is a sequence of words, not one text",
            hint=f'["sh", "-c", {command!r}] has a shell read it',
            problems=[("command", "is one text")],
        )
    found = tuple(command)
    for place, word in enumerate(found):
        if not _text(word):
            raise InvalidSpec(
                f"word {place} of the command is no text: {word!r}",
                hint="the words of a command are texts without NUL",
                problems=[(f"command[{place}]", "is no text without NUL")],
            )
    if not found or not found[0]:
        raise InvalidSpec("the command is empty", hint='["true"] is one', problems=[("command", "is empty")])
    return found


def variables(env: Mapping[str, str] | None) -> dict[str, str] | None:
    """Return the variables of an environment as they are handed on.

    Raises:
        vhal.errors.InvalidSpec: A name or a value is one that no kernel takes.
    """
    if env is None:
        return None
    for name, value in env.items():
        if not _text(name) or not _text(value) or not name or "=" in name:
            raise InvalidSpec(
                f"{name!r} can't be set",
                hint="names and values are texts; a name isn't empty and has no '='",
                problems=[(f"env.{name}", "is no name with a text")],
            )
    return dict(env)


def _text(value: object) -> bool:
    return isinstance(value, str) and "\0" not in value
