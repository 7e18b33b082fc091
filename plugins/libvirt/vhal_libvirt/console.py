"""A machine's console as a stream of bytes.

libvirt hands the bytes over in its own thread; they wait here until somebody reads them. If nobody does, libvirt is
told to stop handing them over, so a chatty guest fills no memory.
"""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import libvirt

from vhal.errors import InvalidState
from vhal_libvirt.connection import Connection

_CHUNK = 64 << 10
_MOST_WAITING = 1 << 20
_WOULD_BLOCK = -2
_READ = libvirt.VIR_STREAM_EVENT_READABLE | libvirt.VIR_STREAM_EVENT_ERROR | libvirt.VIR_STREAM_EVENT_HANGUP
_WRITE = libvirt.VIR_STREAM_EVENT_WRITABLE
_RESEND_S = 1.0


class Console:
    """An open console. One reader and one writer at a time; closed from any thread."""

    def __init__(self, connection: Connection, dom: libvirt.virDomain) -> None:
        self._changed = threading.Condition()
        self._waiting = bytearray()
        self._ended = False
        self._stream = connection.get().newStream(libvirt.VIR_STREAM_NONBLOCK)
        dom.openConsole(None, self._stream, 0)
        self._mask = _READ
        self._stream.eventAddCallback(_READ, self._happened, None)

    def read(self, timeout_s: float | None = None) -> bytes:
        """Return what came, at least a byte; ``b""`` at the end, or when ``timeout_s`` passed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ended, timeout_s)
            data = bytes(self._waiting)
            self._waiting.clear()
            self._listen(_READ | (self._mask & _WRITE))
            return data

    def write(self, data: bytes) -> None:
        """Send all of ``data``.

        Raises:
            vhal.errors.InvalidState: The console has ended.
        """
        view = memoryview(data)
        while view:
            with self._changed:
                if self._ended:
                    raise InvalidState("the console has ended", hint="open it again", backend="libvirt")
                sent = self._stream.send(bytes(view[:_CHUNK]))
                if sent == _WOULD_BLOCK:
                    self._listen(self._mask | _WRITE)
                    self._changed.wait(_RESEND_S)
                    continue
            view = view[sent:]

    def close(self) -> None:
        """End it; a read that waits returns ``b""``. Idempotent."""
        with self._changed:
            if self._stream is None:
                return
            stream, self._stream = self._stream, None
            if not self._ended:
                self._end(stream)
            # The daemon may be gone, and the stream with it.
            with contextlib.suppress(libvirt.libvirtError):
                stream.abort()

    def __enter__(self) -> Console:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _happened(self, stream: libvirt.virStream, events: int, opaque: Any) -> None:
        with self._changed:
            if self._ended:
                return
            if events & libvirt.VIR_STREAM_EVENT_READABLE:
                self._receive(stream)
            elif events & (libvirt.VIR_STREAM_EVENT_ERROR | libvirt.VIR_STREAM_EVENT_HANGUP):
                self._end(stream)
            if events & _WRITE and not self._ended:
                self._listen(self._mask & ~_WRITE)
            self._changed.notify_all()

    def _receive(self, stream: libvirt.virStream) -> None:
        try:
            data = stream.recv(_CHUNK)
        except libvirt.libvirtError:
            self._end(stream)
            return
        if data == _WOULD_BLOCK:
            return
        if not data:
            self._end(stream)
            return
        self._waiting += data
        if len(self._waiting) >= _MOST_WAITING:
            self._listen(self._mask & ~libvirt.VIR_STREAM_EVENT_READABLE)

    def _end(self, stream: libvirt.virStream) -> None:
        self._ended = True
        with contextlib.suppress(libvirt.libvirtError):
            stream.eventRemoveCallback()
        self._changed.notify_all()

    def _listen(self, mask: int) -> None:
        if mask != self._mask and not self._ended:
            self._mask = mask
            self._stream.eventUpdateCallback(mask)
