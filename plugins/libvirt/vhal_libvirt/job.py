"""A libvirt call that takes as long as there is memory to move, with progress, an abort and a deadline.

libvirt blocks the calling thread until such a job has ended, so it gets a thread of its own, and the caller's thread
watches. What the job does is the business of :mod:`vhal_libvirt.saving` and :mod:`vhal_libvirt.migration`.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any

import libvirt

from vhal.driver import Context, Progress
from vhal.errors import OperationAborted, OperationTimeout

POLL_S = 0.1
"""How often the job is asked how far it has come. Its end is noticed at once."""

_NONE = libvirt.VIR_DOMAIN_JOB_NONE
_SLACK_MS = 1000
"""How much older than the call a job may say it is, and still be the call's."""


class Job:
    """One blocking call about one machine.

    Args:
        dom: The machine.
        call: Blocks until the job has ended; raises if it failed.
        phase: What to call it in reports.
        operation: What libvirt calls such a job (``VIR_DOMAIN_JOB_OPERATION_…``), to tell it from somebody else's.
    """

    def __init__(self, dom: libvirt.virDomain, call: Callable[[], object], phase: str, operation: int) -> None:
        self._dom = dom
        self._call = call
        self._phase = phase
        self._operation = operation
        self._called = time.monotonic()
        self._wake = threading.Event()
        self._done = threading.Event()
        self._error: BaseException | None = None
        self.begun = False
        """Whether data were seen to move."""
        self.final = False
        """Set when there is no way back any more: from then on an abort or a deadline doesn't stop it."""

    def run(self, ctx: Context, tick: Callable[[], None] | None = None) -> None:
        """Run the job to its end; ``tick`` is called in this thread whenever it is looked at.

        A job that ended well although it was to be stopped has ended well.

        Raises:
            vhal.errors.OperationAborted: It was stopped on request; libvirt has undone it.
            vhal.errors.OperationTimeout: It was stopped at the deadline; libvirt has undone it.
            libvirt.libvirtError: It failed by itself.
            Exception: What ``tick`` or a report raised; the job was stopped, unless it is final.
        """
        ctx.check()
        self._called = time.monotonic()
        worker = threading.Thread(target=self._work, name=f"vhal-libvirt-{self._phase}", daemon=True)
        worker.start()
        try:
            with ctx.on_abort(self._wake.set):
                stopped = self._watch(ctx, tick)
        except BaseException:
            # With no way back the call is left to itself: stopping it is refused, and it needn't ever return.
            if not self.final:
                self._stop()
            raise
        if self._error is None:
            return
        if stopped is not None:
            raise stopped from self._error
        raise self._error

    def wake(self) -> None:
        """Look at the job now."""
        self._wake.set()

    def _work(self) -> None:
        try:
            self._call()
        except BaseException as error:  # noqa: BLE001 - it is raised in the caller's thread
            self._error = error
        self._done.set()
        self._wake.set()

    def _watch(self, ctx: Context, tick: Callable[[], None] | None) -> OperationAborted | OperationTimeout | None:
        while not self._done.is_set():
            self._wake.wait(POLL_S)
            self._wake.clear()
            if self._done.is_set():
                break
            if not self.final:
                try:
                    ctx.check()
                except (OperationAborted, OperationTimeout) as reason:
                    self._stop()
                    return reason
            self._report(ctx)
            if tick is not None:
                tick()
        return None

    def _stop(self) -> None:
        # Before ours has begun there is nothing to abort, or somebody else's job, for which ours waits; therefore look
        # again and again.
        while not self._done.is_set():
            with contextlib.suppress(libvirt.libvirtError):
                if self.begun or self._ours(self._dom.jobStats()):
                    self._dom.abortJob()
            self._done.wait(POLL_S)

    def _ours(self, stats: dict[str, Any]) -> bool:
        """Return whether these are the statistics of this job, while it is under way."""
        if stats.get("type", _NONE) == _NONE or stats.get(libvirt.VIR_DOMAIN_JOB_OPERATION) != self._operation:
            return False
        lasted_ms = (time.monotonic() - self._called) * 1000
        return bool(stats.get(libvirt.VIR_DOMAIN_JOB_TIME_ELAPSED, 0) <= lasted_ms + _SLACK_MS)

    def _report(self, ctx: Context) -> None:
        try:
            stats = self._dom.jobStats()
        except libvirt.libvirtError:
            return  # the job has just ended, or the line is down; the call itself will say
        if not self._ours(stats):
            return
        progress = progress_of(self._phase, stats)
        if progress is not None and not self._done.is_set():
            self.begun = self.begun or bool(progress.done)
            ctx.report(progress)


def progress_of(phase: str, stats: dict[str, Any]) -> Progress | None:
    """Return libvirt's statistics of a job as progress, or None if none runs or nothing is known yet."""
    if stats.get("type", _NONE) == _NONE or not stats.get(libvirt.VIR_DOMAIN_JOB_DATA_TOTAL):
        return None
    done = stats.get(libvirt.VIR_DOMAIN_JOB_DATA_PROCESSED)
    remaining = stats.get(libvirt.VIR_DOMAIN_JOB_DATA_REMAINING)
    return Progress(
        phase,
        done=done,
        total=None if done is None or remaining is None else done + remaining,
        rate=stats.get(libvirt.VIR_DOMAIN_JOB_MEMORY_BPS),
        iteration=stats.get(libvirt.VIR_DOMAIN_JOB_MEMORY_ITERATION),
    )
