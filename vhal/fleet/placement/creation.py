"""Makes a machine on the host that placement chooses, and on the next best where that one's engine says no.

1. A snapshot is taken, and the engines of the hosts that could take the machine are asked whether they would.
2. A host is chosen and claimed in one step (:mod:`vhal.fleet.placement.claims`).
3. The machine is made there. If the engine says no after all, the claim is given back and the next best is chosen.

Where the end of a creation isn't known, since the host stopped answering, no other host is tried: there would be two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from vhal.driver.capability import CREATE
from vhal.errors import (
    AlreadyExists,
    InsufficientResources,
    InvalidSpec,
    NotFound,
    PlacementRefused,
    Unsupported,
    VhalError,
)
from vhal.fleet.placement.claims import Claim, Claims, claims_of
from vhal.fleet.placement.coming import coming
from vhal.fleet.placement.explanation import Explanation
from vhal.fleet.placement.extension import extensions
from vhal.fleet.placement.placement import explain
from vhal.fleet.snapshot import FleetSnapshot, SeenMachine
from vhal.operation import call_context
from vhal.registry import registry

if TYPE_CHECKING:
    from vhal.fleet.placement.scores import Policy
    from vhal.fleet.selector import Selector
    from vhal.host import Host
    from vhal.machine import Machine
    from vhal.spec.machine import MachineSpec

T = TypeVar("T")


class Hosts(Protocol):
    """What of a fleet is needed to make a machine in it: :class:`vhal.fleet.fleet.Fleet` has it."""

    def host(self, name: str, /) -> Host:
        """Return an open host."""

    def snapshot(self, *, over_s: float = 0.0) -> FleetSnapshot:
        """Return what there is now, loads measured for so long before."""

    def ask(self, question: Callable[[Host], T], names: Iterable[str], /) -> dict[str, T | VhalError]:
        """Put a question to some hosts at once."""


class Creation:
    """One machine that shall be made somewhere in a fleet. When this is made, the fleet is looked at.

    Args:
        fleet: Where.
        spec: What it shall be.
        policy: What a good host is.
        on: Which hosts are wanted.
        over_s: Measure loads for so long before.

    Raises:
        vhal.errors.InvalidSpec: That is no spec, no policy, or its options don't fit a backend.
    """

    def __init__(self, fleet: Hosts, spec: MachineSpec, policy: Policy, on: Selector, over_s: float = 0.0) -> None:
        if not hasattr(spec, "options_for"):
            raise InvalidSpec(
                f"a machine is made from a MachineSpec, not from a {type(spec).__name__}",
                hint="vhal.MachineSpec(name=…), or vhal.load_spec(PATH)",
            )
        self._fleet, self._spec, self._policy, self._on = fleet, spec, policy, on
        self._extensions = extensions(registry)
        self._since_s = Claims.now_s()
        self._snapshot = fleet.snapshot(over_s=over_s)
        self._places = {machine.name: machine.host for machine in self._snapshot.machines}
        self._engine: dict[str, str] = {}
        """Host → what its engine has against it."""
        self._ask_engines()

    def _ask_engines(self) -> None:
        able = [verdict.host for verdict in self.explain().verdicts if verdict.fits]
        for name, answer in self._fleet.ask(lambda host: host.can(CREATE, self._spec), able).items():
            if isinstance(answer, InvalidSpec):
                raise answer
            if isinstance(answer, VhalError):
                self._engine[name] = f"says: {answer.message}"
            elif not answer:
                self._engine[name] = f"says: {'; '.join(blocker.message for blocker in answer.blockers)}"

    def explain(self, claimed: Sequence[SeenMachine] = ()) -> Explanation:
        """Return what is said of each host, with what is being made besides."""
        found = explain(
            self._spec,
            self._snapshot,
            self._policy,
            self._on,
            coming=claimed,
            engine=self._engine,
            extensions=self._extensions,
        )
        place = self._places.get(self._spec.name)
        if place is None:
            return found
        note = f"there is a machine {self._spec.name!r} on {place}: this one needs another name to be made"
        return found.replace(notes=(*found.notes, note))

    def run(self, timeout_s: float | None) -> Machine:
        """Make it.

        Raises:
            vhal.errors.AlreadyExists: A machine of the fleet has that name.
            vhal.errors.PlacementRefused: No host can take it.
            vhal.errors.VhalError: Making it failed for a reason that isn't the host's.
        """
        ctx = call_context(timeout_s)
        self._refuse_name(self._places)
        claims = claims_of(self._snapshot)
        while True:
            ctx.check()
            claim = claims.take(self._since_s, self._choose)
            made = False
            try:
                host = self._fleet.host(claim.machine.host)
                made = True  # unless its engine says that it wasn't
                return host.create(self._spec, timeout_s=ctx.remaining_s)
            except VhalError as error:
                if made and not isinstance(error, (InsufficientResources, Unsupported, NotFound)):
                    raise
                made = False
                self._engine[claim.machine.host] = f"says: {error.message}"
            finally:
                claims.end(claim, made)

    def _choose(self, claims: Sequence[Claim]) -> tuple[str, SeenMachine]:
        names: Mapping[str, str] = {host.uuid: host.name for host in self._snapshot.hosts}
        claimed = [
            claim.machine.model_copy(update={"host": names[claim.host]}) for claim in claims if claim.host in names
        ]
        self._refuse_name({machine.name: machine.host for machine in claimed})
        explanation = self.explain(claimed)
        if explanation.chosen is None:
            more = "" if explanation.larger else "; 'vhal fleet explain' says of each host why not"
            raise PlacementRefused(
                explanation.refusal,
                hint=explanation.remedy + more,
                explanation=explanation,
                machine=self._spec.name,
            )
        return self._snapshot.host(explanation.chosen).uuid, coming(self._spec, explanation.chosen)

    def _refuse_name(self, places: Mapping[str, str]) -> None:
        place = places.get(self._spec.name)
        if place is not None:
            raise AlreadyExists(
                f"there is a machine {self._spec.name!r} in the fleet: on {place}",
                hint="choose another name, or delete it",
                host=place,
                machine=self._spec.name,
            )
