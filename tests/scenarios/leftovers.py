"""What of a lab can be left on a machine."""

from __future__ import annotations

from pathlib import Path


def processes_naming(folder: Path) -> list[str]:
    """All processes on the machine whose command line, folder or open files are in a lab's folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            texts = [(process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")]
            texts += [str((process / "cwd").readlink())]
            texts += [str(fd.readlink()) for fd in (process / "fd").iterdir()]
        except OSError:
            continue
        if any(str(folder) in text for text in texts):
            found.append(texts[0])
    return found


def processes_in(network: Path) -> list[str]:
    """All processes on the machine in a network namespace, given as what `/proc/PID/ns/net` leads to."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "ns/net").readlink() == network:
                found.append(process.name)
        except OSError:
            continue
    return found


def mounts_naming(folder: Path) -> list[str]:
    return [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(folder) in line]


def groups_naming(folder: Path) -> list[Path]:
    return list(Path("/sys/fs/cgroup").glob(f"*/{folder.name}*"))


def assert_nothing_left(folder: Path) -> None:
    assert not folder.exists()
    assert processes_naming(folder) == []
    assert mounts_naming(folder) == []
    assert groups_naming(folder) == []


def network_cards() -> set[str]:
    return {card.name for card in Path("/sys/class/net").iterdir()}
