"""What a container that is frozen on one host needs of another: its processor, its CRIU. None where nobody can say."""

from __future__ import annotations

import platform
import re

from vhal.spec import Model
from vhal_containers.engine import Engine
from vhal_containers.reach import Reach, ReachError, reach

_VERSION = re.compile(r"Version:\s*(\d+)\.(\d+)")
_LINE = re.compile(r"^(?:flags|Features)\s*:\s*(.*)$", re.MULTILINE)
# What programs may use. Other flags are about how the kernel runs the processor, and differ from boot to boot.
_USED = re.compile(
    r"mmx.*|3dnow.*|sse.*|ssse3|sse4.*|avx.*|amx.*|aes|vaes|pclmulqdq|vpclmulqdq|gfni|sha.*|fma.*|f16c|bmi[12]|abm|lzcnt|"
    r"popcnt|movbe|movdir.*|adx|rdrand|rdseed|rdpid|cx16|lahf_lm|clflush.*|clwb|cldemote|xsave.*|fsgsbase|erms|fsrm|"
    r"tbm|xop|rtm|hle|pku|ospke|waitpkg|serialize|prefetch.*|lm|nx|syscall|rdtscp|cmov|cx8|fxsr"
)


class Checkpointer(Model):
    """A host's CRIU."""

    version: tuple[int, int] | None
    """None if there is none."""
    complaint: str = ""
    """Why it doesn't work there, if it doesn't."""


class HostFacts(Model):
    """What could be found out."""

    flags: tuple[str, ...] | None = None
    """What the processor can do."""
    criu: Checkpointer | None = None
    unknown: str = ""
    """Why something couldn't be found out."""


def look(engine: Engine) -> HostFacts:
    """Return what can be found out about an engine's host. Nothing is changed there; never raises."""
    try:
        way = reach(engine.address)
    except ReachError as error:
        return HostFacts(unknown=str(error))
    try:
        return HostFacts(flags=_flags(way), criu=_criu(way))
    finally:
        way.close()


def dirty_tracking(engine: Engine) -> str | None:
    """Return why an engine's host can't tell which pages a process writes to, by CRIU's own check.

    ``""`` if it can, None if that can't be found out from here.
    """
    try:
        way = reach(engine.address)
    except ReachError:
        return None
    try:
        way.run(["criu", "check", "--feature", "mem_dirty_track"], files=True)
    except ReachError as error:
        return str(error)
    finally:
        way.close()
    return ""


def _flags(way: Reach) -> tuple[str, ...] | None:
    try:
        return flags_in(way.run(["cat", "/proc/cpuinfo"], files=True))
    except ReachError:
        return None


def flags_in(text: str) -> tuple[str, ...] | None:
    """Return the flags in the kernel's description of the processors that programs may use."""
    found = _LINE.search(text)
    if found is None:
        return None
    flags = found[1].split()
    if not platform.machine().startswith(("x86", "i")) and "sse2" not in flags:
        return tuple(sorted(flags))
    return tuple(sorted(flag for flag in flags if _USED.fullmatch(flag)))


def _criu(way: Reach) -> Checkpointer | None:
    try:
        said = way.run(["criu", "--version"], files=True)
    except ReachError as error:
        gone = any(words in str(error) for words in ("No such file", "not found"))
        return Checkpointer(version=None) if gone else None
    match = _VERSION.search(said)
    if match is None:
        return None
    version = (int(match[1]), int(match[2]))
    try:
        way.run(["criu", "check"], files=True)
    except ReachError as error:
        return Checkpointer(version=version, complaint=str(error))
    return Checkpointer(version=version)
