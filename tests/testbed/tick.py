"""The tick guest, and how its ticks measure the time a guest stands still.

The guest sends one byte a millisecond: the low eight bits of a counter. Give it a serial port that
connects to the collector's socket; after a migration the new QEMU connects there too. Every byte is
stamped with this machine's one clock when it arrives, so the pause between the last byte from the
old QEMU and the first from the new one is what a user of the guest would notice.
"""

from __future__ import annotations

import selectors
import socket
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import TracebackType

from .errors import LabError
from .wait import wait_until

__all__ = ["TickCollector", "TickGuest", "TickHistory"]

_SOURCE = Path(__file__).with_name("tick.S")
_AREA = 1 << 20
_PARAMETERS = 502
_IMAGE_BYTES = 1 << 20

Stream = Sequence[tuple[float, int]]
"""What one connection brought: time in seconds and byte, in order of arrival."""


class TickGuest:
    """A guest of 512 bytes, which starts in well under a second."""

    @staticmethod
    def image(path: Path, pages_per_tick: int = 0, mib: int = 0) -> None:
        """Write a raw disk image which boots to the tick guest.

        Each millisecond it writes to `pages_per_tick` pages, going round in an area of `mib` MiB,
        which the guest's memory must hold beside the first MiB. Raises `LabError` when it cannot be
        assembled, `ValueError` for numbers that do not fit.
        """
        if pages_per_tick < 0 or mib < 0 or (pages_per_tick and not mib) or mib > 3000:
            raise ValueError(f"{pages_per_tick} pages a tick in {mib} MiB")
        sector = bytearray(TickGuest._assemble())
        struct.pack_into("<II", sector, _PARAMETERS, pages_per_tick, _AREA + (mib << 20))
        path.write_bytes(bytes(sector).ljust(_IMAGE_BYTES, b"\0"))

    @staticmethod
    def _assemble() -> bytes:
        with tempfile.TemporaryDirectory(prefix="vhal-tick-") as scratch:
            code, sector = Path(scratch, "tick.o"), Path(scratch, "tick.bin")
            for command in (
                ["gcc", "-m32", "-c", str(_SOURCE), "-o", str(code)],
                ["ld", "-m", "elf_i386", "-Ttext=0x7c00", "--oformat=binary", "-o", str(sector), str(code)],
            ):
                try:
                    subprocess.run(command, check=True, capture_output=True, text=True)
                except FileNotFoundError as error:
                    setup = Path(__file__).with_name("setup.sh")
                    raise LabError(f"missing: {command[0]}; run {setup}") from error
                except subprocess.CalledProcessError as error:
                    raise LabError(f"{command[0]}: {error.stderr.strip()}") from error
            return sector.read_bytes()


@dataclass(frozen=True)
class TickHistory:
    """The ticks of one guest, by the connection they came over.

    Connections which brought nothing are left out, the others are in order of their first byte: one
    for each QEMU the guest ran in.
    """

    streams: tuple[Stream, ...]

    @classmethod
    def of(cls, streams: Sequence[Stream]) -> TickHistory:
        """Put streams in order."""
        return cls(tuple(sorted((s for s in streams if s), key=lambda stream: stream[0][0])))

    @property
    def ticks(self) -> int:
        """How many ticks arrived."""
        return sum(len(stream) for stream in self.streams)

    @property
    def switchover_gaps_s(self) -> tuple[float, ...]:
        """Each time from the last byte of a QEMU to the first byte of the next one, in seconds.

        A negative one means that both ran at the same time.
        """
        return tuple(after[0][0] - before[-1][0] for before, after in pairwise(self.streams))

    @property
    def switchover_gap_s(self) -> float:
        """The last switch-over gap. Raises `LabError` when there was none."""
        if not (gaps := self.switchover_gaps_s):
            raise LabError("the ticks came from one QEMU only: there was no switch-over")
        return gaps[-1]

    @property
    def overlapped(self) -> bool:
        """Whether two QEMUs ran the guest at the same time."""
        return any(gap < 0 for gap in self.switchover_gaps_s)

    @property
    def max_stall_s(self) -> float:
        """The longest time between two bytes in a row, whatever the reason, in seconds."""
        times = [moment for moment, _ in self._merged()]
        return max((b - a for a, b in pairwise(times)), default=0.0)

    @property
    def continuous(self) -> bool:
        """Whether the counter only ever went on: no tick came twice, and none from the past.

        Ticks may be missing, up to half of the 256 values a byte has: more would look like a step
        back. A guest that ran twice, or from an older state, is not continuous.
        """
        values = [value for _, value in self._merged()]
        return all(1 <= (b - a) % 256 < 128 for a, b in pairwise(values))

    def _merged(self) -> list[tuple[float, int]]:
        # Sorting by time only, and stably: bytes which arrived at once keep their order.
        return sorted((tick for s in self.streams for tick in s), key=lambda tick: tick[0])


class TickCollector:
    """Listens for a tick guest's QEMUs and stamps every byte; a context manager.

    Its thread ends, and the socket is removed, when the context is left.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._streams: list[list[tuple[float, int]]] = []
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._collect, name="tick collector", daemon=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._woken, self._wake = socket.socketpair()

    def __enter__(self) -> TickCollector:
        try:
            self._listener.bind(str(self.path))
        except OSError:
            for link in (self._listener, self._woken, self._wake):
                link.close()
            raise
        self._listener.listen()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._wake.close()
        self._thread.join()
        self._woken.close()
        self._listener.close()
        self.path.unlink(missing_ok=True)

    @property
    def history(self) -> TickHistory:
        """What has arrived so far."""
        with self._lock:
            return TickHistory.of([list(stream) for stream in self._streams])

    @property
    def ticks(self) -> int:
        """How many ticks have arrived so far."""
        with self._lock:
            return sum(len(stream) for stream in self._streams)

    @property
    def switchover_gap_s(self) -> float:
        """See `TickHistory.switchover_gap_s`."""
        return self.history.switchover_gap_s

    @property
    def max_stall_s(self) -> float:
        """See `TickHistory.max_stall_s`."""
        return self.history.max_stall_s

    @property
    def continuous(self) -> bool:
        """See `TickHistory.continuous`."""
        return self.history.continuous

    def wait_ticks(self, more: int, *, deadline: float = 30.0) -> None:
        """Wait until so many more ticks have arrived. Raises `DeadlineError`."""
        wanted = self.ticks + more
        wait_until(lambda: self.ticks >= wanted, deadline=deadline, what=f"{more} more ticks")

    def _collect(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            links: list[socket.socket] = []
            while True:
                for key, _ in selector.select():
                    if key.fileobj is self._woken:
                        for link in links:
                            link.close()
                        return
                    if key.fileobj is self._listener:
                        link, _ = self._listener.accept()
                        links.append(link)
                        stream: list[tuple[float, int]] = []
                        with self._lock:
                            self._streams.append(stream)
                        selector.register(link, selectors.EVENT_READ, (link, stream))
                        continue
                    link, stream = key.data
                    try:
                        data = link.recv(4096)
                    except ConnectionResetError:
                        data = b""
                    now = time.monotonic()
                    if not data:
                        selector.unregister(link)
                        continue
                    with self._lock:
                        stream.extend((now, value) for value in data)
