"""A console: reading, waiting for a text, writing."""

from __future__ import annotations

import pytest

from vhal.console import Console
from vhal.errors import OperationTimeout


class Script:
    """A stream that gives one piece after the other, and then ends."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)
        self.written = b""
        self.closed = 0
        self.timeouts: list[float | None] = []

    def read(self, timeout_s: float | None = None) -> bytes:
        self.timeouts.append(timeout_s)
        return self.pieces.pop(0) if self.pieces else b""

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.closed += 1


def test_expect_finds_across_pieces_and_keeps_the_rest() -> None:
    console = Console(Script(b"boot", b"ing\r\nlog", b"in: x", b"y"), "web")
    assert console.expect("booting").group() == b"booting"
    assert console.expect(rb"log(in): ").group(1) == b"in"
    assert console.read() == b"x"
    assert console.read() == b"y"
    assert console.read() == b""


def test_expect_in_vain_loses_nothing() -> None:
    console = Console(Script(b"Kernel panic\xff"), "web")
    with pytest.raises(OperationTimeout, match=r"the console of 'web' didn't show 'login: ' within 60 s") as caught:
        console.expect("login: ")
    assert "Kernel panic" in (caught.value.hint or "")
    assert caught.value.machine == "web"
    assert console.expect("panic").start() == 7
    assert console.read() == b"\xff"


def test_expect_without_time_doesnt_read() -> None:
    script = Script(b"login: ")
    with pytest.raises(OperationTimeout):
        Console(script, "web").expect("login", timeout_s=0)
    assert script.pieces


def test_read_hands_on_the_timeout() -> None:
    script = Script(b"a")
    console = Console(script, "web")
    assert console.read(0.5) == b"a"
    assert script.timeouts == [0.5]


def test_write_takes_text_and_bytes() -> None:
    script = Script()
    with Console(script, "web") as console:
        console.write("ä\n")
        console.write(b"\x00")
    assert script.written == "ä\n".encode() + b"\x00"
    assert script.closed == 1


def test_what_was_read_before_an_error_is_kept() -> None:
    class Failing:
        def __init__(self) -> None:
            self.parts: list[bytes | Exception] = [b"half", OSError("gone"), b" way"]

        def read(self, timeout_s: float | None = None) -> bytes:
            part = self.parts.pop(0)
            if isinstance(part, Exception):
                raise part
            return part

        def write(self, data: bytes) -> None:
            raise AssertionError("nobody writes")

        def close(self) -> None:
            self.parts.clear()

    console = Console(Failing(), "web")
    with pytest.raises(OSError, match="gone"):
        console.expect("half way")
    assert console.expect("half way")[0] == b"half way"
