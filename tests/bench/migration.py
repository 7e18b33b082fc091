"""Live migration of a real guest that writes to its memory, against ``virsh migrate --live`` of the same guest."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Iterator

import libvirt

import vhal
from tests.bench.measure import Ratio, compare, timed
from tests.bench.real import spec
from tests.testbed import CounterGuest, Host, Lab

DIRTY_MIB_S = 4


class Shuttle:
    """One guest that goes to and fro between two hosts, by either means."""

    def __init__(self, lab: Lab, vm: vhal.Machine, connections: tuple[vhal.Host, vhal.Host]) -> None:
        self.lab = lab
        self.vm = vm
        self.places = lab.hosts
        self.connections = connections
        self.here = 0
        self.sockets = itertools.count()
        self.downtimes_s: dict[str, list[float]] = {"ours": [], "virsh": []}

    def ours(self) -> float:
        """Move it with vhal."""
        there = self.connections[1 - self.here]
        results: list[vhal.MigrationResult] = []
        vm = self.connections[self.here].machine(self.vm.id)
        seconds = timed(lambda: results.append(vm.migrate(there)))
        self.downtimes_s["ours"].append(results[0].downtime_s)
        self.here = 1 - self.here
        return seconds

    def virsh(self) -> float:
        """Move it with virsh, the same way: peer to peer, memory over a Unix socket."""
        source, target = self.places[self.here], self.places[1 - self.here]
        data = self.lab.shared / f"virsh-{next(self.sockets)}.sock"
        flags = ("--live", "--p2p", "--persistent", "--undefinesource", "--abort-on-error")
        argv = ["virsh", "-c", source.native_uri, "migrate", *flags, self.vm.id]
        argv += ["--desturi", target.native_uri, "--migrateuri", f"unix://{data}"]
        seconds = timed(lambda: subprocess.run(argv, check=True, stdout=subprocess.DEVNULL))
        self.downtimes_s["virsh"].append(_downtime_s(target, self.vm.id))
        self.here = 1 - self.here
        return seconds


def _downtime_s(host: Host, ref: str) -> float:
    native = libvirt.open(host.native_uri)
    stats = native.lookupByUUIDString(ref).jobStats(libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED)
    native.close()
    return float(stats["downtime"]) / 1000


def ratios() -> Iterator[Ratio]:
    """Yield the comparisons: of the whole time, and of the downtime in the same moves."""
    guest = CounterGuest.build()
    with Lab(hosts=2) as lab:
        a, b = lab.hosts
        with vhal.connect(a.url) as source, vhal.connect(b.url) as target:
            vm = source.create(spec(guest, "bench", DIRTY_MIB_S))
            vm.start()
            vm.wait("ready")
            shuttle = Shuttle(lab, vm, (source, target))
            yield compare(
                "live migration of a real VM / virsh migrate --live",
                shuttle.ours,
                shuttle.virsh,
                limit=1.05,
                runs=12,
            )
            downtimes = shuttle.downtimes_s
            ours, virsh = iter(downtimes["ours"]), iter(downtimes["virsh"])
            yield compare(
                "downtime in those moves / virsh's",
                lambda: next(ours),
                lambda: next(virsh),
                limit=1.05,
                runs=min(len(downtimes["ours"]), len(downtimes["virsh"])) - 1,
                note="as the engine measured it; 5 % is the noise of the median",
            )
            shuttle.connections[shuttle.here].machine(vm.id).delete(force=True)
