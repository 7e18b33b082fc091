"""Create, start, stop and delete of a real virtual machine, against bare libvirt-python with the same XML."""

from __future__ import annotations

from collections.abc import Iterator

import libvirt

import vhal
from tests.bench.measure import Ratio, compare, timed
from tests.bench.real import definition, spec
from tests.testbed import CounterGuest, Lab


def ratios() -> Iterator[Ratio]:
    """Yield the comparison."""
    guest = CounterGuest.build()
    wanted = spec(guest, "bench")
    with Lab(hosts=1) as lab:
        (place,) = lab.hosts
        xml = definition(place, wanted)
        native = libvirt.open(place.native_uri)
        with vhal.connect(place.url) as host:

            def ours() -> None:
                vm = host.create(wanted)
                vm.start()
                vm.stop(force=True)
                vm.delete()

            def bare() -> None:
                domain = native.defineXML(xml)
                domain.create()
                domain.destroy()
                domain.undefine()

            yield compare(
                "create, start, stop, delete a real VM / bare libvirt-python",
                lambda: timed(ours),
                lambda: timed(bare),
                limit=1.10,
                runs=11,
            )
        native.close()
