"""How a simulated machine is made: what stands against it, its disks, then the machine itself; all of it or nothing."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from vhal.driver.answer import YES, Answer, Level
from vhal.driver.event import EventKind
from vhal.errors import AlreadyExists, InsufficientResources
from vhal_mock.machine import SimMachine
from vhal_mock.options import DEFAULTS, MockOptions

if TYPE_CHECKING:
    from vhal.driver.context import Context
    from vhal.spec.machine import MachineSpec
    from vhal_mock.host import SimHost
    from vhal_mock.workload import Workload

_CREATED = EventKind.CREATED  # looked up once: Python 3.11 runs a function for each look at an enum's member


def options_of(spec: MachineSpec) -> MockOptions:
    """Return what a spec says to the simulator.

    Raises:
        vhal.errors.InvalidSpec: It isn't what the model says.
    """
    return spec.options_for("mock", MockOptions) if "mock" in spec.options else DEFAULTS


def volumes(spec: MachineSpec) -> dict[str, int]:
    """Return the disks that a host makes for a machine: name → bytes.

    Those with a path are somebody else's, and those that are shared lie on no host.
    """
    return {
        disk.name or f"{spec.name}-{place}": int(disk.size)
        for place, disk in enumerate(spec.disks)
        if disk.path is None and disk.size is not None and not disk.shared
    }


def can_create(host: SimHost, spec: MachineSpec) -> Answer:
    """Return whether a machine can be made. Precondition: the world's lock is held.

    Raises:
        vhal.errors.InvalidSpec: Its options aren't what the model says.
        vhal.errors.NotFound: It names a trace that isn't there.
    """
    if "mock" in spec.options:
        _workload(host, spec, options_of(spec))
    name = host.name
    if spec.name in host.by_name:
        return _name_taken(host, spec)
    if spec.memory.size > host.memory_limit or spec.cpus.count > host.cpu_limit:
        from vhal.spec.units import Bytes

        return Answer.no(
            "larger-than-host",
            f"host {name!r} has {host.cpu_limit} processors and {Bytes(host.memory_limit)} of memory in all",
            "choose a larger host, or make the machine smaller",
            Level.HOST,
            InsufficientResources,
        )
    if spec.disks or spec.gpus:
        return _devices(host, spec)
    return YES


def create(host: SimHost, spec: MachineSpec, ctx: Context) -> SimMachine:
    """Make a machine, stopped. Precondition: the world's lock is held.

    Raises:
        vhal.errors.VhalError: It can't be made; nothing of it is left.
    """
    answer = can_create(host, spec)
    if answer is not YES:
        raise answer.error(machine=spec.name)
    options = options_of(spec)
    machine = SimMachine(host.world.new_id(), spec, options, options.steady or _workload(host, spec, options))
    if spec.disks:
        made = volumes(spec)
        host.make_volumes(made)
        try:
            host.visit("create.after_disk_before_define", spec.name, ctx)
            _check_name(host, spec)  # once more: time may have passed
        except BaseException:
            host.drop_volumes(list(made))
            raise
    for mount in spec.mounts:
        machine.guest.files.make_folders(mount.target)
    host.add(machine)
    host.tell(_CREATED, machine)
    return machine


def _check_name(host: SimHost, spec: MachineSpec) -> None:
    if spec.name in host.by_name:
        raise _name_taken(host, spec).error()


def _name_taken(host: SimHost, spec: MachineSpec) -> Answer:
    return Answer.no(
        "name-taken",
        f"there is a machine {spec.name!r} on host {host.name!r}",
        "choose another name, or delete that one",
        raises=AlreadyExists,
    )


def _workload(host: SimHost, spec: MachineSpec, options: MockOptions) -> Workload:
    return options.make_workload(f"{host.world.seed}:{spec.name}", host.world)


def _devices(host: SimHost, spec: MachineSpec) -> Answer:
    name, wanted = host.name, volumes(spec)
    for volume in wanted:
        if volume in host.volumes:
            return Answer.no(
                "volume-taken",
                f"there is a volume {volume!r} on host {name!r}",
                "give the disk another name, or delete that one",
                raises=AlreadyExists,
            )
    shortage = host.disk_shortage(sum(wanted.values()))
    if shortage:
        return Answer.no(
            "no-disk-room", f"host {name!r} is full: {shortage}", "make room there", Level.HOST, InsufficientResources
        )
    if not spec.gpus:
        return YES
    if not host.gpus:
        return Answer.no(
            "no-gpu", f"host {name!r} has no GPU", "choose a host with one", Level.HOST, InsufficientResources
        )  # fmt: skip
    from vhal_mock.gpu import SimGpu, assign, names

    if assign([SimGpu(gpu.model) for gpu in host.gpus], spec.gpus) is None:
        known = dict.fromkeys(f"{gpu.model.model} ({gpu.model.scheme})" for gpu in host.gpus)
        profiles = dict.fromkeys(
            profile for gpu in host.gpus if gpu.model.scheme in ("mig", "vgpu") for profile in names(gpu.model)
        )
        offered = f", with the profiles {', '.join(profiles)}" if profiles else ""
        wanted_profiles = [gpu.profile for gpu in spec.gpus if gpu.profile is not None]
        near = [match for each in wanted_profiles for match in get_close_matches(each, profiles, 1)]
        return Answer.no(
            "no-such-gpu",
            f"host {name!r} can't give that, empty as it may be; it has {', '.join(known)}{offered}",
            f"did you mean {near[0]!r}?" if near else "ask for one of these, or choose another host",
            Level.HOST,
            InsufficientResources,
        )
    return YES
