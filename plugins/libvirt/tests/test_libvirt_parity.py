"""libvirt with QEMU does what the mock does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from vhal_libvirt import LibvirtDriver

from tests.parity import SEEDS, SEQUENCES, Pair, drawn
from tests.testbed import CounterGuest, Lab, kernel_cmdline
from vhal.driver import HostUrl
from vhal.spec import BootKernel, MachineSpec
from vhal.testing import Harness


@pytest.fixture(scope="module")
def pair(lab: Lab, counter_guest: CounterGuest) -> Iterator[Pair]:
    boot = BootKernel(kernel=str(counter_guest.kernel), initrd=str(counter_guest.initrd), cmdline=kernel_cmdline())
    first, second = (HostUrl.parse(host.url) for host in lab.hosts)
    harness = Harness(
        open=lambda: LibvirtDriver.open(first),
        peer=lambda: LibvirtDriver.open(second),
        spec=lambda name: MachineSpec(name=name, memory="128MiB", boot=boot),
        patience_s=120.0,
        slow=True,
    )
    with Pair.of("libvirt", harness) as pair:
        yield pair


@pytest.mark.parametrize("name", SEQUENCES)
def test_a_corner_case_is_the_same_on_both(pair: Pair, name: str) -> None:
    pair.compare(SEQUENCES[name])


@pytest.mark.parametrize("seed", SEEDS)
def test_what_the_oracle_makes_up_is_the_same_on_both(pair: Pair, seed: int) -> None:
    pair.compare(drawn(seed, pair.abilities))
