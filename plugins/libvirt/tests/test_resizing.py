"""New sizes in a machine's document, and libvirt's numbers of what it uses."""

from __future__ import annotations

import re

import pytest
from vhal_libvirt import LibvirtDriver, emulation
from vhal_libvirt.document import dump, parse
from vhal_libvirt.metrics import usage_of
from vhal_libvirt.resizing import redefine

from vhal.driver import Context
from vhal.errors import InsufficientResources, Unsupported
from vhal.spec import Bytes, MachineSpec, Usage

DOCUMENT = """<domain type='kvm'><name>x</name><memory unit='GiB'>1</memory>
<currentMemory unit='KiB'>524288</currentMemory><vcpu placement='static' current='1'>4</vcpu>
<vcpus><vcpu id='0' enabled='yes'/></vcpus>
<cputune><vcpupin vcpu='0' cpuset='0'/><vcpupin vcpu='3' cpuset='1'/></cputune>{}</domain>"""


def test_both_sizes() -> None:
    domain = parse(DOCUMENT.format(""))
    redefine(domain, 2, Bytes("2GiB"))
    assert [domain.findtext(tag) for tag in ("memory", "currentMemory", "vcpu")] == ["2097152", "2097152", "2"]
    text = dump(domain)
    assert "current=" not in text
    assert "<vcpus>" not in text
    assert re.findall(r"vcpu='(\d)'|vcpu=\"(\d)\"", text) == [("", "0")]


def test_what_is_not_given_stays() -> None:
    domain = parse(DOCUMENT.format(""))
    redefine(domain, 1, None)
    assert dump(domain) == dump(parse(DOCUMENT.format("")))


@pytest.mark.parametrize(
    ("part", "cpus", "memory"),
    [
        ("<cpu><topology sockets='1' cores='4' threads='1'/></cpu>", 2, None),
        ("<cpu><numa><cell id='0' cpus='0-3' memory='1' unit='GiB'/></numa></cpu>", None, "2GiB"),
        ("<devices><memory model='dimm'/></devices>", None, "2GiB"),
    ],
)
def test_what_says_more_than_how_much_is_refused(part: str, cpus: int | None, memory: str | None) -> None:
    domain = parse(DOCUMENT.format(part))
    with pytest.raises(Unsupported) as caught:
        redefine(domain, cpus, None if memory is None else Bytes(memory))
    assert all(blocker.remedy for blocker in caught.value.blockers)
    assert dump(domain) == dump(parse(DOCUMENT.format(part)))


def test_an_emulated_machines_arguments_follow() -> None:
    made = parse("<domain type='qemu'><memory>1</memory><currentMemory>1</currentMemory></domain>")
    resized = parse(dump(made))
    emulation.make_for_it(resized, Bytes("128MiB"))
    redefine(resized, None, Bytes("300MiB"))
    emulation.make_for_it(made, Bytes("300MiB"))
    assert re.findall("value=.*", dump(resized)) == re.findall("value=.*", dump(made))
    assert emulation.made_for_it(resized)


def test_a_running_machine_of_the_test_driver(simulated: LibvirtDriver) -> None:
    machine = simulated.create(MachineSpec(name="sized", cpus=2, memory="64MiB"), Context())
    simulated.start(machine.id, Context())
    with pytest.raises(Unsupported, match="was started with"):
        simulated.resize(machine.id, None, Bytes("128MiB"), Context())
    with pytest.raises(Unsupported, match="no places"):
        simulated.resize(machine.id, 3, None, Context())
    with pytest.raises(InsufficientResources):
        simulated.resize(machine.id, None, Bytes("1TiB"), Context())
    assert simulated.inspect(machine.id).memory == 64 << 20
    simulated.resize(machine.id, 1, Bytes("32MiB"), Context())
    after = simulated.inspect(machine.id)
    assert (after.cpus, after.memory, after.spec) == (1, 32 << 20, machine.spec)


def test_numbers_are_added_up_and_missing_ones_are_not_told() -> None:
    facts = {
        "cpu.time": 1_500_000_000, "balloon.current": 1024, "balloon.rss": 512,
        "block.count": 2, "block.0.rd.bytes": 5, "block.1.rd.bytes": 6, "block.0.wr.bytes": 7,
        "net.count": 0,
    }  # fmt: skip
    assert usage_of(facts, 9.0) == Usage(
        time_s=9.0, cpu_s=1.5, memory=Bytes(512 << 10), read=Bytes(11), written=Bytes(7), received=Bytes(0),
        sent=Bytes(0),
    )  # fmt: skip
    assert usage_of({"balloon.current": 1024, "block.count": 1}, 9.0) == Usage(time_s=9.0, memory=Bytes(1 << 20))
