"""QEMU asked directly whether it runs a guest, where there is no libvirtd to ask."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from vhal_libvirt import doctor, local_kvm


def test_a_firmware_that_gets_to_its_end() -> None:
    assert local_kvm.runs("tcg") is True


def test_an_accelerator_that_is_not_there() -> None:
    assert local_kvm.runs("xen") is False


def test_a_guest_that_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_kvm, "PROBE_S", 0.5)
    monkeypatch.setattr(local_kvm, "_PROBE", [*local_kvm._PROBE, "-S"])
    started: list[subprocess.Popen[bytes]] = []
    original = subprocess.Popen

    def popen(*args: object, **kwargs: object) -> subprocess.Popen[bytes]:
        started.append(original(*args, **kwargs))  # type: ignore[call-overload]
        return started[0]

    monkeypatch.setattr(subprocess, "Popen", popen)
    assert local_kvm.runs("tcg") is False
    assert started[0].returncode is not None


def test_a_firmware_that_crawls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_kvm, "PROBE_CPU_S", 0.0)
    assert local_kvm.runs("tcg") is False


def test_no_emulator(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert local_kvm.runs() is None


def test_doctor_looks_at_kvm_without_libvirtd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_SYSTEM", "libvirt+unix:///system?socket=/nowhere/libvirt-sock")
    found = {finding.subject: finding for finding in doctor.findings()}
    assert found["libvirt-python"].ok
    assert not found["libvirtd"].ok
    assert "apt-get install libvirt-daemon-system" in found["libvirtd"].remedy
    assert "KVM" in found
    assert all(finding.remedy for finding in found.values() if not finding.ok)
