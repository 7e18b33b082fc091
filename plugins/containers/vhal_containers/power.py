"""Starting, stopping and restarting one machine."""

from __future__ import annotations

import contextlib
import time

from vhal.driver import Context
from vhal.errors import InvalidState
from vhal.spec import MachineState
from vhal_containers import limits
from vhal_containers.api import ApiError, Failure, Unreachable
from vhal_containers.api.path import path
from vhal_containers.engine import NOT_FOUND, Engine
from vhal_containers.inventory import Found
from vhal_containers.record import Records

_TERM = 15
_FIRST_LOOK_S = 0.01
_LAST_LOOK_S = 0.2
_TIDY_S = 2.0
_NEVER_S = 10**6
_LIVING = ("running", "paused", "stopping")


def start(engine: Engine, found: Found) -> None:
    """Have it run, with the sizes that it was given last.

    Raises:
        vhal.errors.InvalidState: It runs already.
        vhal_containers.api.ApiError: It can't be started, or not with these sizes; it doesn't run.
    """
    if found.record.resized:
        # podman starts it with the sizes that it was made with. So it is made ready, which runs nothing of it yet, and
        # gets the right ones before it begins. It may be unmade again by podman itself, which tidies up some time after
        # a machine has ended; then it begins with the old sizes, and gets the right ones a moment later.
        with contextlib.suppress(ApiError):
            _prepare(engine, found.podman_id)
            apply_sizes(engine, found)
    if not engine.api.containers.start(found.podman_id):
        raise InvalidState(
            f"machine {found.info.name!r} runs already", hint="somebody else started it", machine=found.info.name
        )
    if found.record.resized:
        _insist_on_sizes(engine, found)


def apply_sizes(engine: Engine, found: Found) -> None:
    """Give a machine that is active, or made ready, the sizes that are remembered."""
    engine.api.containers.update(found.podman_id, limits.resources(found.info.cpus, found.info.memory))


def _insist_on_sizes(engine: Engine, found: Found) -> None:
    try:
        apply_sizes(engine, found)
    except ApiError:
        if living(engine, found.podman_id):
            # With sizes that aren't its own it may take what others were promised.
            engine.api.containers.stop(found.podman_id, 0)
            raise


def power_off(engine: Engine, records: Records, found: Found) -> None:
    """End it at once, whatever state it is in; of a saved one, discard the memory. Does nothing to a stopped one."""
    state = found.info.state
    if state is MachineState.SAVED:
        discard(engine, records, found)
        return
    if state is MachineState.PAUSED:
        # podman doesn't stop what is paused; the kernel ends it all the same.
        with contextlib.suppress(ApiError):
            engine.api.containers.kill(found.podman_id, "SIGKILL")
        with contextlib.suppress(ApiError):
            engine.api.containers.unpause(found.podman_id)
    engine.api.containers.stop(found.podman_id, 0)


def shut_down(engine: Engine, found: Found, ctx: Context) -> None:
    """Send its first process the signal by which it ends, and wait until it has.

    Not by podman's own stop, which ends by force after a time, and goes on when nobody waits for it any more; but for
    a container that podman would start again at once if it ended by itself, as one of somebody else may be made.

    Raises:
        vhal.errors.OperationTimeout: It hasn't before the deadline; it goes on running.
        vhal.errors.OperationAborted: Somebody asked for the end; it may still end later.
    """
    podman_id = found.podman_id
    try:
        _ask_to_end(engine, found)
    except ApiError:
        if living(engine, podman_id):
            raise
        return
    pause_s = _FIRST_LOOK_S
    while living(engine, podman_id):
        ctx.wait(pause_s)
        pause_s = min(_LAST_LOOK_S, pause_s * 2)
    _tidied(engine, podman_id, ctx)


def restart(engine: Engine, found: Found, ctx: Context) -> None:
    """Have it end by itself within its stop timeout, or else by force, and begin anew."""
    wait_s = found.container.stop_timeout
    if ctx.remaining_s is not None:
        wait_s = min(wait_s, int(ctx.remaining_s))
    engine.api.containers.restart(found.podman_id, wait_s)
    if found.record.resized:
        _insist_on_sizes(engine, found)


def discard(engine: Engine, records: Records, found: Found) -> None:
    """Forget the memory of a saved machine; it is stopped then."""
    # First, since what is written can be taken back.
    records.not_saved(found.info.id, found.record)
    if found.container.state.checkpointed:
        try:
            # podman forgets it when the machine is made ready to start, of which nothing runs yet.
            _prepare(engine, found.podman_id)
        except BaseException:
            with contextlib.suppress(Failure):
                records.update(found.info.id, saved_at=found.record.saved_at, freezing=found.record.freezing)
            raise
        try:
            engine.api.containers.stop(found.podman_id, 0)
        except ApiError:
            engine.api.containers.stop(found.podman_id, 0)  # there is no way back: its memory is gone by now


def living(engine: Engine, id: str) -> bool:
    """Return whether a container has processes."""
    return _status(engine, id) in _LIVING


def _status(engine: Engine, id: str) -> str:
    try:
        return engine.api.containers.inspect(id).state.status
    except ApiError as error:
        if error.status == NOT_FOUND:
            return ""
        raise


def _ask_to_end(engine: Engine, found: Found) -> None:
    if found.container.restart_policy in ("", "no"):
        engine.api.containers.kill(found.podman_id, str(found.container.stop_signal or _TERM))
        return
    parameters = {"timeout": _NEVER_S, "t": _NEVER_S}
    try:
        engine.api.connection.post(path("containers", found.podman_id, "stop"), parameters, timeout_s=_LAST_LOOK_S)
    except Unreachable as error:
        if not error.sent:  # the engine waits for the end, as we do
            raise


def _tidied(engine: Engine, id: str, ctx: Context) -> None:
    """Wait until podman has tidied up after a container, so that its addresses are free; but not for long."""
    deadline = time.monotonic() + _TIDY_S
    while _status(engine, id) == "stopped" and time.monotonic() < deadline:
        ctx.wait(_FIRST_LOOK_S)


def _prepare(engine: Engine, id: str) -> None:
    try:
        engine.api.containers.prepare(id)
    except ApiError:
        # It was left so by a start that failed, or by somebody else.
        if engine.api.containers.inspect(id).state.status != "initialized":
            raise
