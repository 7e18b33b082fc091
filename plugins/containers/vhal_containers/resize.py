"""Other sizes for a machine: in its control group now, and remembered for each later start.

The engine changes the control group only, and goes on saying what the container was made with; so what counts is in the
machine's record (:mod:`vhal_containers.record`).
"""

from __future__ import annotations

import contextlib
from typing import Any

from vhal.driver import Context
from vhal.errors import InsufficientResources, InvalidSpec, Unsupported, VhalError
from vhal.spec import Bytes
from vhal_containers import limits
from vhal_containers.api import ApiError, Failure
from vhal_containers.engine import Engine
from vhal_containers.inventory import Found, Inventory
from vhal_containers.record import Records

_UNLIMITED = -1


class Resize:
    """Changes the sizes of one engine's machines. Safe to use from several threads."""

    def __init__(self, engine: Engine, inventory: Inventory, records: Records) -> None:
        self._engine = engine
        self._inventory = inventory
        self._records = records

    def resize(self, id: str, cpus: int | None, memory: Bytes | None, ctx: Context) -> None:
        """Give the machine that much, now and whenever it is started; None leaves one as it is.

        Raises:
            vhal.errors.InsufficientResources: The host has less.
            vhal.errors.InvalidSpec: A container can't be started in so little memory.
            vhal.errors.Unsupported: What runs in it holds more memory than that, or it is bound to fewer processors.
        """
        found = self._inventory.find(id)
        problem = self._problem(found, cpus, memory)
        if problem is not None:
            problem.backend, problem.machine = "containers", found.info.name
            raise problem
        active = found.info.state.active
        ctx.check()
        try:
            if active:
                self._set(found, limits.resources(cpus or 0, memory or 0))
            given = {"cpus": cpus, "memory": None if memory is None else int(memory)}
            self._records.update(found.info.id, **{key: value for key, value in given.items() if value is not None})
        except BaseException as error:
            if active:
                self._undo(found)
                if memory is not None and isinstance(error, ApiError) and self._used(found) > memory:
                    raise _in_use(found, memory, self._used(found), error) from error
            raise

    def _problem(self, found: Found, cpus: int | None, memory: Bytes | None) -> VhalError | None:
        host = self._engine.facts().info
        if cpus is not None and host.cpus and cpus > host.cpus:
            return InsufficientResources(
                f"the machine wants {cpus} processors, the host has {host.cpus}", hint="give it fewer"
            )
        if memory is not None and host.memory and memory > host.memory:
            return InsufficientResources(
                f"the machine wants {memory} of memory, the host has {host.memory >> 20} MiB", hint="give it less"
            )
        if memory is not None and memory < limits.LEAST_MEMORY:
            return InvalidSpec(
                f"a container isn't started in less than {limits.LEAST_MEMORY >> 20} MiB",
                hint="give it more memory",
                problems=[("memory", "is too little")],
            )
        bound = len(found.spec.cpus.pinning) if found.spec is not None else 0
        if cpus is not None and bound and cpus > bound:
            return Unsupported(
                f"the machine is bound to {bound} of the host's processors",
                hint="give it at most as many, or make it anew with other pinning",
            )
        # Version 2 of control groups would make room by ending what runs in it; version 1 refuses by itself.
        if memory is not None and found.info.state.active and host.cgroup_version != "v1":
            used = self._used(found)
            if used > memory:
                return _in_use(found, memory, used)
        return None

    def _set(self, found: Found, resources: dict[str, Any]) -> None:
        self._engine.api.containers.update(found.podman_id, resources)

    def _undo(self, found: Found) -> None:
        record, made = found.record, found.container.limits
        memory, swap = (record.memory,) * 2 if record.memory else (made.memory, made.memory_swap)
        quota = record.cpus * limits.PERIOD_US if record.cpus else made.cpu_quota
        period = limits.PERIOD_US if record.cpus else made.cpu_period
        before: dict[str, Any] = {
            "memory": {"limit": memory or _UNLIMITED, "swap": swap or _UNLIMITED},
            "cpu": {"quota": quota or _UNLIMITED, "period": period or limits.PERIOD_US},
        }
        with contextlib.suppress(Failure):
            self._set(found, before)

    def _used(self, found: Found) -> int:
        try:
            return self._engine.api.containers.stats_of(found.podman_id).memory
        except Failure:
            return 0


def _in_use(found: Found, memory: Bytes, used: int, native: ApiError | None = None) -> Unsupported:
    return Unsupported(
        f"machine {found.info.name!r} can't be given {memory}: it holds {used >> 20} MiB now",
        hint="have what runs in it let go of memory, or stop() it first",
        backend="containers",
        machine=found.info.name,
        native=native,
    )
