"""Where an engine's process is, when its first thread isn't."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from vhal_containers.address import Address
from vhal_containers.engine_process import EngineProcess
from vhal_containers.reach import Nearby

# What podman does when it copies files from a running container, on the thread that happens to be the process's first.
STRAY = """
import ctypes, os, socket, sys, threading
libc = ctypes.CDLL(None, use_errno=True)
def must(code):
    if code:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
path, away = sys.argv[1:]
must(libc.prctl(15, b"podman", 0, 0, 0))
for _ in range(3):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
with socket.socket(socket.AF_UNIX) as listening:
    listening.bind(path)
    listening.listen()
    must(libc.unshare(0x20000))
    must(libc.chroot(away.encode()))
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def stray(tmp_path: Path) -> Iterator[Address]:
    away = tmp_path / "away"
    away.mkdir()
    socket = tmp_path / "socket"
    command = [sys.executable, "-c", STRAY, str(socket), str(away)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield Address(str(socket))
        process.communicate()


def test_it_is_where_most_of_its_threads_are(stray: Address, tmp_path: Path) -> None:
    process = EngineProcess.behind(stray)
    assert process is not None
    assert Path(f"/proc/{process.pid}/root").readlink() == tmp_path / "away"
    assert process.root.readlink() == Path("/")
    assert process.look(str(tmp_path)) is not None
    way = Nearby.of(stray)
    try:
        assert way.run(["readlink", "/proc/self/ns/mnt"], files=True).strip() == str(
            Path("/proc/self/ns/mnt").readlink()
        )
    finally:
        way.close()


def test_one_that_has_ended_is_nowhere() -> None:
    with subprocess.Popen(["true"]) as process:
        pass
    ended = EngineProcess(process.pid, {})
    assert ended.thread == Path(f"/proc/{process.pid}")
    assert not os.path.lexists(ended.root)
    assert ended.look("/etc") is None
