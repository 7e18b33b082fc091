"""What stands against a migration, found out without any effect on either host.

The dry run and the first step of a migration are the same thing.
"""

from __future__ import annotations

from vhal.driver.answer import Answer, Blocker, Level
from vhal.driver.capability import MIGRATION, Migration
from vhal.driver.driver import Driver
from vhal.driver.migration import MigrationPolicy, Offer
from vhal.errors import MigrationRefused
from vhal.spec.machine import MachineInfo
from vhal.spec.state import allowed, remedy


def preflight(
    source: Driver, destination: Driver, machine: MachineInfo, policy: MigrationPolicy
) -> tuple[Answer, Offer | None]:
    """Return whether ``machine`` can move now, and the offer that was examined if it came so far.

    Raises:
        vhal.errors.VhalError: A host couldn't be asked.
    """
    blockers = list(_ends(source, destination))
    if not allowed("migrate", machine.state):
        blockers.append(
            Blocker("wrong-state", f"machine {machine.name!r} is {machine.state}", remedy("migrate", machine.state))
        )
    if blockers:
        return Answer.of(blockers), None
    able = source.can(MIGRATION, machine)
    if not able:
        return able, None
    offer = giver(source).offer(machine.id, policy)
    return giver(destination).examine(offer, policy), offer


def refusal(machine: MachineInfo, answer: Answer, source: str, destination: str) -> MigrationRefused:
    """Return the error that a no means."""
    reasons = "; ".join(blocker.message for blocker in answer.blockers)
    return MigrationRefused(
        f"machine {machine.name!r} can't move from {source} to {destination}: {reasons}",
        hint="; ".join(dict.fromkeys(blocker.remedy for blocker in answer.blockers)),
        blockers=answer.blockers,
        machine=machine.name,
        host=destination,
    )


def giver(driver: Driver) -> Migration:
    """Return the driver's migration.

    Raises:
        vhal.errors.Unsupported: It has none; :func:`preflight` says so before.
    """
    migration = driver.provides(MIGRATION)
    if migration is None:
        raise driver.can(MIGRATION).error(backend=driver.backend)
    return migration


def _ends(source: Driver, destination: Driver) -> list[Blocker]:
    if source.backend != destination.backend:
        return [
            Blocker(
                "other-backend",
                f"the source is a {source.backend!r} host, the destination a {destination.backend!r} host",
                "move between hosts of one backend",
                Level.BACKEND,
            )
        ]
    for driver in (source, destination):
        if driver.provides(MIGRATION) is None:
            return list(driver.can(MIGRATION).blockers) or [
                Blocker("not-provided", "the engine can't migrate", "use another backend", Level.BACKEND)
            ]
    if source.host_id == destination.host_id:
        return [
            Blocker(
                "same-host",
                "source and destination are one host",
                "choose another destination; if these are two hosts, give each its own host uuid",
                Level.HOST,
            )
        ]
    return []
