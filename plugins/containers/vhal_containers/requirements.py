"""What stands against making a machine from a spec on this host, found out before anything is done.

The answer to "can it be created?", with a remedy for each reason. Nothing that a spec asks for is dropped in silence:
what a container can't have is a blocker here. Making it is :mod:`vhal_containers.creation`.
"""

from __future__ import annotations

import posixpath
import re
import signal
from collections.abc import Iterator, Sequence

from vhal.driver import Blocker, Level
from vhal.errors import AccessDenied, AlreadyExists, InsufficientResources, InvalidSpec
from vhal.spec import BootArchive, BootImage, BootRootfs, Firmware, MachineKind, MachineSpec, Process
from vhal_containers import docker, gpu, host_paths, image, limits, volumes, wires
from vhal_containers.api.types import Network
from vhal_containers.engine import Engine, Facts
from vhal_containers.engine_process import EngineProcess
from vhal_containers.identity import PREFIX
from vhal_containers.options import ContainersOptions

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")

CAPABILITIES = frozenset(
    f"CAP_{name}"
    for name in [
        "AUDIT_CONTROL",
        "AUDIT_READ",
        "AUDIT_WRITE",
        "BLOCK_SUSPEND",
        "BPF",
        "CHECKPOINT_RESTORE",
        "CHOWN",
        "DAC_OVERRIDE",
        "DAC_READ_SEARCH",
        "FOWNER",
        "FSETID",
        "IPC_LOCK",
        "IPC_OWNER",
        "KILL",
        "LEASE",
        "LINUX_IMMUTABLE",
        "MAC_ADMIN",
        "MAC_OVERRIDE",
        "MKNOD",
        "NET_ADMIN",
        "NET_BIND_SERVICE",
        "NET_BROADCAST",
        "NET_RAW",
        "PERFMON",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_ADMIN",
        "SYS_BOOT",
        "SYS_CHROOT",
        "SYS_MODULE",
        "SYS_NICE",
        "SYS_PACCT",
        "SYS_PTRACE",
        "SYS_RAWIO",
        "SYS_RESOURCE",
        "SYS_TIME",
        "SYS_TTY_CONFIG",
        "SYSLOG",
        "WAKE_ALARM",
    ]
)
"""Those of Linux (capabilities(7))."""

BEYOND = frozenset(
    f"CAP_{name}"
    for name in [
        "AUDIT_CONTROL",
        "BLOCK_SUSPEND",
        "BPF",
        "DAC_READ_SEARCH",
        "MAC_ADMIN",
        "MAC_OVERRIDE",
        "PERFMON",
        "SYS_ADMIN",
        "SYS_BOOT",
        "SYS_MODULE",
        "SYS_RAWIO",
        "SYS_TIME",
        "SYSLOG",
    ]
)
"""Those that reach beyond the container: whoever has one of them has, or may soon have, the host."""

_REAL_TIME = re.compile(r"SIGRT(MIN|MAX)(?:([+-])(\d{1,2}))?")
_FIRST_REAL_TIME, _LAST_REAL_TIME = 34, 64
_NEVER_TARGETS = ("/proc", "/sys", "/dev")


class Findings:
    """What was found out about a spec on a host."""

    def __init__(self, options: ContainersOptions) -> None:
        self.options = options
        self.blockers: list[Blocker] = []
        self.networks: Sequence[Network] = ()
        self.process: EngineProcess | None = None
        self.has_image = False
        """Whether the engine has the image that the spec names."""


def examine(engine: Engine, spec: MachineSpec) -> Findings:
    """Return what stands against a machine from ``spec``, and what making it needs to know.

    Raises:
        vhal.errors.InvalidSpec: ``options["containers"]`` doesn't fit.
    """
    found = Findings(spec.options_for("containers", ContainersOptions))
    found.blockers += _unsupported(spec)
    found.blockers += _process(spec.process)
    found.blockers += volumes.blockers(spec)
    if found.blockers:
        return found
    facts = engine.facts()
    found.process = EngineProcess.behind(engine.address)
    # All others are only asked for where their addresses matter: there may be many.
    others = engine.api.containers.list() if any(nic.ip is not None for nic in spec.nics) else ()
    found.blockers += _name(engine, spec)
    if engine.kind == docker.KIND:
        found.blockers += docker.blockers(engine, spec)
    found.blockers += _room(spec, facts)
    found.blockers += _rights(spec, found.options, facts)
    found.blockers += _ceilings(spec, found.process)
    found.blockers += host_paths.refused(spec, found.process)
    found.blockers += gpu.blockers(spec, found.process)
    if spec.nics:
        found.networks = engine.api.networks.list()
        found.blockers += wires.blockers(spec, found.networks, others, rootless=facts.info.rootless)
        if engine.kind == docker.KIND:
            found.blockers += docker.addresses(spec, found.networks)
    if isinstance(spec.boot, BootImage):
        found.has_image = image.is_there(engine, spec.boot)
    if isinstance(spec.boot, (BootImage, BootArchive)):
        may_pull = found.options.pull == "missing"
        found.blockers += image.blockers(spec.boot, there=found.has_image, may_pull=may_pull)
    if engine.kind == docker.KIND:
        found.blockers = docker.in_its_words(found.blockers)
    return found


def _unsupported(spec: MachineSpec) -> Iterator[Blocker]:
    if spec.kind is not MachineKind.CONTAINER:
        yield _never("kind-unsupported", "podman runs containers, no virtual machines", "use a backend that does")
        return
    if not isinstance(spec.boot, (BootImage, BootArchive, BootRootfs)):
        yield _never(
            "boot-source",
            f"a container doesn't boot a {spec.boot.source}",
            "give boot an image, an archive or a rootfs: boot = {source = 'image', image = '…'}",
        )
    if not _NAME.fullmatch(spec.name) or ".." in spec.name:
        yield Blocker("name", f"{spec.name!r} is no name", "use letters, digits, '_', '.', '-'", raises=InvalidSpec)
    for what, given in (
        ("firmware", spec.firmware != Firmware()),
        ("topology", spec.cpus.topology is not None),
        ("processor model", spec.cpus.model is not None),
        ("huge pages", spec.memory.hugepages is not None),
    ):
        if given:
            yield _never(
                f"no-{what.replace(' ', '-')}",
                f"a container has no {what} of its own: it has its host's",
                f"leave the {what} out",
            )
    if spec.disks:
        yield _never("no-disks", "a container has no disks", "use mounts: a volume, a path, or a tmpfs")
    if spec.init is not None:
        yield _never("no-init", "a container has no first boot", "put it into the image, process.env or a mount")
    if len(spec.serials) > 1 or any(line.log is not None or line.socket is not None for line in spec.serials):
        yield _never(
            "no-serials",
            "a container has one console, which goes nowhere but to whoever attaches",
            "leave serials out; its engine keeps what it says (podman logs)",
        )
    for device in spec.devices:
        yield _never("device-unknown", f"devices of kind {device.kind!r} aren't known", "leave the device out")
    for key in spec.labels:
        if key.startswith(PREFIX):
            yield Blocker(
                "label-reserved",
                f"the label {key} is vhal's own",
                f"choose a key that doesn't begin with {PREFIX!r}",
                Level.BACKEND,
                InvalidSpec,
            )
    for mount in spec.mounts:
        target = "/" + posixpath.normpath(mount.target).lstrip("/")
        if target == "/" or target in _NEVER_TARGETS or target.startswith(("/proc/", "/sys/")):
            yield Blocker(
                "mount-target",
                f"nothing can be mounted at {mount.target}: the kernel's own files are there",
                "choose another target",
                Level.BACKEND,
                InvalidSpec,
            )


def _never(code: str, message: str, remedy: str) -> Blocker:
    return Blocker(code, message, remedy, Level.BACKEND)


def _process(process: Process | None) -> Iterator[Blocker]:
    if process is None:
        return
    for name in sorted(process.ulimits.keys() - limits.ULIMITS):
        yield Blocker(
            "ulimit-unknown",
            f"there is no limit {name!r}",
            f"use one of {', '.join(sorted(limits.ULIMITS))}",
            Level.BACKEND,
            InvalidSpec,
        )
    for name in sorted((process.capabilities_add | process.capabilities_drop) - CAPABILITIES):
        yield Blocker("capability-unknown", f"Linux has no {name}", "see capabilities(7)", Level.BACKEND, InvalidSpec)
    if process.stop_signal is not None and signal_number(process.stop_signal) is None:
        yield Blocker(
            "signal-unknown", f"there is no {process.stop_signal}", "see signal(7)", Level.BACKEND, InvalidSpec
        )


def signal_number(name: str) -> int | None:
    """Return the number of a signal, or None if there is none of that name."""
    found = _REAL_TIME.fullmatch(name)
    if found is not None:
        base, offset = (_FIRST_REAL_TIME if found[1] == "MIN" else _LAST_REAL_TIME), int(found[3] or 0)
        number = base - offset if found[2] == "-" else base + offset
        return number if _FIRST_REAL_TIME <= number <= _LAST_REAL_TIME else None
    try:
        return int(signal.Signals[name])
    except KeyError:
        return None


def _name(engine: Engine, spec: MachineSpec) -> Iterator[Blocker]:
    # Also a beginning of an id is found by the engine; creation fails only for a name.
    if engine.api.containers.exists(spec.name) and engine.api.containers.inspect(spec.name).name == spec.name:
        yield Blocker(
            "name-taken",
            f"there is a machine {spec.name!r} already",
            "choose another name, or delete that machine",
            Level.HOST,
            AlreadyExists,
        )


def _room(spec: MachineSpec, facts: Facts) -> Iterator[Blocker]:
    info = facts.info
    if info.memory and spec.memory.size > info.memory:
        yield Blocker(
            "memory",
            f"the machine wants {spec.memory.size} of memory, the host has {info.memory >> 20} MiB",
            "give it less memory, or choose a larger host",
            Level.HOST,
            InsufficientResources,
        )
    if spec.memory.size < limits.LEAST_MEMORY:
        yield Blocker(
            "memory-least",
            f"a container isn't started in less than {limits.LEAST_MEMORY >> 20} MiB",
            "give it more memory",
            Level.BACKEND,
            InvalidSpec,
        )
    if info.cpus and spec.cpus.count > info.cpus:
        yield Blocker(
            "cpus",
            f"the machine wants {spec.cpus.count} processors, the host has {info.cpus}",
            "give it fewer processors, or choose a larger host",
            Level.HOST,
            InsufficientResources,
        )
    if not spec.cpus.pinning:
        return
    top = max(number for text in spec.cpus.pinning.values() for number in limits.numbers(text))
    if info.cpus and top >= info.cpus:
        yield Blocker("pinning", f"the host has no processor {top}", f"pin to 0-{info.cpus - 1}", Level.HOST)
    if len(spec.cpus.pinning) < spec.cpus.count:
        yield _never(
            "pinning-partial",
            "a container's processors can't be bound one by one, and some of them aren't bound",
            "bind all of them, or none; the container may use what they are bound to together",
        )


def _rights(spec: MachineSpec, options: ContainersOptions, facts: Facts) -> Iterator[Blocker]:
    info = facts.info
    needed = ["memory", "cpu", *(["cpuset"] if spec.cpus.pinning else [])]
    missing = [name for name in needed if info.cgroup_controllers and name not in info.cgroup_controllers]
    if missing or (info.rootless and info.cgroup_version == "v1"):
        yield Blocker(
            "no-limits",
            f"the engine can't limit {' and '.join(missing or needed)} here",
            "use root's engine, or delegate the controllers to the user (systemd: Delegate=yes; needs cgroup v2)",
            Level.HOST,
        )
    added = spec.process.capabilities_add if spec.process is not None else frozenset()
    if not info.rootless:
        for name in sorted(added & BEYOND):
            yield Blocker(
                "capability-refused",
                f"{name} isn't given to a container of root's engine: it reaches beyond the container",
                "leave it out, or use a user's own engine, whose containers have it over themselves only",
                Level.HOST,
                AccessDenied,
            )
    if options.runtime is not None and options.runtime != info.runtime:
        # Asked for another one, podman says yes and takes its own.
        yield Blocker(
            "runtime",
            f"the engine runs containers with {info.runtime}, not with {options.runtime}",
            "leave options.containers.runtime out, or set the runtime below [engine] in that host's containers.conf",
            Level.HOST,
        )
    if options.network_mode == "host":
        if spec.nics:
            yield Blocker(
                "network-host", "a machine with its host's network has no cards of its own", "leave nics out",
                raises=InvalidSpec,
            )  # fmt: skip
        if "CAP_NET_ADMIN" in added:
            yield Blocker(
                "capability-refused",
                "CAP_NET_ADMIN isn't given to a machine with its host's network: it would rule over it",
                "leave one of the two out",
                Level.HOST,
                AccessDenied,
            )


def _ceilings(spec: MachineSpec, process: EngineProcess | None) -> Iterator[Blocker]:
    if spec.process is None:
        return
    for name, most in limits.above_ceiling(spec.process.ulimits, process).items():
        yield Blocker(
            "ulimit",
            f"the engine isn't allowed to give more than {most} {name}",
            f"give at most that, or raise the limit of the engine's service (systemd: Limit{name.upper()}=)",
            Level.HOST,
        )
