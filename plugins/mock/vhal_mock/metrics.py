"""What simulated machines use: as much as they want and their host has, by the world's clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vhal.spec.usage import Usage
    from vhal_mock.driver import MockDriver


class MockMetrics:
    """The usage of one host's machines."""

    def __init__(self, driver: MockDriver) -> None:
        self._driver = driver

    def usage(self) -> Mapping[str, Usage]:
        """Return the usage of every active machine."""
        from vhal.spec.units import Bytes
        from vhal.spec.usage import Usage
        from vhal_mock.usage import count

        host = self._driver.host
        with host.lock:
            self._driver.begin("usage")
            count(host)
            time_s = host.world.clock.now_s
            found = {
                machine.id: Usage.trusted(
                    time_s=time_s,
                    cpu_s=machine.guest.cpu_s,
                    memory=Bytes(machine.resident),
                    read=Bytes(int(machine.guest.read)),
                    written=Bytes(int(machine.guest.written)),
                    received=Bytes(int(machine.guest.received)),
                    sent=Bytes(int(machine.guest.sent)),
                    processes=len(machine.guest.programs),
                )
                for machine in host.machines.values()
                if machine.state.active and not machine.arriving
            }
            self._driver.end("usage")
            return found
