"""What of the container backend works on this machine, and what to do about the rest.

It looks, asks the engine, and starts nothing but ``criu check``. It never raises: a doctor that faints is of no use.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from vhal.driver import Finding, HostUrl
from vhal.errors import VhalError
from vhal_containers.address import BACKEND

_SETUP = Path(__file__).with_name("setup.sh")
_ENGINE = "podman"
_OLDEST_CRIU = (4, 2)
_CHECK_S = 10.0
_WANTED = {"nofile": (resource.RLIMIT_NOFILE, 8192), "nproc": (resource.RLIMIT_NPROC, 16384)}
_PLACES = f"{os.defpath}:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin"


def findings() -> list[Finding]:
    """Return what was found."""
    found = _guarded(_ENGINE, _engine)
    found += _guarded("CRIU", _criu)
    found += _guarded("limits", _limits)
    return found


def _guarded(subject: str, look: Callable[[], list[Finding]]) -> list[Finding]:
    try:
        return look()
    except Exception as error:  # noqa: BLE001 - whatever is wrong is a finding
        return [_sad(subject, error)]


def _sad(subject: str, error: Exception) -> Finding:
    from vhal_containers.translation import translate

    known = error if isinstance(error, VhalError) else translate(error)
    if known is None:
        return Finding(False, subject, f"{type(error).__name__}: {error}", "report this")
    hint = known.hint or "look at its log"
    if subject == _ENGINE and shutil.which("podman", path=_PLACES) is None:
        hint = f"install podman (Debian: {_SETUP}), or name a remote host; {hint}"
    return Finding(False, subject, known.message, hint)


def _engine() -> list[Finding]:
    from vhal_containers.engine import Engine

    engine = Engine.open(HostUrl(BACKEND))
    try:
        facts = engine.facts()
        info = facts.info
        whose = "one's own" if info.rootless else "root's"
        found = [
            Finding(True, _ENGINE, f"podman {facts.versions['podman']}, {whose}, answers at {engine.address.socket}")
        ]
        found.append(_runtime(info.runtime, facts.versions.get(info.runtime, ""), info.runtime_version))
        found.append(_groups(info.cgroup_version, info.cgroup_controllers, rootless=info.rootless))
        found.append(_network(info.network_backend, info.network_drivers))
        return found
    finally:
        engine.close()


def _runtime(name: str, version: str, words: str) -> Finding:
    # crun says what it was built with; runc always asks criu itself.
    if name == "runc" or "+CRIU" in words:
        return Finding(True, "runtime", f"{name} {version} can checkpoint")
    return Finding(
        False,
        "runtime",
        f"{name} {version} can't checkpoint: machines are not saved, and not moved while they run",
        f'install runc ({_SETUP} does), and write runtime = "runc" below [engine] in containers.conf',
    )


def _groups(version: str, controllers: tuple[str, ...], *, rootless: bool) -> Finding:
    missing = [name for name in ("memory", "cpu") if name not in controllers]
    if missing or (rootless and version == "v1"):
        return Finding(
            False,
            "control groups",
            f"{version}: the engine can't limit {' and '.join(missing or ['memory', 'cpu'])}; machines can't be made",
            "use root's engine, or cgroup v2 with controllers delegated to the user (systemd: Delegate=yes)",
        )
    return Finding(True, "control groups", f"{version}, with {', '.join(controllers)}")


def _network(backend: str, drivers: tuple[str, ...]) -> Finding:
    if backend == "netavark":
        return Finding(True, "networks", f"{backend}: {', '.join(drivers)}")
    return Finding(
        False,
        "networks",
        f"{backend or 'no'} network backend: machines can't keep their addresses when they move",
        f'install netavark ({_SETUP} does), and write network_backend = "netavark" below [network] in containers.conf',
    )


def _criu() -> list[Finding]:
    program = shutil.which("criu", path=f"{os.environ.get('PATH', '')}:{_PLACES}")
    if program is None:
        return [
            Finding(
                False, "CRIU", "there is none: machines are not saved, and not moved while they run", f"run {_SETUP}"
            )
        ]
    said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=_CHECK_S, check=False).stdout
    match = re.search(r"Version:\s*(\d+)\.(\d+)", said)
    version = (int(match[1]), int(match[2])) if match else (0, 0)
    shown = ".".join(map(str, version))
    if version < _OLDEST_CRIU:
        wanted = ".".join(map(str, _OLDEST_CRIU))
        return [Finding(False, "CRIU", f"{program} is {shown}; {wanted} or later is needed", f"run {_SETUP}")]
    if os.geteuid() != 0:
        return [Finding(True, "CRIU", f"{shown}; whether it works here, only root can find out")]
    check = subprocess.run([program, "check"], capture_output=True, text=True, timeout=_CHECK_S, check=False)
    if check.returncode:
        reason = (check.stderr or check.stdout).strip().splitlines()
        return [
            Finding(
                False,
                "CRIU",
                f"{shown} doesn't work on this kernel: {reason[-1] if reason else 'criu check fails'}",
                f"run {_SETUP}, or use a kernel with CONFIG_CHECKPOINT_RESTORE",
            )
        ]
    return [Finding(True, "CRIU", f"{shown} works on this kernel")]


def _limits() -> list[Finding]:
    from vhal_containers.address import address
    from vhal_containers.engine_process import EngineProcess

    # Without an engine, one that is started from here would have our own limits.
    process = EngineProcess.behind(address(HostUrl(BACKEND)))
    low: list[str] = []
    for name, (number, wanted) in _WANTED.items():
        own = resource.getrlimit(number)[1]
        most = process.ceiling(name) if process is not None else None if own == resource.RLIM_INFINITY else own
        if most is not None and most < wanted:
            low.append(f"{name} {most}")
    if low:
        return [
            Finding(
                False,
                "limits",
                f"the engine gives containers at most {', '.join(low)}",
                "raise them for the engine's service (systemd: LimitNOFILE=, LimitNPROC=)",
            )
        ]
    return [Finding(True, "limits", "containers get the usual limits on files and processes")]
