"""The driver: one podman or docker host behind vhal's contract.

It holds what belongs together (the engine, the list of machines, the records) and hands each call to the file of its
noun. The engine's failures leave it as they are; :meth:`ContainersDriver.translate` says what they mean.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from vhal.driver import (
    CREATE,
    READINESS,
    YES,
    Answer,
    Capability,
    Context,
    Driver,
    Event,
    HostUrl,
    Level,
    StopMode,
)
from vhal.errors import VhalError
from vhal.spec import HostInfo, MachineInfo, MachineSpec
from vhal_containers import creation, docker, host_report, power, requirements, translation
from vhal_containers.console import Consoles
from vhal_containers.engine import Engine
from vhal_containers.events import EventMapping, Subscription
from vhal_containers.execution import Execution
from vhal_containers.files import Files
from vhal_containers.inventory import Inventory
from vhal_containers.metrics import Metrics
from vhal_containers.migration import ContainersMigration
from vhal_containers.migration.image_transfer import remove_files_of
from vhal_containers.readiness import ready
from vhal_containers.record import Records
from vhal_containers.requirements import Findings
from vhal_containers.resize import Resize
from vhal_containers.saving import Saving
from vhal_containers.snapshots import Snapshots
from vhal_containers.steps import Steps

T = TypeVar("T")

_LATELY_S = 0.25
"""For how long what was found out about a spec counts."""


class ContainersDriver(Driver):
    """One host, as its podman offers it. Made by :meth:`open`.

    Attributes:
        engine: The engine.
        records: What is remembered of its machines.
        inventory: Its machines.
        steps: What of the engine's events is a part of something longer.
        parts: Id of a capability → what implements it, where the driver itself doesn't. One with a method ``answer`` is
            asked by it whether it can do that here (None) or for a machine (its :class:`~vhal.spec.MachineInfo`).
    """

    backend: ClassVar[str] = "containers"
    capabilities: ClassVar[frozenset[str]] = frozenset({"create", "power", "pause", "reboot", "readiness", "events"})

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.host_id = engine.host_id
        self.records = Records(engine)
        self.inventory = Inventory(engine, self.records)
        self.steps = Steps()
        self._snapshots = Snapshots(engine, self.inventory, self.records, self.steps)
        self.parts: dict[str, object] = {
            "console": Consoles(engine, self.inventory),
            "exec": Execution(engine, self.inventory),
            "files": Files(engine, self.inventory),
            "metrics": Metrics(engine, self.inventory),
            "migration": docker.NoMigration()
            if engine.kind == docker.KIND
            else ContainersMigration(engine, self.inventory, self.records, self.steps),
            "resize": Resize(engine, self.inventory, self.records),
            "save": Saving(engine, self.inventory, self.records, self.steps),
            "snapshots": self._snapshots,
        }
        self._lock = threading.Lock()
        self._subscriptions: set[Subscription] = set()
        self._closed = False
        self._examined: tuple[float, MachineSpec, Findings] | None = None

    @classmethod
    def open(cls, url: HostUrl) -> ContainersDriver:
        """Return a driver for a URL that was checked against :data:`vhal_containers.address.TRANSPORTS`.

        Raises:
            vhal.errors.InvalidUrl: Its parts don't fit each other.
            vhal.errors.Unsupported: What listens there is too old, or neither podman nor docker.
            vhal_containers.api.Failure: It can't be reached; :meth:`translate` says what that means.
        """
        return cls(Engine.open(url))

    def describe(self) -> HostInfo:
        return host_report.describe(self.engine, self.inventory.machines())

    def machines(self) -> list[MachineInfo]:
        return self.inventory.machines()

    def inspect(self, ref: str) -> MachineInfo:
        return self.inventory.find(ref).info

    def create(self, spec: MachineSpec, ctx: Context) -> MachineInfo:
        return creation.create(self.engine, self.inventory, spec, self._findings(spec), ctx)

    def delete(self, id: str, ctx: Context, keep_disks: bool = False) -> None:
        found = self._snapshots.settled(self.inventory.find(id))
        creation.delete(self.engine, self.records, found, keep_disks=keep_disks)
        if self.engine.kind != docker.KIND:
            remove_files_of(self.engine.api, found.info.id)
        self._snapshots.remove_all(found.info.id)
        self.inventory.forget(id)

    def start(self, id: str, ctx: Context) -> None:
        # Docker tells of each time that sizes are given; what was resized isn't resized again when it starts.
        with self.steps.meaning(id, {"update": None}):
            power.start(self.engine, self.inventory.lately(id))

    def stop(self, id: str, mode: StopMode, ctx: Context) -> None:
        found = self.inventory.lately(id)
        if found.info.state.active:
            # It runs, so that nothing was saved of it, whatever somebody was about to do.
            self.records.not_saved(id, found.record)
        if mode is StopMode.FORCED:
            power.power_off(self.engine, self.records, found)
        else:
            power.shut_down(self.engine, found, ctx)

    def pause(self, id: str, ctx: Context) -> None:
        """Running → paused."""
        self.engine.api.containers.pause(self.inventory.lately(id).podman_id)

    def resume(self, id: str, ctx: Context) -> None:
        """Paused → running."""
        self.engine.api.containers.unpause(self.inventory.lately(id).podman_id)

    def reboot(self, id: str, ctx: Context) -> None:
        """Have it end, by force if its stop timeout passes, and begin anew; returns when it has."""
        power.restart(self.engine, self.inventory.find(id), ctx)

    def ready(self, id: str) -> bool:
        """Return whether its health check says that it is up; runs it if nobody has."""
        return ready(self.engine, self.inventory.find(id))

    def subscribe(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        """Call ``listener`` for each event, from a thread of its own, until the returned function is called."""
        mapping = EventMapping(self.engine.name, self.steps)
        subscription = Subscription(self.engine, mapping, listener)
        with self._lock:
            self._subscriptions.add(subscription)
            closed = self._closed

        def cancel() -> None:
            subscription.cancel()
            with self._lock:
                self._subscriptions.discard(subscription)

        if closed:
            cancel()
        return cancel

    def can(self, capability: Capability[Any], subject: MachineInfo | MachineSpec | None = None) -> Answer:
        if self.provides(capability) is None:
            return Answer.no(
                "not-provided", f"this backend can't {capability.summary}", "use another backend", Level.BACKEND
            )
        if capability.id == CREATE.id and isinstance(subject, MachineSpec):
            found = requirements.examine(self.engine, subject)
            self._examined = (time.monotonic(), subject, found)
            return Answer.of(found.blockers)
        if capability.id == READINESS.id and isinstance(subject, MachineInfo):
            return self._can_tell_readiness(subject)
        answer = getattr(self.parts.get(capability.id), "answer", None)
        if answer is not None and not isinstance(subject, MachineSpec):
            said: Answer = answer(subject)
            return said
        return YES

    def provides(self, capability: Capability[T]) -> T | None:
        part = self.parts.get(capability.id)
        return super().provides(capability) if part is None else part  # type: ignore[return-value]

    def translate(self, error: Exception) -> VhalError | None:
        return translation.translate(error, self.engine.kind)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            subscriptions = list(self._subscriptions)
            self._subscriptions.clear()
        for subscription in subscriptions:
            subscription.cancel()
        self.engine.close()

    def _findings(self, spec: MachineSpec) -> Findings:
        # Whoever creates has asked whether it can be done a moment before.
        asked = self._examined
        if asked is not None and asked[1] is spec and time.monotonic() - asked[0] < _LATELY_S:
            return asked[2]
        return requirements.examine(self.engine, spec)

    def _can_tell_readiness(self, info: MachineInfo) -> Answer:
        if self.inventory.find(info.id).container.has_healthcheck:
            return YES
        return Answer.no(
            "no-health-check",
            f"machine {info.name!r} has no health check, so nobody knows whether it is up",
            "make it with process.health, or from an image that has one",
        )
