"""A machine's memory to its host's disk and back.

The engine keeps the memory with the container. That it does, a list of containers doesn't tell, so the record
(:mod:`vhal_containers.record`) has it too, with the time: one that was started since isn't saved any more.
"""

from __future__ import annotations

import contextlib

from vhal.driver import Answer, Context
from vhal.errors import InvalidState
from vhal.spec import MachineInfo, MachineState
from vhal_containers import criu, orphans, power
from vhal_containers.api import ApiError, Failure
from vhal_containers.engine import Engine
from vhal_containers.inventory import Found, Inventory
from vhal_containers.record import Records
from vhal_containers.steps import Steps

SETTLE_S = 10.0
"""How long podman may take to note in its own books that a container has ended."""

_WRONG_STATE = "container state improper"


class Saving:
    """Saves and restores one engine's machines. Safe to use from several threads.

    CRIU works for as long as the memory is big, and can't be interrupted: a deadline that passes meanwhile is noticed
    by nobody.
    """

    def __init__(self, engine: Engine, inventory: Inventory, records: Records, steps: Steps) -> None:
        self._engine = engine
        self._inventory = inventory
        self._records = records
        self._steps = steps

    def answer(self, info: MachineInfo | None) -> Answer:
        """Return whether machines, or this one, can be saved, found out without trying it."""
        if info is None:
            return Answer.of(criu.blockers(self._engine))
        found = self._inventory.find(info.id)
        if found.container.auto_remove:
            return Answer.no(
                "removed-at-end",
                f"podman removes machine {info.name!r} when it ends, its memory too",
                "make it without --rm",
            )
        return Answer.of(criu.blockers(self._engine, found.container.runtime))

    def save(self, id: str, ctx: Context) -> None:
        """Running or paused → saved. A failure leaves the machine as it was.

        A paused one goes on for a moment: what is paused the engine doesn't freeze.

        Raises:
            vhal.errors.EngineError: CRIU can't freeze it.
        """
        found = self._inventory.find(id)
        ctx.check()
        with self._steps.meaning(found.info.id, {"unpause": None, "pause": None}):
            self._save(found, paused=found.info.state is MachineState.PAUSED)

    def restore(self, id: str, ctx: Context) -> None:
        """Saved → running, with the sizes that it was given last; the saved memory is used up.

        A failure leaves it saved.

        Raises:
            vhal.errors.InvalidState: Nothing was saved of it: it ended when it was about to be.
            vhal.errors.EngineError: CRIU can't let it go on.
        """
        found = self._inventory.find(id)
        ctx.check()
        # Before it goes on: later nothing would tell it from one that is still saved, once it has ended by itself.
        self._records.update(found.info.id, saved_at=None, freezing=None)
        try:
            self._bring_back(found, ctx)
            if found.record.resized:
                self._insist_on_sizes(found)
        except BaseException as error:
            if isinstance(error, ApiError) and criu.nothing_saved(error, found.container):
                raise InvalidState(
                    f"{found.info.name!r} ended before it was frozen, and nothing of its memory was saved",
                    hint="it is stopped; start it",
                    backend="containers",
                    machine=found.info.name,
                    native=error,
                ) from error
            if not self._lives(found):
                before = found.record
                with contextlib.suppress(Failure):
                    self._records.update(found.info.id, saved_at=before.saved_at, freezing=before.freezing)
            if isinstance(error, ApiError) and (ours := criu.failed(error, found.info.name)):
                raise ours from error
            raise

    def _save(self, found: Found, *, paused: bool) -> None:
        try:
            if paused:
                self._engine.api.containers.unpause(found.podman_id)
            self._freeze(found)
        except BaseException as error:
            self._as_it_was(found, paused=paused)
            if isinstance(error, ApiError):
                ours = criu.failed(error, found.info.name, criu.log(self._engine, found.podman_id))
                if ours is not None:
                    raise ours from error
            raise

    def _bring_back(self, found: Found, ctx: Context) -> None:
        # One that runs, and that its engine takes for frozen, that would end; and what it came from may be gone.
        orphans.freeze(self._engine.address, found.container.runtime, found.podman_id)
        patience = ctx.within(SETTLE_S)
        while True:
            try:
                self._engine.api.checkpoints.bring_back(found.podman_id, tcp_established=True, file_locks=True)
                return
            except ApiError as error:
                # For a moment podman tells that it has ended, and restores it as little as one that runs.
                if error.cause != _WRONG_STATE or self._lives(found) or not patience.remaining_s:
                    raise
                patience.wait(0.05)

    def _freeze(self, found: Found) -> None:
        # Open connections and locked files go along: without that, they would be errors.
        self._engine.api.checkpoints.take(found.podman_id, tcp_established=True, file_locks=True)
        state = self._engine.api.containers.inspect(found.podman_id).state
        moment = state.finished_at or state.started_at
        self._records.update(found.info.id, saved_at=moment.timestamp() if moment else 0.0)

    def _insist_on_sizes(self, found: Found) -> None:
        try:
            power.apply_sizes(self._engine, found)
        except ApiError:
            # With sizes that aren't its own it may take what others were promised.
            self._freeze(found)
            raise

    def _as_it_was(self, found: Found, *, paused: bool) -> None:
        with contextlib.suppress(Failure):
            if not self._lives(found):
                # Only what was frozen just now: one that ended by itself may have older memory lying around.
                if not self._engine.api.containers.inspect(found.podman_id).state.checkpointed:
                    return
                self._engine.api.checkpoints.bring_back(found.podman_id, tcp_established=True, file_locks=True)
            if paused:
                self._engine.api.containers.pause(found.podman_id)

    def _lives(self, found: Found) -> bool:
        try:
            return power.living(self._engine, found.podman_id)
        except Failure:
            return False
