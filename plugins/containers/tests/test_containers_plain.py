"""Answers without frames: whole ones, and what becomes of others. A real engine's are in the tests of migration."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from vhal_containers.api import ApiError, Connection, Unreachable

from .odd_engine import OddEngine, answering, response


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[OddEngine]:
    engine = OddEngine(tmp_path / "engine")
    yield engine
    engine.close()


@pytest.fixture
def connection(engine: OddEngine) -> Iterator[Connection]:
    with Connection(engine.path) as connection:
        yield connection


def read(connection: Connection, timeout_s: float = 10) -> bytes:
    with connection.stream("POST", "/x", {"export": True}, unframed=True, timeout_s=timeout_s) as answer:
        return b"".join(answer.iter_bytes())


def test_it_is_asked_for_in_a_version_without_frames(engine: OddEngine, connection: Connection) -> None:
    assert read(connection) == b"{}"
    assert engine.heads[-1].startswith(b"POST /v4.0.0/libpod/x?export=true HTTP/1.0\r\n")
    assert b"Content-Length: 0\r\n" in engine.heads[-1]


@pytest.mark.parametrize("size", [0, 1, 100, 1 << 20, 5_000_001])
def test_a_body_ends_with_the_connection(engine: OddEngine, connection: Connection, size: int) -> None:
    body = bytes(range(256)) * (size // 256) + bytes(size % 256)
    engine.behaviour = answering(b"HTTP/1.0 200 OK\r\nContent-Type: x\r\n\r\n" + body)
    assert read(connection) == body


@pytest.mark.parametrize("claimed", [1, 5])
def test_a_body_of_a_known_length(engine: OddEngine, connection: Connection, claimed: int) -> None:
    engine.behaviour = answering(response("200 OK", b"12345", claimed=claimed))
    if claimed == 5:
        assert read(connection) == b"12345"
    else:
        with pytest.raises(Unreachable, match="says more than"):
            read(connection)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.0 200 OK\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.0 what\r\n\r\n",
        b"x" * 300_000,
        response("200 OK", b"1234", claimed=5),
    ],
    ids=["nothing", "half a head", "no HTTP", "no status", "no end", "half a body"],
)
def test_what_makes_no_sense_or_breaks_off(engine: OddEngine, connection: Connection, answer: bytes) -> None:
    engine.behaviour = answering(answer)
    with pytest.raises(Unreachable, match="broke off") as caught:
        read(connection)
    assert caught.value.sent


def test_a_refusal(engine: OddEngine, connection: Connection) -> None:
    said = b'{"cause":"no such container","message":"no container x","response":404}'
    for answer in (response("404 Not Found", said), b"HTTP/1.0 404 Not Found\r\n\r\n" + said):
        engine.behaviour = answering(answer)
        with pytest.raises(ApiError, match="no container x") as caught:
            read(connection)
        assert (caught.value.status, caught.value.cause) == (404, "no such container")


def test_an_engine_that_says_nothing(engine: OddEngine, connection: Connection) -> None:
    engine.behaviour = engine.silent
    with pytest.raises(Unreachable, match="said nothing for"):
        read(connection, timeout_s=0.1)


@pytest.mark.parametrize("ended", ["answer", "connection"])
def test_closing_wakes_who_reads(engine: OddEngine, connection: Connection, ended: str) -> None:
    def falls_silent(link: socket.socket, head: bytes) -> None:
        link.sendall(b"HTTP/1.0 200 OK\r\n\r\n12345")
        engine.silent(link, head)

    engine.behaviour = falls_silent
    with connection.stream("POST", "/x", unframed=True) as answer:
        body = answer.iter_bytes()
        assert next(body) == b"12345"
        closing = threading.Thread(target=answer.end if ended == "answer" else connection.close)
        closing.start()
        if ended == "answer":
            assert list(body) == []
        else:
            with pytest.raises(Unreachable, match="was closed"):
                next(body)
        closing.join()
