"""Faults around any driver: what a plan says goes wrong at the beginning and at the end of its calls.

It stands between the guard and a backend, simulated or real, and harms nothing but answers and time: the call is made
or not, and its caller hears the truth or not. What harms hosts and machines needs a simulator. What can go wrong is in
:mod:`vhal.driver.fault`; how to try every point is in :mod:`vhal.testing.sweeps`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from vhal.driver.context import Context
from vhal.driver.driver import Driver
from vhal.driver.fault import LAYERED, Fault, FaultKind, check_points
from vhal.driver.fault_plan import FaultPlan
from vhal.errors import EngineError, HostUnreachable, InvalidSpec, OperationAborted
from vhal.layers.calls import CALLS, Call
from vhal.layers.funnel import Around, Names

POINTS: dict[str, str] = {
    f"{call.name}.{place}": f"{when} {call.act}"
    for call in CALLS.values()
    for place, when in (("begin", "before"), ("end", "after"))
}
"""Name of each point → when that is."""

PATIENCE_S = 30.0
"""How long a call that has no deadline waits for a daemon that hangs. libvirt gives a connection up then: after 5
messages, one in 5 seconds, without an answer, and a last interval (libvirtd.conf, keepalive_interval and _count)."""


class Chaos(Around):
    """A driver around a driver, with faults.

    ``error``
        At the beginning nothing is done, at the end all of it; then ``EngineError``.
    ``lost-reply``
        The call is made; whatever came of it, the caller gets ``HostUnreachable``.
    ``hang``
        Waits until the context's deadline, ``OperationTimeout``; without one for ``patience_s``, ``HostUnreachable``.
        A fault's ``seconds`` end it before.
    ``abort``
        Aborts the context, as somebody else would; a call that has none raises ``OperationAborted``.
    ``delay``
        Waits, and goes on.

    Seconds are those of the driver's clock: on a simulated host they take no time.

    Args:
        inner: The driver, open.
        plan: What shall go wrong. Faults may be added to it at any time.
        patience_s: How long a call without a deadline waits when it hangs.

    Raises:
        vhal.errors.InvalidSpec: A fault is about no point of :data:`POINTS`, or of a kind that needs a simulator.
        vhal.errors.VhalError: The host can't be asked for its name.
    """

    def __init__(self, inner: Driver, plan: FaultPlan, *, patience_s: float = PATIENCE_S) -> None:
        super().__init__(inner)
        check_points(plan.faults, POINTS)
        for place, fault in enumerate(plan.faults):
            _check_kind(fault, f"faults[{place}].kind")
        self.plan = plan
        self.patience_s = patience_s
        self._host = inner.describe().name
        self._names = Names()

    def around(self, call: Call, method: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        if self.plan.idle:
            return method(*args, **kwargs)
        given = call.named(args, kwargs)
        machine, ctx = self._names.of(given), given.get("ctx")
        lost = self._visit(f"{call.name}.begin", machine, ctx)
        try:
            result = method(*args, **kwargs)
        except Exception as error:
            if lost is not None:
                raise lost from error
            raise
        self._names.learn(result)
        if call.name == "read_archive":
            return self._pieces(result, lost, machine)
        self._end(call, lost, machine, ctx)
        return result

    def _pieces(self, pieces: Iterator[bytes], lost: HostUnreachable | None, machine: str) -> Iterator[bytes]:
        """Yield what is read; its end is where the call ends."""
        yield from pieces
        self._end(CALLS["read_archive"], lost, machine, None)

    def _end(self, call: Call, lost: HostUnreachable | None, machine: str, ctx: Context | None) -> None:
        lost = lost or self._visit(f"{call.name}.end", machine, ctx)
        if lost is not None:
            raise lost

    def _visit(self, point: str, machine: str, ctx: Context | None) -> HostUnreachable | None:
        """Do what strikes at ``point``; return the error of a lost reply, which is raised after the call."""
        fault = self.plan.strike(point, self._host, machine)
        if fault is None:
            return None
        _check_kind(fault, "kind")
        if fault.kind is FaultKind.ERROR:
            raise EngineError(fault.message, hint=f"it was injected at {point}", machine=machine or None)
        if fault.kind is FaultKind.LOST_REPLY:
            return self._unreachable(fault, point, machine)
        if fault.kind is FaultKind.HANG:
            self._hang(fault, point, machine, ctx)
        elif fault.kind is FaultKind.DELAY:
            self.sleep(fault.seconds or 1.0, ctx or Context())
        elif ctx is None:
            raise OperationAborted(
                f"{fault.message}: the operation was aborted",
                hint=f"it was injected at {point}",
                machine=machine or None,
            )
        else:
            ctx.abort()
        return None

    def _hang(self, fault: Fault, point: str, machine: str, ctx: Context | None) -> None:
        ctx = ctx or Context()
        limit = self.patience_s if ctx.remaining_s is None else ctx.remaining_s
        if fault.seconds is not None and fault.seconds < limit:
            self.sleep(fault.seconds, ctx)
            return
        if ctx.remaining_s is None:
            self.sleep(limit, ctx)
            raise self._unreachable(fault, point, machine)
        while True:
            # Its own check raises when nothing is left.
            self.sleep(ctx.remaining_s or 0.0, ctx)
            ctx.check()

    def _unreachable(self, fault: Fault, point: str, machine: str) -> HostUnreachable:
        return HostUnreachable(
            f"the host doesn't answer: {fault.message}", hint=f"it was injected at {point}", machine=machine or None
        )


def _check_kind(fault: Fault, path: str) -> None:
    if fault.kind not in LAYERED:
        able = ", ".join(sorted(LAYERED))
        raise InvalidSpec(
            f"{path}: {fault.kind} needs a simulated host; around a driver there are {able}",
            problems=[(path, f"{fault.kind} needs a simulated host")],
            hint="give the fault to a world of the mock, or choose another kind",
        )
