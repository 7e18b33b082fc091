"""Ganeti's text format: read, written, and refused with the line that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from vhal.errors import InvalidSpec, NotFound
from vhal.fleet.balance.problem import Problem
from vhal.fleet.balance.score import objective
from vhal.fleet.formats import ganeti
from vhal.fleet.formats.sample import sample
from vhal.fleet.rules import Apart, Only
from vhal.fleet.snapshot import HostStatus
from vhal.spec.state import MachineState

GROUPS = "g1|u1|preferred||\n"
NODES = "n1|8192|512|3584|100|100|4|M|u1|1\nn2|8192|512|7680|100|100|4|N|u1|1\nn3|8192|512|7680|100|100|4|Y|u1|1\n"
INSTANCES = (
    "i1|2048|10|2|running|Y|n1||ext|prod:x,web:a|1\n"
    "i2|2048|10|2|running|Y|n1||plain|web:a|1\n"
    "i3|1024|10|1|ADMIN_down|Y|n1||rbd||1\n"
)
TAGS = "htools:iextags:web\n"
SPEC = "128,1,1,1,1,1|128,1,1,1,1,1;9999,9,9999,9,9,9|ext"
POLICY = f"|{SPEC}|4.0|32.0\ng1|{SPEC}|2.0|32.0\n"


def write(
    path: Path, groups: str = GROUPS, nodes: str = NODES, instances: str = INSTANCES, policy: str = POLICY
) -> Path:
    path.write_text("\n".join((groups, nodes, instances, TAGS, policy)))
    return path


def test_a_fleet_is_read(tmp_path: Path) -> None:
    util = tmp_path / "f.util"
    util.write_text("i1 0.5 0.25 0.1 0.2\n")
    fleet = ganeti.read(write(tmp_path / "f.data"), util)
    first, second, third = fleet.hosts
    assert (first.cpus, first.memory >> 20, first.reserved_memory >> 20, first.overcommit) == (4, 8192, 512, 2.0)
    assert first.reserved_cpus * first.overcommit == 1  # what the node itself takes
    assert (second.status, third.status, third.reason) == (HostStatus.UP, HostStatus.UNREACHABLE, "offline")
    i1, i2, i3 = fleet.machines
    assert (i1.host, i1.cpus, i1.memory >> 20, i1.movable) == ("n1", 2, 2048, True)
    assert i1.load is not None
    assert (i1.load.cpus, i1.load.memory, i1.load.disk) == (2.0, 0.25 * 8192 * 2**20, 1e8)
    assert not i2.movable
    assert i2.reason == "its disks are plain: another host can't reach them"
    assert (i3.state, i3.load) == (MachineState.STOPPED, None)
    (rule,) = fleet.rules
    assert isinstance(rule, Apart)
    assert [each.name for each in fleet.machines if rule.machines.matches(each.words)] == ["i1", "i2"]


def test_machines_stay_in_their_group(tmp_path: Path) -> None:
    fleet = ganeti.read(
        write(tmp_path / "f.data", GROUPS + "g2|u2|preferred||\n", NODES + "o|8192|512|7680|1|1|4|N|u2|1\n")
    )
    assert [(str(rule.machines), str(rule.hosts)) for rule in fleet.rules if isinstance(rule, Only)] == [
        ("group=g1", "group=g1"),
        ("group=g2", "group=g2"),
    ]


@pytest.mark.parametrize("name", ["ganeti", "ganeti-util", "ganeti-default", "even"])
def test_what_was_written_is_read_with_the_same_score(name: str, tmp_path: Path) -> None:
    made = sample(6, 40, seed=2, sizes=(1, 2), apart=3)
    ganeti.write(made, tmp_path / "f.data", tmp_path / "f.util")
    read = ganeti.read(tmp_path / "f.data", tmp_path / "f.util")
    assert [host.cpus for host in read.hosts] == [host.cpus for host in made.hosts]
    scores = [objective(problem, name).score(problem.home) for problem in (Problem.of(made), Problem.of(read))]
    assert scores[1] == pytest.approx(scores[0], abs=1e-5)


@pytest.mark.parametrize(
    ("part", "text", "said"),
    [
        ("groups", "g1|u1\n", "f.data:1: a group has 2 fields and needs 3"),
        ("nodes", "n1|8192|512\n", "f.data:3: a node has 3 fields and needs 9"),
        ("nodes", "n1|many|512|3584|1|1|4|M|u1|1\n", "f.data:3: memory is 'many', and must be a number"),
        ("nodes", "n1|8192|512|-1|1|1|4|M|u1|1\n", "f.data:3: free memory is -1, and must be between 0 and 2^40"),
        ("nodes", "n1|8192|512|3584|1|1|4|M|u9|1\n", "f.data:3: node n1 is of group 'u9', which isn't there"),
        ("nodes", "n1|8192|512|3584|1|1|4|Q|u1|1\n", "f.data:3: node n1 needs its own memory and one of N, M, Y"),
        ("instances", "i|1|1\n", "f.data:7: an instance has 3 fields and needs 9"),
        ("instances", "i|1|1|1|running|Y|n9||ext||1\n", "f.data:7: instance i is on node 'n9', which isn't there"),
        ("instances", "i|1|1|1|odd|Y|n1||ext||1\n", "f.data:7: instance i is 'odd'; known are running"),
        ("policy", "|x|y\n", "f.data:13: a policy has 3 fields and needs 5"),
    ],
)
def test_a_wrong_line_is_named(part: str, text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidSpec) as caught:
        ganeti.read(write(tmp_path / "f.data", **{part: text}))
    assert said in caught.value.message
    assert caught.value.hint


def test_a_wrong_line_of_a_load_is_named(tmp_path: Path) -> None:
    util = tmp_path / "f.util"
    util.write_text("i1 0.5 0.25\n")
    with pytest.raises(InvalidSpec, match=r"f\.util:1: 3 fields, and name, cpu, memory, disk and network are needed"):
        ganeti.read(write(tmp_path / "f.data"), util)


def test_a_file_that_isnt_there_or_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there is no file"):
        ganeti.read(tmp_path / "none")
    (tmp_path / "short").write_text("g|u|p||\n")
    with pytest.raises(InvalidSpec, match="at least groups, nodes and instances are needed"):
        ganeti.read(tmp_path / "short")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidSpec, match="can't be read"):
        ganeti.read(tmp_path / "binary")
