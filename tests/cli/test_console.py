"""console: copied, and joined with a terminal."""

from __future__ import annotations

import io
import os
import termios
import threading
from collections.abc import Iterator

import pytest

import vhal
import vhal.cli.console
from tests.cli.harness import Cli
from vhal.cli.console import attach, copy
from vhal.console import Console


class Guest:
    """A console's stream that says a few things, and then waits until it is closed or ends."""

    def __init__(self, *said: bytes, ends: bool = False, listens: int | None = None, hears: bytes = b"") -> None:
        self.said = iter(said)
        self.ends = ends
        self.listens = listens
        self.hears = hears
        self.heard: list[bytes] = []
        self.closed = threading.Event()

    def read(self, timeout_s: float | None = None) -> bytes:
        data = next(self.said, b"")
        if not data and self.listens is not None:
            os.write(self.listens, self.hears)
        if not data and not self.ends:
            self.closed.wait(timeout_s)
        return data

    def write(self, data: bytes) -> None:
        self.heard.append(data)

    def close(self) -> None:
        self.closed.set()


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    person, program = os.openpty()
    yield person, program
    os.close(person)
    os.close(program)


def test_it_is_copied_until_a_pattern_comes(cli: Cli, web: vhal.Machine) -> None:
    web.start()
    assert cli("console", "web", "--until", "re.dy").stdout_bytes == b"web ready\r\n"


def test_it_is_copied_for_a_while(cli: Cli, web: vhal.Machine) -> None:
    web.start()
    assert cli("console", "web", "--for", "0").stdout == ""


def test_a_pattern_that_does_not_come(cli: Cli, web: vhal.Machine) -> None:
    web.start()
    error = cli("console", "web", "--for", "1ms", "--until", "login:", code=7).stderr
    assert "didn't show 'login:'" in error


def test_a_pattern_that_is_none(cli: Cli, web: vhal.Machine) -> None:
    assert "is no regular expression" in cli.error("console", "web", "--until", "(", code=2)["message"]


def test_a_machine_that_does_not_run_has_no_console(cli: Cli, web: vhal.Machine) -> None:
    assert cli.error("console", "web", code=4)["code"] == "invalid-state"


def test_it_is_copied_until_its_end() -> None:
    output = io.BytesIO()
    copy(Console(Guest(b"log", b"in: ", ends=True), "web"), output, "web", None, None)
    assert output.getvalue() == b"login: "


def test_a_terminal_is_joined(
    cli: Cli, web: vhal.Machine, monkeypatch: pytest.MonkeyPatch, terminal: tuple[int, int]
) -> None:
    web.start()
    joined: list[int] = []
    monkeypatch.setattr(vhal.cli.console, "is_terminal", lambda stream: True)
    monkeypatch.setattr(vhal.cli.console, "attach", lambda console, keyboard, output: joined.append(keyboard))
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.fileno", lambda stream: 7, raising=False)
    assert cli("console", "web").stderr == "console of web; leave with Ctrl-]\n"
    assert joined == [7]


def test_what_is_typed_goes_to_the_guest_until_the_escape(terminal: tuple[int, int]) -> None:
    person, program = terminal
    before = termios.tcgetattr(program)
    guest, output = Guest(b"login: ", listens=person, hears=b"root\x03\x1dnot this"), io.BytesIO()
    attach(Console(guest, "web"), program, output)
    assert b"".join(guest.heard) == b"root\x03"
    assert output.getvalue() == b"login: "
    assert guest.closed.is_set()
    assert termios.tcgetattr(program) == before


def test_it_ends_with_the_console(terminal: tuple[int, int]) -> None:
    guest, output = Guest(b"bye", ends=True), io.BytesIO()
    attach(Console(guest, "web"), terminal[1], output)
    assert output.getvalue() == b"bye"
