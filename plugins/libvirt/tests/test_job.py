"""When a job is aborted, and whose."""

from __future__ import annotations

import threading
from typing import Any

import libvirt
import pytest
from vhal_libvirt.job import Job

from vhal.driver import Context
from vhal.errors import OperationAborted

SAVE, OUT = libvirt.VIR_DOMAIN_JOB_OPERATION_SAVE, libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT


def stats(operation: int, elapsed: int = 0, **more: int) -> dict[str, Any]:
    return {"type": libvirt.VIR_DOMAIN_JOB_UNBOUNDED, "operation": operation, "time_elapsed": elapsed, **more}


class Machine:
    """A domain whose job is one thing after the other; the call ends when it is aborted."""

    def __init__(self, *shown: dict[str, Any] | None) -> None:
        self.shown = list(shown)
        self.aborted_at: list[int] = []
        self.ended = threading.Event()

    def jobStats(self) -> dict[str, Any]:  # noqa: N802 - libvirt's name
        now = self.shown.pop(0) if len(self.shown) > 1 else self.shown[0]
        if now is None:
            raise libvirt.libvirtError("the line is down")
        return now

    def abortJob(self) -> None:  # noqa: N802 - libvirt's name
        self.aborted_at.append(len(self.shown))
        self.ended.set()

    def call(self) -> None:
        assert self.ended.wait(10)
        raise libvirt.libvirtError("operation aborted")

    def aborted(self) -> None:
        ctx = Context()
        # It is taken back as soon as the call has been made, before anything was seen of it.
        calling = threading.Event()

        def call() -> None:
            calling.set()
            self.call()

        def stop() -> None:
            calling.wait(10)
            ctx.abort()

        stopping = threading.Thread(target=stop)
        stopping.start()
        with pytest.raises(OperationAborted):
            Job(self, call, "save", SAVE).run(ctx)
        stopping.join()


@pytest.mark.parametrize(
    "other",
    [
        {"type": libvirt.VIR_DOMAIN_JOB_NONE},
        stats(OUT, data_total=9, data_processed=5),
        stats(SAVE, 60_000, data_total=9, data_processed=5),
        None,
    ],
    ids=["none", "another kind", "an older one", "not told"],
)
def test_only_its_own_job_is_aborted(other: dict[str, Any] | None) -> None:
    machine = Machine(other, other, stats(SAVE))
    machine.aborted()
    assert machine.aborted_at == [1]


def test_a_job_that_was_seen_is_aborted_without_asking() -> None:
    machine = Machine(stats(SAVE, data_total=9, data_processed=5, data_remaining=4), None)
    ctx = Context(60, on_progress=lambda progress: ctx.abort())
    with pytest.raises(OperationAborted):
        Job(machine, machine.call, "save", SAVE).run(ctx)
    assert machine.aborted_at == [1]
