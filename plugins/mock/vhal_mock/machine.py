"""A simulated machine: what its host keeps of it, and what is inside it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vhal.spec.state import MachineState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vhal.spec.machine import MachineInfo, MachineSpec
    from vhal_mock.boot import Boot
    from vhal_mock.changes import Snapshot
    from vhal_mock.files import FileTree
    from vhal_mock.gpu import Part
    from vhal_mock.options import MockOptions
    from vhal_mock.process import MockProcess
    from vhal_mock.workload import Workload

_STOPPED = MachineState.STOPPED  # looked up once: Python 3.11 runs a function for each look at an enum's member


@dataclass(slots=True)
class Inside:
    """What is inside a machine, and moves with it: on its way both hosts hold the same one."""

    cpu_s: float = 0.0
    """Processor time since it was started, as it was last counted."""
    read: float = 0.0
    """Bytes since it was started, as all that follow."""
    written: float = 0.0
    received: float = 0.0
    sent: float = 0.0
    programs: set[MockProcess] = field(default_factory=set)
    """Those that were started in it and run."""
    tree: FileTree | None = None

    @property
    def files(self) -> FileTree:
        """Its files; made when they are first wanted."""
        if self.tree is None:
            from vhal_mock.files import FileTree

            self.tree = FileTree()
        return self.tree

    def restart(self) -> None:
        """Count from nothing again."""
        self.cpu_s = self.read = self.written = self.received = self.sent = 0.0

    def end(self) -> None:
        """End its programs."""
        for program in list(self.programs):
            program.kill()


class SimMachine:
    """A machine on a host, or a place held for one that is on its way.

    There may be very many, so what most of them haven't is the class's until it is wanted.
    """

    epoch = 1
    arriving = False
    """Whether it is only a place yet, held for a machine on its way."""
    boot: Boot | None = None
    """How far its guest has come; None if it isn't started."""
    stopping: int | None = None
    """How often it must still be looked at until it has stopped, where a world's progression counts looks."""
    nodes: tuple[int, ...] = ()
    """Bytes that it has of each of the host's NUMA nodes, where there are several."""
    parts: Sequence[Part] = ()
    """What it has of the host's GPUs."""
    info: MachineInfo | None = None
    """As it was last told; made anew after a change."""
    _guest: Inside | None = None
    _snapshots: dict[str, Snapshot] | None = None

    def __init__(self, id: str, spec: MachineSpec, options: MockOptions, workload: Workload) -> None:
        self.id = id
        self.name = spec.name
        self.spec = spec
        self.options = options
        self.workload = workload
        self.state = _STOPPED
        self.cpus = spec.cpus.count
        self.memory: int = spec.memory.size

    @property
    def guest(self) -> Inside:
        """What is inside it."""
        if self._guest is None:
            self._guest = Inside()
        return self._guest

    @guest.setter
    def guest(self, guest: Inside) -> None:
        self._guest = guest

    @property
    def snapshots(self) -> dict[str, Snapshot]:
        """Its snapshots by name, the oldest first."""
        if self._snapshots is None:
            self._snapshots = {}
        return self._snapshots

    @property
    def has_snapshots(self) -> bool:
        """Whether it has any."""
        return bool(self._snapshots)

    @property
    def resident(self) -> int:
        """Bytes of its host's memory that it really uses."""
        used = self.options.used
        return int(self.memory * (self.options.working_set if used is None else used))

    def restart_counters(self) -> None:
        """Count what it uses from nothing again."""
        if self._guest is not None:
            self._guest.restart()

    def end_programs(self) -> None:
        """End what runs in it."""
        if self._guest is not None:
            self._guest.end()

    def place_for(self) -> SimMachine:
        """Return a place for it on another host: the same machine, one host later, with nothing claimed yet."""
        place = SimMachine(self.id, self.spec, self.options, self.workload)
        place.cpus, place.memory, place.epoch = self.cpus, self.memory, self.epoch + 1
        place.boot, place.guest, place.arriving = self.boot, self.guest, True
        return place
