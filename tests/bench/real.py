"""The real machine that is measured: a counting guest on an isolated libvirt host, the same for both sides."""

from __future__ import annotations

import libvirt

import vhal
from tests.testbed import CounterGuest, Host, kernel_cmdline

MEMORY = "128MiB"


def spec(guest: CounterGuest, name: str, dirty_mib_s: int = 0) -> vhal.MachineSpec:
    """Return a machine that boots the guest, with a card on the host's bridge."""
    return vhal.MachineSpec(
        name=name,
        cpus=1,
        memory=MEMORY,
        boot=vhal.BootKernel(
            kernel=str(guest.kernel),
            initrd=str(guest.initrd),
            cmdline=kernel_cmdline(dirty_mib=32 if dirty_mib_s else 0, dirty_mib_s=dirty_mib_s),
        ),
        nics=[vhal.Nic(bridge="br0")],
        options={"libvirt": {"accelerator": "tcg"}},
    )


def definition(host: Host, machine: vhal.MachineSpec) -> str:
    """Return the XML that vhal makes of a spec, so that the peer measures the very same machine."""
    with vhal.connect(host.url) as connection:
        vm = connection.create(machine)
        native = libvirt.open(host.native_uri)
        xml: str = native.lookupByName(machine.name).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
        native.close()
        vm.delete()
    return xml
