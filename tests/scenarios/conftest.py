"""Two real hosts for all scenarios of a run, and machines that fit each backend."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from vhal_mock.world import World

import vhal
from tests.testbed import CounterGuest, Lab, kernel_cmdline


@dataclass(frozen=True)
class Pair:
    """Two hosts of one backend, and the smallest machine that does something there."""

    a: str
    b: str
    spec: Callable[[str], vhal.MachineSpec]
    lab: Lab | None = None
    world: World | None = None


@pytest.fixture(scope="session")
def guest() -> CounterGuest:
    return CounterGuest.build()


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    with Lab(hosts=2) as lab:
        yield lab


@pytest.fixture
def real(lab: Lab, guest: CounterGuest) -> Iterator[Pair]:
    def spec(name: str) -> vhal.MachineSpec:
        return vhal.MachineSpec(
            name=name,
            memory="128MiB",
            boot=vhal.BootKernel(kernel=str(guest.kernel), initrd=str(guest.initrd), cmdline=kernel_cmdline()),
            nics=[vhal.Nic(bridge="br0")],
            options={"libvirt": {"accelerator": "tcg"}},
        )

    a, b = (host.url for host in lab.hosts)
    yield Pair(a, b, spec, lab=lab)
    for url in (a, b):
        with vhal.connect(url) as host:
            for machine in host.machines():
                machine.delete(force=True)


@pytest.fixture
def simulated() -> Pair:
    world = World.from_spec({"hosts": [{"name": "a", "memory": "4GiB"}, {"name": "b", "memory": "4GiB"}]})
    return Pair(world.url("a"), world.url("b"), lambda name: vhal.MachineSpec(name=name, memory="128MiB"), world=world)


@pytest.fixture(params=["simulated", "real"])
def pair(request: pytest.FixtureRequest) -> Pair:
    found: Pair = request.getfixturevalue(request.param)
    return found
