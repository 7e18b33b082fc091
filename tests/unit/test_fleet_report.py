"""The report: what is bought, allocated, used and wasted."""

from __future__ import annotations

from vhal.fleet.figures.report import UseReport, report
from vhal.fleet.snapshot import FleetSnapshot, HostStatus, Load, SeenHost, SeenMachine
from vhal.spec.state import MachineState
from vhal.spec.units import Bytes

GIB = 1 << 30


BUSY = Load(cpus=1.0, memory=float(GIB))


def snapshot(load: Load | None = BUSY) -> FleetSnapshot:
    def host(name: str, status: HostStatus = HostStatus.UP) -> SeenHost:
        known = status is not HostStatus.UNREACHABLE
        return SeenHost(
            name=name, uuid=name, status=status, cpus=8 * known, memory=Bytes(16 * GIB * known), overcommit=2,
            reserved_memory=Bytes(GIB * known),
        )  # fmt: skip

    def machine(name: str, host: str, state: MachineState, load: Load | None = None) -> SeenMachine:
        return SeenMachine(id=name, name=name, host=host, cpus=4, memory=Bytes(4 * GIB), state=state, load=load)

    return FleetSnapshot(
        hosts=(host("a"), host("b", HostStatus.CORDONED), host("gone", HostStatus.UNREACHABLE)),
        machines=(
            machine("m1", "a", MachineState.RUNNING, load),
            machine("m2", "a", MachineState.STOPPED),
            machine("m3", "b", MachineState.RUNNING, Load(cpus=2.5, memory=2.0 * GIB)),
        ),
    )


def test_of_each_host_and_of_all() -> None:
    found = report(snapshot())
    a, b, gone = found.hosts
    assert (a.machines, a.running) == (2, 1)
    assert (a.cpus.bought, a.cpus.allocated, a.cpus.used, a.cpus.wasted, a.cpus.free) == (8, 8, 1, 7, 8)
    assert (a.memory.bought, a.memory.allocated, a.memory.free) == (16 * GIB, 8 * GIB, 7 * GIB)
    assert (b.cpus.allocated, b.cpus.free, b.memory.free) == (4, 0, 0)
    assert (gone.machines, gone.cpus.bought, gone.cpus.used) == (0, 0, None)
    whole = found.fleet
    assert (whole.cpus.bought, whole.cpus.allocated, whole.cpus.used, whole.cpus.wasted) == (16, 12, 3.5, 8.5)
    assert (whole.machines, whole.running) == (3, 2)


def test_what_was_not_measured_is_not_known() -> None:
    found = report(snapshot(load=None))
    assert (found.hosts[0].cpus.used, found.hosts[0].cpus.wasted) == (None, None)
    assert (found.fleet.cpus.used, found.fleet.memory.wasted) == (None, None)
    assert found.fleet.cpus.allocated == 12


def test_a_table_for_people() -> None:
    text = str(report(snapshot()))
    assert [" ".join(line.split()) for line in text.splitlines()[1:]] == [
        "a up 1/2 8 8 1 7 8 16 GiB 8 GiB 1 GiB 7 GiB 7 GiB",
        "b cordoned 1/1 8 4 2.5 1.5 0 16 GiB 4 GiB 2 GiB 2 GiB 0 B",
        "gone unreachable - - - - - - - - - - -",
        "2/3 16 12 3.5 8.5 8 32 GiB 12 GiB 3 GiB 9 GiB 7 GiB",
    ]


def test_a_report_is_data() -> None:
    found = report(snapshot())
    assert UseReport.model_validate_json(found.model_dump_json()) == found
