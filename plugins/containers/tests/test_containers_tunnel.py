"""Through ssh: what it is run with, and what becomes of it. ssh itself is played by a program of a few lines."""

from __future__ import annotations

import http.server
import os
import socketserver
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from vhal_containers.api import Connection, Denied, Unreachable
from vhal_containers.api.tunnel import Tunnel

from tests.testbed import wait_until

FAKE = """#!{python}
import os, socket, sys, threading
open({record!r}, "a").write(repr((os.getpid(), sys.argv[1:])) + chr(10))
local, remote = sys.argv[sys.argv.index("-L") + 1].split(":")
def pump(a, b):
    while data := a.recv(65536):
        b.sendall(data)
    b.shutdown(socket.SHUT_WR)
server = socket.socket(socket.AF_UNIX)
server.bind(local)
server.listen()
while True:
    near, _ = server.accept()
    far = socket.socket(socket.AF_UNIX)
    try:
        far.connect({remote!r})
    except OSError:
        print("channel 2: open failed: connect failed: open failed", file=sys.stderr, flush=True)
        near.close()
        continue
    threading.Thread(target=pump, args=(near, far), daemon=True).start()
    threading.Thread(target=pump, args=(far, near), daemon=True).start()
"""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "7")
        self.end_headers()
        self.wfile.write(b'{"a":1}')

    def address_string(self) -> str:
        return "a socket"

    def log_message(self, format: str, *args: object) -> None:
        pass


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "far"
    with _Server(str(path), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield path
        server.shutdown()
        thread.join()


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    record = tmp_path / "record"
    play(tmp_path, monkeypatch, FAKE.format(python=sys.executable, record=str(record), remote=str(tmp_path / "far")))
    return record


def play(folder: Path, monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    programs = folder / "bin"
    programs.mkdir()
    (programs / "ssh").write_text(program)
    (programs / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)


def starts(record: Path) -> list[tuple[int, list[str]]]:
    return [eval(line) for line in record.read_text().splitlines()]  # noqa: S307 - what the fake wrote


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def ended(pid: int) -> bool:
    """Return whether a child has ended, with all that it had open; it isn't reaped."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None
    except ChildProcessError:
        return True


def test_requests_go_through_one_ssh_that_ends_with_the_connection(engine: Path, record: Path) -> None:
    with Connection.over_ssh("host.example.org", "/run/podman/podman.sock", user="me", port=2222) as connection:
        assert connection.get("/version", timeout_s=10) == {"a": 1}
        assert connection.get("/version", timeout_s=10) == {"a": 1}
        [(pid, argv)] = starts(record)
        folder = Path(argv[argv.index("-L") + 1].split(":")[0]).parent
        assert folder.stat().st_mode & 0o777 == 0o700
    assert gone(pid)
    assert not folder.exists()
    assert argv[-2:] == ["--", "host.example.org"]
    assert argv[argv.index("-l") + 1] == "me"
    assert argv[argv.index("-p") + 1] == "2222"
    assert argv[argv.index("-L") + 1] == f"{folder}/engine:/run/podman/podman.sock"
    assert {"-N", "-oBatchMode=yes", "-oExitOnForwardFailure=yes", "-oControlPath=none"} <= set(argv)
    with pytest.raises(Unreachable, match="closed"):
        connection.get("/version")
    connection.close()


def test_an_ssh_that_ended_is_started_again(engine: Path, record: Path) -> None:
    with Connection.over_ssh("host", "/run/podman/podman.sock") as connection:
        connection.get("/version", timeout_s=10)
        [(pid, _)] = starts(record)
        os.kill(pid, 9)
        wait_until(lambda: ended(pid), deadline=10, what="the end of ssh")
        try:
            assert connection.get("/version", timeout_s=10) == {"a": 1}
        except Unreachable:
            assert connection.get("/version", timeout_s=10) == {"a": 1}
        assert len(starts(record)) == 2
    assert all(gone(pid) for pid, _ in starts(record))


def test_no_engine_at_the_other_end(record: Path) -> None:
    with (
        Connection.over_ssh("host", "/run/podman/podman.sock") as connection,
        pytest.raises(Unreachable, match="open failed"),
    ):
        connection.get("/version", timeout_s=10)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("me@host: Permission denied (publickey).", Denied),
        ("Host key verification failed.", Denied),
        ("ssh: Could not resolve hostname host: Name or service not known", Unreachable),
        ("", Unreachable),
    ],
)
def test_an_ssh_that_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, kind: type[Unreachable]
) -> None:
    play(tmp_path, monkeypatch, f"#!/bin/sh\necho '{said}' >&2\nexit 255\n")
    with Connection.over_ssh("host", "/s/s") as connection, pytest.raises(Unreachable) as caught:
        connection.get("/version")
    assert type(caught.value) is kind
    assert (said or "255") in str(caught.value)
    assert not caught.value.sent


def test_no_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with Connection.over_ssh("host", "/s/s") as connection, pytest.raises(Unreachable, match="no ssh"):
        connection.get("/version")


@pytest.mark.parametrize(
    ("host", "socket", "user", "port"),
    [
        ("-oProxyCommand=x", "/s/s", None, None),
        ("a b", "/s/s", None, None),
        ("", "/s/s", None, None),
        ("host", "s", None, None),
        ("host", "/s:/t", None, None),
        ("host", "/${HOME}", None, None),
        ("host", "/%d", None, None),
        ("host", "/s/s", "-x", None),
        ("host", "/s/s", "a@b", None),
        ("host", "/s/s", None, 0),
        ("host", "/s/s", None, 65536),
    ],
)
def test_what_ssh_is_never_given(host: str, socket: str, user: str | None, port: int | None) -> None:
    with pytest.raises(ValueError, match="is no"):
        Tunnel(host, socket, user=user, port=port)


@pytest.mark.parametrize("host", ["host", "10.0.0.1", "fd00::1", "a.example.org"])
def test_hosts(host: str) -> None:
    tunnel = Tunnel(host, "/s/s")
    assert tunnel.argv()[-2:] == ["--", host]
    tunnel.close()
    tunnel.close()
