"""A fleet and its moves for Prometheus, read as Prometheus reads them."""

from __future__ import annotations

import socket
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from tests.unit.fleets import GIB, fleet, host, machine
from vhal.errors import Busy, InvalidConfig, Unsupported
from vhal.fleet.figures.metrics import FleetMetrics, MoveMetrics, require, served
from vhal.fleet.moves.applied import MoveEvent, MoveResult, Outcome
from vhal.fleet.moves.works import PLAN
from vhal.fleet.plan import Move
from vhal.fleet.snapshot import FleetSnapshot, HostStatus, Load
from vhal.journal import Journal, StepState
from vhal.spec.state import MachineState
from vhal.spec.units import Bytes

HOSTILE = 'a"b\\c\nd'


class Still:
    """A fleet that is always the same."""

    def __init__(self, seen: FleetSnapshot) -> None:
        self._seen = seen

    def snapshot(self) -> FleetSnapshot:
        return self._seen


def figures(registry: CollectorRegistry) -> dict[tuple[str, ...], float]:
    """Return name and values of labels → value."""
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {(each.name, *each.labels.values()): each.value for family in families for each in family.samples}


def told(seen: FleetSnapshot, **options: Any) -> dict[tuple[str, ...], float]:
    registry = CollectorRegistry()
    registry.register(FleetMetrics(Still(seen), **options))
    return figures(registry)


def move(name: str) -> Move:
    return Move(machine=name, id=name, source="a", destination="b", reason="", memory=GIB, transferred=GIB,
                total_s=1.0, downtime_s=0.1)  # fmt: skip


def moved(name: str, outcome: Outcome = Outcome.MOVED) -> MoveResult:
    return MoveResult(move=move(name), outcome=outcome, seconds=4.0, downtime_s=0.15, transferred=Bytes(2 * GIB))


def test_hosts() -> None:
    machines = [
        machine("web", "a", 1.5),
        machine("db", "a", 0.5),
        machine("off", "a", state=MachineState.STOPPED),
        machine("new", "b"),
    ]
    found = told(fleet(host("a"), host("b", load=Load(cpus=3, memory=5 * GIB)), host("c"), machines=machines))
    assert found["vhal_host_status", "a", "up"] == 1
    assert found["vhal_host_status", "a", "unreachable"] == 0
    assert found["vhal_host_machines", "a", "running"] == 2
    assert found["vhal_host_machines", "a", "stopped"] == 1
    assert found["vhal_host_cpus", "a"] == 16
    assert found["vhal_host_cpus_allocated", "a"] == 4
    assert found["vhal_host_cpus_used", "a"] == 2
    assert found["vhal_host_memory_allocated_bytes", "a"] == 8 * GIB
    assert found["vhal_host_memory_used_bytes", "a"] == 2 * GIB
    assert found["vhal_host_cpus_used", "b"] == 3
    assert found["vhal_host_cpus_used", "c"] == 0


def test_what_isnt_known_isnt_told() -> None:
    found = told(fleet(host("a"), machines=[machine("web", "a", 1.0), machine("new", "a")]))
    assert ("vhal_host_cpus_used", "a") not in found
    assert found["vhal_host_cpus_allocated", "a"] == 4


def test_of_a_dead_host_only_that_is_told() -> None:
    found = told(fleet(host("a", status=HostStatus.UNREACHABLE), machines=[]))
    assert {key[0] for key in found} == {"vhal_host_status"}
    assert found["vhal_host_status", "a", "unreachable"] == 1


def test_machines_are_told_of_if_wanted() -> None:
    seen = fleet(host("a"), machines=[machine(HOSTILE, "a", 1.5)])
    assert not any("machine" in label for _, *labels in told(seen) for label in labels)
    found = told(seen, machines=True)
    assert found["vhal_machine_cpus_used", "a", HOSTILE, HOSTILE] == 1.5
    assert found["vhal_machine_memory_bytes", "a", HOSTILE, HOSTILE] == 4 * GIB


def test_moves_are_counted_as_they_happen() -> None:
    registry = CollectorRegistry()
    moves = MoveMetrics(registry)
    for place, name in enumerate(("web", "db", "job")):
        moves(MoveEvent("begun", place, move(name)))
    moves(MoveEvent("ended", 0, move("web"), result=moved("web")))
    moves(MoveEvent("ended", 1, move("db"), result=moved("db", Outcome.FAILED)))
    moves(MoveEvent("ended", 3, move("never"), result=MoveResult(move=move("never"), outcome=Outcome.REFUSED)))
    found = figures(registry)
    assert found["vhal_moves_total", "moved"] == 1
    assert found["vhal_moves_total", "failed"] == 1
    assert found["vhal_moves_total", "refused"] == 1
    assert found["vhal_moves_under_way",] == 1
    assert found["vhal_move_bytes_total",] == 4 * GIB
    assert found["vhal_move_seconds_count",] == 1
    assert found["vhal_move_downtime_seconds_bucket", "0.1"] == 0
    assert found["vhal_move_downtime_seconds_bucket", "0.2"] == 1


def test_moves_of_a_journal_are_counted_once(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    steps = [("move", name, move(name).model_dump(mode="json")) for name in ("web", "db")]
    with Journal(tmp_path / "journal") as journal, journal.begin(PLAN, {}, steps) as held:
        MoveMetrics(registry, journal)
        held.mark(0, StepState.BEGUN)
        assert figures(registry)["vhal_moves_under_way",] == 1
        held.mark(0, StepState.ENDED, moved("web").plain())
        for _ in range(2):
            found = figures(registry)
            assert found["vhal_moves_total", "moved"] == 1
            assert found["vhal_moves_under_way",] == 0
        held.mark(1, StepState.ENDED, moved("db").plain())
        held.end()
        assert figures(registry)["vhal_moves_total", "moved"] == 2


def test_they_are_served_until_the_block_ends() -> None:
    registry = CollectorRegistry()
    registry.register(FleetMetrics(Still(fleet(host("a")))))
    with served(registry, "127.0.0.1", 0) as port:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
            assert "version=0.0.4" in answer.headers["Content-Type"]
            assert b'vhal_host_cpus{host="a"} 16.0' in answer.read()
        with pytest.raises(Busy, match=f"127.0.0.1:{port}"), served(registry, "127.0.0.1", port):
            pass
    with pytest.raises(OSError), socket.create_connection(("127.0.0.1", port), timeout=60):
        pass


def test_an_address_of_another_machine_is_refused() -> None:
    with (
        pytest.raises(InvalidConfig, match=r"can't listen on 192\.0\.2\.1"),
        served(CollectorRegistry(), "192.0.2.1", 0),
    ):
        pass


def test_without_the_library_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(Unsupported) as caught:
        require()
    assert caught.value.hint == "pip install 'vhal[metrics]'"
