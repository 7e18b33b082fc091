"""What stands against a simulated machine's move: in the machine itself, and at the host it is to go to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from vhal.driver.answer import Blocker, Level
from vhal.errors import AlreadyExists, InsufficientResources
from vhal.spec.machine import MachineKind
from vhal.spec.state import MachineState

if TYPE_CHECKING:
    from vhal.driver.migration import MigrationPolicy, Offer
    from vhal_mock.host import SimHost
    from vhal_mock.machine import SimMachine

DOWNTIME_S = 0.3
"""What a policy that says nothing allows: QEMU's default."""


def staying(machine: SimMachine) -> Iterator[Blocker]:
    """Yield what keeps a machine where it is, wherever it is to go."""
    if machine.has_snapshots:
        yield Blocker(
            "snapshots",
            f"machine {machine.name!r} has snapshots, which would stay behind",
            "delete its snapshots",
        )
    if not machine.options.migratable:
        yield Blocker(
            "not-migratable",
            f"machine {machine.name!r} has a device that can't move",
            "create it with options.mock.migratable = true",
        )


def refusing(host: SimHost, offer: Offer, policy: MigrationPolicy) -> Iterator[Blocker]:
    """Yield what stands against ``offer`` at the host that it is to go to. Precondition: the world's lock is held."""
    if offer.payload.get("world") != host.world.name:
        yield Blocker("other-world", f"host {host.name!r} is in another world", "choose a host of the same", Level.HOST)
        return
    yield from _room(host, offer)
    yield from _engine(host, offer, policy)
    if offer.machine.spec is not None and offer.machine.spec.gpus:
        yield from _gpus(host, offer, policy)


def _room(host: SimHost, offer: Offer) -> Iterator[Blocker]:
    machine, here = offer.machine, repr(host.name)
    if machine.name in host.by_name or machine.id in host.machines:
        yield Blocker(
            "name-taken",
            f"there is a machine {machine.name!r} on host {here}",
            "delete or rename one of them",
            raises=AlreadyExists,
        )
    # A machine that runs now needs room, even if it is to be stopped for the move: it is started here again.
    if offer.state.active or machine.state.active:
        shortage = host.shortage(machine.cpus, machine.memory)
        if shortage:
            yield Blocker(
                "no-room", f"host {here} is full: {shortage}", "make room there", Level.HOST, InsufficientResources
            )
    if machine.spec is not None and machine.spec.disks:
        from vhal_mock.creation import volumes

        wanted = volumes(machine.spec)
        taken = [name for name in wanted if name in host.volumes]
        if taken:
            yield Blocker(
                "volume-taken",
                f"there is a volume {taken[0]!r} on host {here}",
                "rename or delete it there",
                raises=AlreadyExists,
            )
        shortage = host.disk_shortage(sum(wanted.values()))
        if shortage:
            yield Blocker(
                "no-disk-room", f"host {here} is full: {shortage}", "make room there", Level.HOST, InsufficientResources
            )


def _engine(host: SimHost, offer: Offer, policy: MigrationPolicy) -> Iterator[Blocker]:
    moving = offer.state is not MachineState.STOPPED
    if not moving:
        return
    machine, payload = offer.machine, offer.payload
    model = machine.spec.cpus.model if machine.spec is not None else None
    if machine.kind is MachineKind.CONTAINER or model in ("host-model", "host-passthrough"):
        lacking = sorted(set(payload["features"]) - host.model.cpu_features)
        if lacking:
            yield Blocker(
                "cpu-mismatch",
                f"the processors of host {host.name!r} lack {', '.join(lacking)}, which the machine may use",
                "choose a host with them, or make the machine with a processor model that both have",
                Level.HOST,
            )
    for component, version in host.model.versions.items():
        theirs = payload["versions"].get(component)
        if theirs is not None and _number(version) < _number(theirs):
            yield Blocker(
                "engine-older",
                f"host {host.name!r} has {component} {version}, older than the source's {theirs}",
                f"choose a host with {component} {theirs} or later, or move it while it is stopped",
                Level.HOST,
            )
    quirks = host.model.quirks | set(payload["quirks"])
    if policy.post_copy and policy.parallel > 1 and "post-copy-parallel-loses" in quirks and not policy.allow_unsafe:
        yield Blocker(
            "post-copy-parallel",
            "with several connections and post-copy, QEMU before 10.1 loses the machine and says that it moved",
            "use one connection, or no post-copy",
            Level.HOST,
        )


def _gpus(host: SimHost, offer: Offer, policy: MigrationPolicy) -> Iterator[Blocker]:
    assert offer.machine.spec is not None  # noqa: S101 - asked by the caller
    from vhal_mock.gpu import SimGpu, assign

    empty = assign([SimGpu(gpu.model) for gpu in host.gpus], offer.machine.spec.gpus) is None
    needed = offer.state.active or offer.machine.state.active
    if empty or (needed and assign(host.gpus, offer.machine.spec.gpus) is None):
        yield Blocker(
            "no-gpu" if empty else "gpu-taken",
            f"host {host.name!r} has no such GPU" + ("" if empty else " free"),
            "choose a host with one" if empty else "free one there, or choose another host",
            Level.HOST,
            InsufficientResources,
        )
    if offer.state is MachineState.STOPPED:
        return
    held = offer.payload["gpus"]
    if any(scheme != "vgpu" for scheme, _ in held):
        yield Blocker(
            "gpu-attached",
            f"machine {offer.machine.name!r} has a GPU whose state can't be read while it runs",
            "move it with live = false, which stops it for the move; or give it a vGPU",
        )
        return
    if policy.post_copy:
        yield Blocker("gpu-post-copy", "a vGPU's memory can't be fetched later", "move it without post_copy")
    # Its memory goes while the machine stands still.
    stun_s = sum(memory for _, memory in held) / min(host.model.bandwidth, offer.payload["bandwidth"])
    if stun_s > (policy.max_downtime_s or DOWNTIME_S):
        yield Blocker(
            "gpu-stun",
            f"the memory of its vGPUs takes about {stun_s:.1f} s, in which the machine stands still",
            f"allow it: max_downtime_s = {stun_s + 1:.0f}",
        )


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
