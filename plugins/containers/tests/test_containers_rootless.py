"""A real engine of a user without privileges, as far as one can go here: it is seen, and what it can't do is said."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.leftovers import processes_naming
from tests.testbed import wait_until
from vhal.driver.capability import CREATE
from vhal.errors import Unsupported
from vhal.host import Host, connect
from vhal.spec import BootRootfs, MachineKind, MachineSpec, Process

NOBODY = 65534


@pytest.fixture
def host() -> Iterator[Host]:
    """A connection to an engine of nobody's. It is in a process namespace, so that all of it ends with it."""
    folder = Path(tempfile.mkdtemp(prefix="vhal-rootless-"))
    for made in (folder, folder / "run", folder / "store"):
        made.mkdir(exist_ok=True)
        os.chown(made, NOBODY, NOBODY)
    socket = folder / "run" / "podman.sock"
    # The shell is the namespace's first process, and stays root's: a change of user would undo --kill-child.
    command = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", '"$@"; exit $?', "sh"]
    command += ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "podman"]
    command += ["--storage-driver=vfs", f"--root={folder / 'store'}", "--cgroup-manager=cgroupfs"]
    command += ["system", "service", "--time=0", f"unix://{socket}"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder / "run")}
    with (folder / "words").open("wb") as words:
        engine = subprocess.Popen(command, env=environment, cwd=folder, stderr=words, stdout=words)
    try:
        wait_until(socket.exists, deadline=60, what=f"the engine's socket; {(folder / 'words').read_text()}")
        with connect(f"containers+unix://{socket}") as host:
            yield host
    finally:
        engine.kill()
        engine.wait(60)
        wait_until(lambda: not processes_naming(folder), deadline=60, what="the end of all in the namespace")
        shutil.rmtree(folder)


def test_it_is_seen_and_what_it_cannot_do_is_said_before_anything_is_made(host: Host, tmp_path: Path) -> None:
    assert host.info().versions["podman"]
    assert host.machines() == []
    spec = MachineSpec(
        name="m",
        kind=MachineKind.CONTAINER,
        boot=BootRootfs(rootfs=str(tmp_path)),
        process=Process(command=("/bin/true",)),
    )
    answer = host.can(CREATE, spec)
    if Path("/sys/fs/cgroup/cgroup.controllers").exists():
        return  # with cgroup v2 its controllers may have been delegated to it, and then it can
    assert not answer
    with pytest.raises(Unsupported, match="can't limit memory and cpu") as caught:
        host.create(spec)
    assert "root's engine" in (caught.value.hint or "")
    assert host.machines() == []
