"""Sending a machine while it runs: its image first, then its memory, in one stream from engine to engine.

It stands still from the freeze until the destination's engine has brought it back. What this process holds of it
meanwhile is a few pieces of the stream.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext

from vhal.driver import Answer, Blocker, Context, MigrationPolicy, Offer, Progress, Ticket, Transfer
from vhal.errors import HostUnreachable, MigrationFailed, MigrationInDoubt, VhalError
from vhal.spec import Bytes, MachineState
from vhal_containers import changes, criu, orphans
from vhal_containers.address import Address
from vhal_containers.api import ApiError, Failure, Libpod, Unreachable
from vhal_containers.api.feed import Feed
from vhal_containers.api.types import Container
from vhal_containers.engine import NOT_FOUND, Engine
from vhal_containers.identity import EPOCH
from vhal_containers.inventory import Found, Inventory
from vhal_containers.migration import image_transfer
from vhal_containers.migration.archive import (
    BrokenArchive,
    CheckpointFilter,
    Expected,
    TruncatedArchive,
    filtered,
)
from vhal_containers.migration.cargo import Cargo, Place
from vhal_containers.migration.lines import Lines, connected
from vhal_containers.migration.network import HoldError, held_addresses, traffic_hold
from vhal_containers.migration.options import ContainersMigrationOptions
from vhal_containers.migration.pace import Pace
from vhal_containers.record import Records

log = logging.getLogger("vhal.containers.migration")

SETTLES_S = 5.0
"""How long after its reply was lost an engine may take to show what became of the request."""
_LOOK_S = 0.05
_ENDED = "container state improper"
"""The engine's words for not even beginning, since the container doesn't run."""


class Sending:
    """One transfer of one machine that runs."""

    def __init__(
        self,
        engine: Engine,
        inventory: Inventory,
        records: Records,
        offer: Offer,
        ticket: Ticket,
        policy: MigrationPolicy,
    ) -> None:
        self._engine = engine
        self._inventory = inventory
        self._records = records
        self._offer = offer
        self._cargo = Cargo.of(offer)
        self._place = Place.of(ticket)
        self._policy = policy
        self._options = policy.options_for("containers", ContainersMigrationOptions)

    def run(self, ctx: Context) -> Transfer:
        """Send it, and return what was measured.

        Raises:
            vhal.errors.VhalError: It didn't arrive, or nobody knows; it may be frozen on the source.
        """
        begun = time.monotonic()
        found = as_offered(self._inventory, self._offer)
        with ended_in_time(ctx), Lines(str(self._engine.url), self._place.url, ctx) as lines:
            pace = Pace(ctx, self._policy.bandwidth, self._cargo.memory_used)
            ctx.report(Progress("transfer", 0, self._cargo.memory_used, message="image"))
            image_transfer.ship(lines.source, lines.destination, self._cargo.image, pace)
            self._mark(found)
            with held(lines.destination, lines.where, self._cargo, self._options):
                ctx.check()
                ready = time.monotonic()
                ctx.report(Progress("transfer", pace.done, message="freeze"))
                try:
                    self._send(found, lines, pace)
                except Unreachable:
                    # Whoever decides what follows must look at both engines: one that is started again is worth a wait.
                    self._wait_for_engines(lines)
                    raise
                if self._offer.state is MachineState.PAUSED:
                    with contextlib.suppress(ApiError):  # the commit looks after it
                        lines.destination.containers.pause(self._cargo.podman_id)
                running = time.monotonic()
            return Transfer(
                setup_s=ready - begun,
                elapsed_s=running - begun,
                downtime_s=running - ready,
                transferred=Bytes(pace.done),
                iterations=1,
            )

    def _mark(self, found: Found) -> None:
        # If the engine dies while it freezes the machine, it doesn't know afterwards that the memory was saved.
        started = found.container.state.started_at
        if started is not None:
            self._records.update(found.info.id, freezing=started.timestamp())

    def _send(self, found: Found, lines: Lines, pace: Pace) -> None:
        cargo, place = self._cargo, self._place
        expected = Expected(id=cargo.podman_id, name=place.name, image=cargo.image, labels={EPOCH: str(place.epoch)})
        if self._offer.state is MachineState.PAUSED:
            # What is paused the engine doesn't freeze.
            self._engine.api.containers.unpause(cargo.podman_id)
        layers = changes.Layers.of(self._engine, cargo.podman_id)
        with self._frozen(lines) as archive:
            # What it changed since it was offered: now there is no more to come.
            lost = Answer.of(forgetting(self._engine, found, layers))
            if not lost:
                raise lost.error(backend="containers", machine=place.name)
            pieces = pace.through(filtered(archive, CheckpointFilter(expected)), "memory")
            try:
                lines.destination.checkpoints.restore(
                    _told(pieces, lines), tcp_established=True, file_locks=True, ignore_volumes=True
                )
            except BrokenArchive as error:
                if isinstance(error, TruncatedArchive):
                    # So an engine ends as well that dies; one that doesn't answer is told as that.
                    lines.source.ping(timeout_s=SETTLES_S)
                raise MigrationFailed(
                    f"the checkpoint of {place.name!r} can't be used: {error}",
                    hint="the engine's log on the source says more",
                    backend="containers",
                    machine=place.name,
                    native=error,
                ) from error
            except Unreachable as error:
                if not error.sent or not self._arrived(lines.where):
                    raise

    def _frozen(self, lines: Lines) -> Feed[bytes]:
        podman_id = self._cargo.podman_id
        try:
            return lines.source.checkpoints.export(podman_id, keep=True, tcp_established=True, file_locks=True)
        except ApiError as error:
            # That alone doesn't mean that nothing was saved: the engine may only have failed to pack it.
            if error.cause == _ENDED:
                self._records.update(self._offer.machine.id, freezing=None)
            ours = criu.failed(error, self._place.name, criu.log(self._engine, podman_id))
            if ours is None:
                raise
            raise ours from error

    def _wait_for_engines(self, lines: Lines) -> None:
        deadline = time.monotonic() + SETTLES_S
        for where in (self._engine.address, lines.where):
            while time.monotonic() < deadline:
                try:
                    with connected(where) as engine:
                        engine.ping(timeout_s=SETTLES_S)
                    break
                except Failure:
                    time.sleep(_LOOK_S)

    def _arrived(self, where: Address) -> bool:
        """Return whether the machine runs at the destination after all, where its engine's answer was lost.

        If not, nothing of it does. What comes for it is still held, so nobody can ask what may have run.

        Raises:
            vhal.errors.HostUnreachable: It can't be found out.
        """
        place = self._place
        container = _settled(where, place.podman_id)
        if container is None or container.labels.get(EPOCH) != str(place.epoch):
            return False
        if container.state.running:
            return True
        with contextlib.suppress(MigrationInDoubt):  # said by who cancels
            orphans.end(where, self._cargo.runtime, place.podman_id)
        return False


def forgetting(engine: Engine, found: Found, layers: changes.Layers | None = None) -> Iterator[Blocker]:
    """Yield what a machine would lose of its files if it moved with its memory.

    Args:
        engine: The source's.
        found: The machine.
        layers: Where its files are, if the engine needn't be asked.
    """
    if engine.kind != "podman" or not found.container.image:
        return
    try:
        lost = layers.forgotten() if layers is not None else changes.forgotten(engine.api, found.podman_id)
    except OSError:
        lost = changes.forgotten(engine.api, found.podman_id)
    if lost:
        yield Blocker(
            "files-forgotten",
            f"podman would forget what {found.info.name!r} changed of its image's files: {changes.shown(lost)}",
            "move it with live=False, keep such files in a shared volume, or have them made when it starts",
        )


def as_offered(inventory: Inventory, offer: Offer) -> Found:
    """Return the machine if it is still as it was offered.

    Raises:
        vhal.errors.MigrationFailed: It isn't.
    """
    found, cargo = inventory.find(offer.machine.id), Cargo.of(offer)
    now = (found.podman_id, found.info.name, found.info.epoch, found.info.state)
    if now != (cargo.podman_id, offer.machine.name, cargo.epoch, offer.state):
        raise MigrationFailed(
            f"{offer.machine.name!r} isn't any more what it was when it was offered: it is {found.info.state}",
            hint="somebody else changed it meanwhile; look at it and try again",
            backend="containers",
            machine=offer.machine.name,
        )
    return found


@contextlib.contextmanager
def ended_in_time(ctx: Context) -> Iterator[None]:
    """Raise what ended the work, where that was an abort or the deadline, and not what came of it."""
    try:
        yield
    except (VhalError, ApiError):
        raise
    except Exception:
        ctx.check()
        raise


def held(
    engine: Libpod, where: Address, cargo: Cargo, options: ContainersMigrationOptions
) -> AbstractContextManager[None]:
    """Return a context in which the machine's traffic is held at an engine, as the options want it.

    Raises:
        vhal.errors.MigrationFailed: It must be, and can't.
    """
    places = [(place.network, place.ip) for place in cargo.networks if place.ip]
    if options.hold == "never" or not places:
        return nullcontext()
    return _held(engine, where, places, required=options.hold == "required")


@contextlib.contextmanager
def _held(engine: Libpod, where: Address, places: list[tuple[str, str]], *, required: bool) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        try:
            addresses = held_addresses(places, engine.networks.list())
            stack.enter_context(traffic_hold().hold(where, addresses))
        except HoldError as error:
            if required:
                raise MigrationFailed(
                    f"traffic can't be held at the destination: {error}",
                    hint="hold 'auto' does without, at the risk of open connections",
                    backend="containers",
                ) from error
            log.warning("open connections may be reset, since traffic can't be held: %s", error)
        yield


def _told(pieces: Iterable[bytes], lines: Lines) -> Iterator[bytes]:
    yield from pieces
    lines.sent()


def _settled(where: Address, podman_id: str) -> Container | None:
    """Return the container that a request made whose answer was lost, once it runs; or as it is after a while.

    Raises:
        vhal.errors.HostUnreachable: The engine doesn't answer.
    """
    deadline = time.monotonic() + SETTLES_S
    while True:
        late = time.monotonic() >= deadline
        try:
            with connected(where) as engine:
                # One that works on a container answers, but not about that one before it is done.
                engine.ping(timeout_s=SETTLES_S)
                container = _container(engine, podman_id)
            if late or (container is not None and container.state.running):
                return container
        except Unreachable as error:
            if late:
                raise HostUnreachable(
                    "the destination's engine went away when it had everything",
                    hint="make it reachable, and look whether the machine runs there before anything else",
                    backend="containers",
                    native=error,
                ) from error
        time.sleep(_LOOK_S)


def _container(engine: Libpod, id: str) -> Container | None:
    try:
        return engine.containers.inspect(id)
    except ApiError as error:
        if error.status == NOT_FOUND:
            return None
        raise
