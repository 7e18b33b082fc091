"""Move a machine while it is stopped, with a stop before and a start after: for machines that may stand still.

The preflight is done before the machine is stopped; if the move then fails, it is started again where it was.
"""

from __future__ import annotations

from vhal.driver.context import Context, Progress
from vhal.driver.driver import STOP_TIMEOUT_S, StopMode
from vhal.driver.migration import MigrationPolicy, MigrationResult
from vhal.errors import InvalidState, MigrationFailed, MigrationInDoubt, VhalError
from vhal.layers.guard import Guard
from vhal.layers.locks import LOCKS
from vhal.migration.handshake import TIDYING_S, Keep, migrate
from vhal.migration.preflight import preflight, refusal
from vhal.spec.machine import MachineInfo
from vhal.spec.state import MachineState, allowed


def migrate_cold(
    source: Guard,
    destination: Guard,
    machine: MachineInfo,
    policy: MigrationPolicy,
    ctx: Context,
    keep: Keep | None = None,
) -> tuple[MigrationResult, MachineInfo]:
    """Stop the running ``machine`` gracefully, move it, and start it on the destination.

    Returns:
        How it went (the downtime is the whole time between stop and start), and the machine there.

    Raises:
        vhal.errors.VhalError: As :func:`vhal.migration.handshake.migrate`; and ``OperationTimeout`` if the guest
            doesn't stop before the context's deadline, or within a minute: it keeps running.
    """
    with LOCKS.hold(source.host_id, machine.id, "migrate", ctx):
        answer, _ = preflight(source, destination, machine, policy)
        if not answer:
            raise refusal(machine, answer, source.name, destination.name)
        begun = source.clock_s()
        ctx.report(Progress("stop"))
        stopped: float | None = None
        try:
            _stop(source, machine, ctx)
            stopped = source.clock_s()
            result, arrived = migrate(source, destination, machine, policy, ctx, keep)
        except MigrationInDoubt:
            raise  # a second copy must not start
        except BaseException as failure:
            # What somebody else stopped before us stays so.
            if stopped is not None or not isinstance(failure, InvalidState):
                _start_again(source, machine, failure)
            raise
        ctx.report(Progress("start"))
        arrived = _start(destination, arrived)
        ended = source.clock_s()
        times = {"downtime_s": ended - stopped, "total_s": ended - begun, "setup_s": result.setup_s + stopped - begun}
        return result.model_copy(update=times), arrived


def _stop(source: Guard, machine: MachineInfo, ctx: Context) -> None:
    """Ask the guest to stop; one that doesn't listen must not hold up the move for ever."""
    source.stop(machine.id, StopMode.GRACEFUL, ctx.within(STOP_TIMEOUT_S))


def _start_again(source: Guard, machine: MachineInfo, failure: BaseException) -> None:
    """Let the machine run where it was, unless it does: it may have stopped although that call failed."""
    try:
        if allowed("start", source.inspect(machine.id).state):
            source.start(machine.id, Context(TIDYING_S))
    except VhalError as error:
        raise MigrationFailed(
            f"machine {machine.name!r} could not be moved ({failure}), nor be started again: {error.message}",
            hint=f"it is on {source.name}; start it there if it is stopped",
            machine=machine.name,
            native=error,
        ) from failure


def _start(destination: Guard, arrived: MachineInfo) -> MachineInfo:
    """Start the machine where it is now, and return what it is then; whether it runs decides a look, not the answer."""
    failure: VhalError | None = None
    try:
        destination.start(arrived.id, Context(TIDYING_S))
    except VhalError as error:
        failure = error
    try:
        now = destination.inspect(arrived.id)
        if failure is None or now.state is MachineState.RUNNING:
            return now
    except VhalError:
        if failure is None:
            return arrived.model_copy(update={"state": MachineState.RUNNING})
    raise MigrationInDoubt(
        f"machine {arrived.name!r} has moved to {destination.name}, but could not be started there: {failure.message}",
        hint=f"look at it there; if it is stopped, start it on {destination.name}, nowhere else",
        machine=arrived.name,
        host=destination.name,
        native=failure,
    ) from failure
