"""The proof that an accelerator runs guests, on one that does and on one that stands still."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import libvirt
import pytest
from vhal_libvirt import accelerator
from vhal_libvirt.connection import Notice

from tests.testbed import wait_until

if TYPE_CHECKING:
    # The fixture's class is in conftest.py, which pytest loads but nobody can import.
    World = Any


@pytest.fixture
def emulated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the probe run without KVM: its way of telling is the same."""
    original = accelerator._probe_xml

    def probe_xml(facts: Any) -> str:
        return original(facts).replace('<domain type="kvm">', '<domain type="qemu">')

    monkeypatch.setattr(accelerator, "_probe_xml", probe_xml)
    monkeypatch.setattr(accelerator, "_verdicts", {})


@pytest.mark.usefixtures("emulated")
def test_a_guest_that_runs(world: World) -> None:
    conn = world.a._connection.get()
    seen: list[object] = []
    cancel = world.a.subscribe(seen.append)
    assert accelerator.kvm_runs(conn, world.a._facts.host(conn))
    wait_until(lambda: conn.listAllDomains() == [], deadline=60, what="the probe to be gone")
    cancel()
    assert seen == []


@pytest.mark.usefixtures("emulated")
def test_a_guest_that_stands_still(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    conn = world.a._connection.get()
    original = conn.createXML

    class Halting:
        """A connection whose machines never get to run."""

        def createXML(self, xml: str, flags: int) -> object:  # noqa: N802 - libvirt's name
            return original(xml, flags | 1)  # VIR_DOMAIN_START_PAUSED

    monkeypatch.setattr(accelerator, "PROBE_S", 1.0)
    assert not accelerator.kvm_runs(Halting(), world.a._facts.host(conn))
    assert world.a.machines() == []
    wait_until(lambda: conn.listAllDomains() == [], deadline=60, what="the probe to be gone")


@pytest.mark.usefixtures("emulated")
def test_an_error_is_no_verdict(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    conn = world.a._connection.get()
    facts = world.a._facts.host(conn)

    class Failing:
        """A connection over which nothing works for now."""

        def createXML(self, xml: str, flags: int) -> object:  # noqa: N802 - libvirt's name
            raise libvirt.libvirtError("try later")

    assert not accelerator.kvm_runs(Failing(), facts)
    assert accelerator._verdicts == {}
    monkeypatch.setitem(accelerator._verdicts, facts.uuid, False)
    assert not accelerator.kvm_runs(conn, facts)
    world.a._connection.tell(Notice("closed"))
    assert accelerator._verdicts == {}


def test_elsewhere_than_on_x86_the_announcement_counts(world: World) -> None:
    facts = world.a._facts.host(world.a._connection.get())
    for announced in (frozenset({"qemu"}), frozenset({"qemu", "kvm"})):
        other = dataclasses.replace(facts, arch="aarch64", domain_types=announced)
        assert not accelerator.probed(other)
        assert accelerator.kvm_runs(None, other) is ("kvm" in announced)
