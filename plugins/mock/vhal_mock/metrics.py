"""What simulated machines use: as much as their options say, by the world's clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vhal.spec.usage import Usage
    from vhal_mock.driver import MockDriver


class MockMetrics:
    """The usage of one host's machines. Disks and networks aren't simulated, so nothing is told of them."""

    def __init__(self, driver: MockDriver) -> None:
        self._driver = driver

    def usage(self) -> Mapping[str, Usage]:
        """Return the usage of every active machine."""
        from vhal.spec.units import Bytes
        from vhal.spec.usage import Usage

        host = self._driver.host
        with host.lock:
            return {
                machine.id: Usage(
                    time_s=host.world.clock.now_s,
                    cpu_s=host.cpu_time(machine),
                    memory=Bytes(int(machine.memory * machine.options.working_set)),
                    processes=len(machine.guest.programs),
                )
                for machine in host.machines.values()
                if machine.state.active and not machine.arriving
            }
