"""What simulated machines use: as much as they want and their host has, by the world's clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vhal.spec.units import Bytes
from vhal.spec.usage import Usage
from vhal_mock.usage import count

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vhal_mock.driver import MockDriver
    from vhal_mock.machine import SimMachine

NOTHING = Bytes(0)


class MockMetrics:
    """The usage of one host's machines."""

    def __init__(self, driver: MockDriver) -> None:
        self._driver = driver

    def usage(self) -> Mapping[str, Usage]:
        """Return the usage of every active machine."""
        host = self._driver.host
        with host.lock:
            self._driver.begin("usage")
            count(host)
            time_s = host.world.clock.now_s
            found = {
                machine.id: _used(machine, time_s)
                for machine in host.machines.values()
                if machine.state.active and not machine.arriving
            }
            self._driver.end("usage")
            return found


def _used(machine: SimMachine, time_s: float) -> Usage:
    guest = machine.guest
    if not machine.options.moves_data:  # most don't, and a fleet has very many
        return Usage.trusted(
            time_s=time_s,
            cpu_s=guest.cpu_s,
            memory=Bytes(machine.resident),
            read=NOTHING,
            written=NOTHING,
            received=NOTHING,
            sent=NOTHING,
            processes=len(guest.programs),
        )
    return Usage.trusted(
        time_s=time_s,
        cpu_s=guest.cpu_s,
        memory=Bytes(machine.resident),
        read=Bytes(int(guest.read)),
        written=Bytes(int(guest.written)),
        received=Bytes(int(guest.received)),
        sent=Bytes(int(guest.sent)),
        processes=len(guest.programs),
    )
