"""vhal's own suite, on libvirt's test driver and on real hosts."""

from __future__ import annotations

from pathlib import Path

import pytest
from vhal_libvirt import LibvirtDriver

from tests.parity import tells
from tests.testbed import CounterGuest, Lab, kernel_cmdline
from vhal.driver import HostUrl
from vhal.spec import BootKernel, MachineSpec
from vhal.testing import BackendSuite, Harness

from .libvirt_sabotage import sabotage
from .libvirt_witness import seen_by_the_test_driver, seen_by_virsh

REPORTS = Path(__file__).parents[3] / "docs" / "reference" / "reports"


class TestSimulated(BackendSuite):
    harness = Harness(
        open=lambda: LibvirtDriver.open(HostUrl.parse("libvirt+test:///default")),
        spec=lambda name: MachineSpec(name=name, memory="32MiB"),
        has_agent=False,
        kept=REPORTS / "libvirt-test.json",
        witness=seen_by_the_test_driver,
        sabotage=sabotage,
        slow=True,
        tells=tells("libvirt+test"),
    )


class TestReal(BackendSuite):
    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _harness(cls, lab: Lab, counter_guest: CounterGuest) -> None:

        boot = BootKernel(kernel=str(counter_guest.kernel), initrd=str(counter_guest.initrd), cmdline=kernel_cmdline())
        cls.harness = Harness(
            open=lambda: LibvirtDriver.open(HostUrl.parse(lab.hosts[0].url)),
            peer=lambda: LibvirtDriver.open(HostUrl.parse(lab.hosts[1].url)),
            spec=lambda name: MachineSpec(name=name, memory="128MiB", boot=boot),
            patience_s=120.0,
            kept=REPORTS / "libvirt-qemu.json",
            slow=True,
            witness=lambda name: seen_by_virsh(lab, name),
            sabotage=sabotage,
        )
