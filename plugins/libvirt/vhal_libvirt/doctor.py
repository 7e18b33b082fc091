"""What of the libvirt backend works on this machine, and what to do about the rest.

It looks, and starts nothing but the short probe for KVM. It never raises: a doctor that faints is of no use.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from vhal.driver import Finding
from vhal.errors import VhalError

if TYPE_CHECKING:
    import libvirt

    from vhal_libvirt.host_facts import HostFacts

_KVM = Path("/dev/kvm")
_CERTIFICATES = (Path("/etc/pki/qemu/ca-cert.pem"), Path("/etc/pki/qemu/server-cert.pem"))
_BINDING = "libvirt-python"
_DAEMON = "libvirtd"
_SYSTEM = "libvirt:///system"
_NO_KVM = "enable virtualization in the firmware's settings, and load the module kvm_intel or kvm_amd"


def findings() -> list[Finding]:
    """Return what was found."""
    found = [_library()]
    if not found[0].ok:
        return found
    daemon = _guarded(_DAEMON, _daemon)
    found += daemon
    if not daemon[0].ok:
        # Whether KVM is any good can be found out without it, and is worth knowing before one installs it.
        found += _guarded("KVM", _kvm_by_itself)
    found += _guarded("TLS for migration", _certificates)
    return found


def _kvm_by_itself() -> list[Finding]:
    from vhal_libvirt.local_kvm import runs

    if not _KVM.exists():
        return [Finding(False, "KVM", "there is no /dev/kvm; guests are emulated, which is slow", _NO_KVM)]
    verdict = runs()
    if verdict is None:
        return [Finding(False, "KVM", "there is no QEMU to try it with", "install qemu-system")]
    return [_verdict(verdict)]


def _guarded(subject: str, look: Callable[[], list[Finding]]) -> list[Finding]:
    try:
        return look()
    except Exception as error:  # noqa: BLE001 - whatever is wrong is a finding
        return [_sad(subject, error)]


def _sad(subject: str, error: Exception) -> Finding:
    from vhal_libvirt.translation import translate

    known = error if isinstance(error, VhalError) else translate(error)
    if known is None:
        return Finding(False, subject, f"{type(error).__name__}: {error}", "report this")
    hint = known.hint or "look at its log"
    if subject == _DAEMON:
        hint = f"install and start it (Debian: apt-get install libvirt-daemon-system), or name a remote host; {hint}"
    return Finding(False, subject, known.message, hint)


def _library() -> Finding:
    try:
        import libvirt
    except ImportError as error:
        return Finding(
            False, _BINDING, f"can't be imported: {error}", "pip install 'vhal[libvirt]'; it needs libvirt's headers"
        )
    from vhal_libvirt.host_report import version

    return Finding(True, _BINDING, f"libvirt {version(libvirt.getVersion())}")


def _daemon() -> list[Finding]:
    from vhal_libvirt.address import checked, libvirt_uri
    from vhal_libvirt.connection import Connection
    from vhal_libvirt.host_facts import read_host
    from vhal_libvirt.host_report import version

    connection = Connection(libvirt_uri(checked(_SYSTEM)))
    try:
        conn = connection.get()
        found = [Finding(True, _DAEMON, f"{version(conn.getLibVersion())} answers at {_SYSTEM}")]
        facts = read_host(conn)
        if "qemu" in facts.domain_types or "kvm" in facts.domain_types:
            found.append(Finding(True, "QEMU", f"{version(conn.getVersion())} for {facts.arch}"))
        else:
            found.append(Finding(False, "QEMU", "libvirt found none", "install qemu-system"))
        found.append(_kvm(conn, facts))
        return found
    finally:
        connection.close()


def _kvm(conn: libvirt.virConnect, facts: HostFacts) -> Finding:
    from vhal_libvirt.accelerator import kvm_runs, probed

    if "kvm" not in facts.domain_types:
        what = "libvirt can't use it" if _KVM.exists() else "there is no /dev/kvm"
        return Finding(False, "KVM", f"{what}; guests are emulated, which is slow", _NO_KVM)
    if not probed(facts):
        return Finding(True, "KVM", f"is announced; it isn't tried on {facts.arch}")
    return _verdict(kvm_runs(conn, facts))


def _verdict(runs: bool) -> Finding:
    if runs:
        return Finding(True, "KVM", "runs a guest")
    return Finding(
        False,
        "KVM",
        "announces itself but doesn't run a guest; guests are emulated, which is slow",
        "in a virtual machine, enable nested virtualization on its host",
    )


def _certificates() -> list[Finding]:
    missing = [str(path) for path in _CERTIFICATES if not path.exists()]
    if not missing:
        return [Finding(True, "TLS for migration", "certificates are in /etc/pki/qemu")]
    return [
        Finding(
            False,
            "TLS for migration",
            f"{', '.join(missing)} missing: memory can only leave this host unencrypted, where that is allowed",
            "put certificates there (libvirt's page on TLS says how)",
        )
    ]
