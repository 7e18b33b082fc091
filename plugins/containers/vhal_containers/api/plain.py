"""A request whose answer comes plain: byte for byte as the engine writes it, until it closes the connection.

An engine that streams to a client of HTTP/1.1 puts a frame around every 32 KiB, and to take off thousands of them costs
more than to carry what is in them. For a client of HTTP/1.0 there are no frames (RFC 9112, section 6.3). The price:
a body that the engine broke off looks like a whole one, so whoever reads must know by what is in it where it ends.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import httpcore2

from vhal_containers.api.unix import UnixStream

_PIECE = 1 << 18
"""As much as a Unix socket holds on Linux (net.core.wmem_max), and some more."""
_HEAD_MOST = 64 << 10
_LENGTH = b"content-length"
_NUMBER = re.compile(rb"[0-9]{1,18}")


@contextlib.contextmanager
def plain(stream: UnixStream, method: str, target: str, timeout_s: float | None) -> Iterator[httpcore2.Response]:
    """Send a request without a body, and give the answer. The connection is closed with the context.

    Args:
        stream: A new connection.
        method: The HTTP method.
        target: Path and query, encoded.
        timeout_s: For how long the engine may say nothing.

    Raises:
        httpcore2.TimeoutException: It said nothing for longer.
        httpcore2.NetworkError: The connection was lost, or ended by us.
        httpcore2.ProtocolError: What came is no HTTP, or less than was said.
    """
    with contextlib.closing(stream):
        stream.write(f"{method} {target} HTTP/1.0\r\nHost: engine\r\nContent-Length: 0\r\n\r\n".encode(), timeout_s)
        head, early = _head(stream, timeout_s)
        status, fields = _parsed(head)
        lengths = (value for name, value in fields if name.lower() == _LENGTH and _NUMBER.fullmatch(value))
        length = next(map(int, lengths), None)
        yield httpcore2.Response(
            status,
            headers=fields,
            content=_body(stream, early, length, timeout_s),
            extensions={"network_stream": stream},
        )


def _head(stream: UnixStream, timeout_s: float | None) -> tuple[bytes, bytes]:
    got = b""
    while b"\r\n\r\n" not in got:
        piece = stream.read(_HEAD_MOST, timeout_s)
        if not piece:
            raise httpcore2.RemoteProtocolError("it closed the connection without an answer")
        got += piece
        if len(got) > 2 * _HEAD_MOST:
            raise httpcore2.RemoteProtocolError("what it says is no HTTP")
    head, _, early = got.partition(b"\r\n\r\n")
    return head, early


def _parsed(head: bytes) -> tuple[int, list[tuple[bytes, bytes]]]:
    first, *lines = head.split(b"\r\n")
    version, _, rest = first.partition(b" ")
    status = rest[:3]
    if not version.startswith(b"HTTP/1.") or not status.isdigit():
        raise httpcore2.RemoteProtocolError("what it says is no HTTP")
    fields = [line.partition(b":") for line in lines]
    return int(status), [(name.strip(), value.strip()) for name, _, value in fields]


def _body(stream: UnixStream, early: bytes, length: int | None, timeout_s: float | None) -> Iterator[bytes]:
    left = length
    piece = early or _read(stream, left, timeout_s)
    while piece:
        if left is not None:
            left -= len(piece)
            if left < 0:
                raise httpcore2.RemoteProtocolError("it says more than it said it would")
        yield piece
        piece = _read(stream, left, timeout_s)
    if left:
        raise httpcore2.RemoteProtocolError("it broke off before the end of what it had to say")


def _read(stream: UnixStream, left: int | None, timeout_s: float | None) -> bytes:
    if left == 0:
        return b""
    piece = stream.read(_PIECE, timeout_s)
    if not piece and stream.ended:
        raise httpcore2.ReadError("the connection was closed")
    return piece
