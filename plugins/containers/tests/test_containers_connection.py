"""What becomes of answers that no sound engine gives, and of engines that aren't there."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from vhal_containers.api import ApiError, Connection, Denied, Hijacked, Unreachable
from vhal_containers.api.framing import Chunk
from vhal_containers.api.libpod import Libpod

from .odd_engine import OddEngine, answering, response

PODMANS = b'{"cause":"no such container","message":"no container with name or ID \\"x\\" found","response":404}'


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[OddEngine]:
    engine = OddEngine(tmp_path / "engine")
    yield engine
    engine.close()


@pytest.fixture
def connection(engine: OddEngine) -> Iterator[Connection]:
    with Connection(engine.path) as connection:
        yield connection


def refused(connection: Connection) -> ApiError:
    with pytest.raises(ApiError) as caught:
        connection.get("/containers/x/json", timeout_s=10)
    return caught.value


def broken(connection: Connection, timeout_s: float = 10) -> Unreachable:
    with pytest.raises(Unreachable) as caught:
        connection.get("/containers/x/json", timeout_s=timeout_s)
    return caught.value


def test_the_engines_words_are_kept(engine: OddEngine, connection: Connection) -> None:
    engine.behaviour = answering(response("404 Not Found", PODMANS))
    error = refused(connection)
    assert (error.status, error.cause) == (404, "no such container")
    assert error.message == 'no container with name or ID "x" found'
    assert (error.method, error.path) == ("GET", "/containers/x/json")


@pytest.mark.parametrize("body", [b"<html>gateway</html>", b"[1]", b'"text"', b"\xff\xfe", b"", b"{"])
def test_a_refusal_in_other_words(engine: OddEngine, connection: Connection, body: bytes) -> None:
    engine.behaviour = answering(response("500 Internal Server Error", body, type="text/html"))
    error = refused(connection)
    assert (error.status, error.cause) == (500, "")
    assert error.message


@pytest.mark.parametrize("status", ["301 Moved", "304 Not Modified"])
def test_anything_but_success_is_a_refusal(engine: OddEngine, connection: Connection, status: str) -> None:
    engine.behaviour = answering(f"HTTP/1.1 {status}\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n".encode())
    assert refused(connection).status == int(status[:3])


def test_a_refusal_cut_off_is_a_refusal(engine: OddEngine, connection: Connection) -> None:
    engine.behaviour = answering(response("500 Internal Server Error", b"half of", claimed=100))
    error = refused(connection)
    assert (error.status, error.message) == (500, "half of")


def test_an_endless_refusal_is_not_read_to_its_end(engine: OddEngine, connection: Connection) -> None:
    def behave(link: socket.socket, head: bytes) -> None:
        link.sendall(b"HTTP/1.1 500 No\r\n\r\n")
        while True:
            link.sendall(b"x" * 65536)

    engine.behaviour = behave
    assert len(refused(connection).message) == 64 << 10


def test_success_that_is_no_json(engine: OddEngine, connection: Connection) -> None:
    engine.behaviour = answering(response("200 OK", b"OK then"))
    error = refused(connection)
    assert error.status == 200
    assert "isn't JSON: OK then" in error.message


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        response("200 OK", b'{"a"', claimed=10),
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"a":',
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_an_answer_cut_off_or_garbled(engine: OddEngine, connection: Connection, answer: bytes) -> None:
    engine.behaviour = answering(answer)
    error = broken(connection)
    assert error.sent
    assert "broke off" in str(error)


def test_an_engine_that_says_nothing(engine: OddEngine, connection: Connection) -> None:
    engine.behaviour = engine.silent
    error = broken(connection, timeout_s=0.1)
    assert error.sent
    assert "said nothing for 0.1 s" in str(error)


def test_an_engine_that_falls_silent(engine: OddEngine, connection: Connection) -> None:
    def behave(link: socket.socket, head: bytes) -> None:
        link.sendall(response("200 OK", b"{", claimed=100))
        engine.silent(link, head)

    engine.behaviour = behave
    assert "said nothing" in str(broken(connection, timeout_s=0.1))


def test_no_engine(tmp_path: Path) -> None:
    with Connection(tmp_path / "none") as connection:
        error = broken(connection)
    assert not error.sent
    assert "there is no" in str(error)


def test_an_engine_that_has_gone(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(tmp_path / "gone"))
    with Connection(tmp_path / "gone") as connection:
        error = broken(connection)
    assert not error.sent
    assert "nobody listens" in str(error)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_an_engine_that_lets_us_not_in(engine: OddEngine) -> None:
    engine.path.chmod(0o600)
    with Connection(engine.path) as connection:
        os.seteuid(65534)
        try:
            error = broken(connection)
        finally:
            os.seteuid(0)
    assert isinstance(error, Denied)
    assert "no permission" in str(error)


def test_a_path_that_is_too_long(tmp_path: Path) -> None:
    with Connection(tmp_path / ("x" * 120)) as connection:
        assert not broken(connection).sent


def test_an_engine_that_accepts_nobody(tmp_path: Path) -> None:
    path = str(tmp_path / "full")
    with socket.socket(socket.AF_UNIX) as full, socket.socket(socket.AF_UNIX) as first:
        full.bind(path)
        full.listen(0)
        first.connect(path)
        with Connection(path, connect_s=0.1) as connection:
            assert not broken(connection).sent


def test_a_body_is_sent_as_it_comes(engine: OddEngine, connection: Connection) -> None:
    arrived = threading.Event()
    received: list[bytes] = []

    def behave(link: socket.socket, head: bytes) -> None:
        while not (received and received[-1].endswith(b"0\r\n\r\n")):
            received.append(link.recv(65536))
            if b"first" in b"".join(received):
                arrived.set()
        link.sendall(response("200 OK", b"{}"))

    def body() -> Iterator[bytes]:
        yield b"first"
        assert arrived.wait(10), "the first piece waited for the second"
        yield b"second"

    engine.behaviour = behave
    assert connection.post("/images/load", body=body(), timeout_s=10) == {}
    assert b"".join(received) == b"5\r\nfirst\r\n6\r\nsecond\r\n0\r\n\r\n"
    assert b"content-type: application/x-tar" in engine.heads[0].lower()


def test_a_body_that_raises_is_cut_off(engine: OddEngine, connection: Connection) -> None:
    received: list[bytes] = []
    ended = threading.Event()

    def behave(link: socket.socket, head: bytes) -> None:
        while piece := link.recv(65536):
            received.append(piece)
        ended.set()

    def body() -> Iterator[bytes]:
        yield b"first"
        raise RuntimeError("no more")

    engine.behaviour = behave
    with pytest.raises(RuntimeError, match="no more"):
        connection.post("/images/load", body=body())
    assert ended.wait(10)
    assert b"".join(received) == b"5\r\nfirst\r\n"


def test_an_answer_that_comes_before_the_body_was_sent(engine: OddEngine, connection: Connection) -> None:
    def body() -> Iterator[bytes]:
        for _ in range(1000):
            yield b"x" * 65536

    engine.behaviour = answering(response("404 Not Found", PODMANS))
    with pytest.raises((ApiError, Unreachable)) as caught:
        connection.post("/images/load", body=body(), timeout_s=10)
    # Whether the answer is still there when the pipe breaks is the kernel's affair.
    assert not isinstance(caught.value, ApiError) or caught.value.status == 404


def test_closing_wakes_who_reads(engine: OddEngine, connection: Connection) -> None:
    reading, outcome = threading.Event(), []

    def behave(link: socket.socket, head: bytes) -> None:
        link.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
        engine.silent(link, head)

    def read() -> None:
        try:
            with connection.stream("GET", "/events") as answer:
                for _ in answer.iter_bytes():
                    reading.set()
        except Unreachable as error:
            outcome.append(error)

    engine.behaviour = behave
    thread = threading.Thread(target=read)
    thread.start()
    assert reading.wait(10)
    connection.close()
    connection.close()
    thread.join(10)
    assert not thread.is_alive()
    assert "closed" in str(outcome[0])
    assert not broken(connection).sent


def test_a_feed_that_is_closed_ends_quietly(engine: OddEngine, connection: Connection) -> None:
    reading, seen = threading.Event(), []

    def behave(link: socket.socket, head: bytes) -> None:
        link.sendall(b'HTTP/1.1 200 OK\r\n\r\n{"Type":"container","Action":"start"}\n{"half')
        engine.silent(link, head)

    engine.behaviour = behave
    feed = Libpod(connection).events()

    def read() -> None:
        for event in feed:
            seen.append(event.action)
            reading.set()

    thread = threading.Thread(target=read)
    thread.start()
    assert reading.wait(10)
    feed.close()
    feed.close()
    thread.join(10)
    assert not thread.is_alive()
    assert seen == ["start"]


def test_a_connection_that_is_not_handed_over(engine: OddEngine, connection: Connection) -> None:
    engine.behaviour = answering(response("200 OK", b""))
    with pytest.raises(ApiError, match="didn't hand the connection over"):
        connection.hijack("/exec/x/start", document={}, multiplexed=True, timeout_s=10)


UPGRADED = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"


def handed_over(engine: OddEngine, connection: Connection, said: bytes, *, multiplexed: bool = True) -> Hijacked:
    engine.behaviour = answering(UPGRADED + said)
    return connection.hijack("/exec/x/start", document={}, multiplexed=multiplexed, timeout_s=10)


def test_what_comes_with_the_handover_is_not_lost(engine: OddEngine, connection: Connection) -> None:
    with connection:
        hijacked = handed_over(engine, connection, b"\x01\0\0\0\0\0\0\x02hi\x02\0\0\0\0\0\0\x01!")
        assert [hijacked.read(10), hijacked.read(10), hijacked.read(10)] == [(1, b"hi"), (2, b"!"), (0, b"")]
        assert hijacked.ended
        hijacked.close()
        hijacked.close()


def test_a_handed_over_stream_that_ends_within_a_frame(engine: OddEngine, connection: Connection) -> None:
    hijacked = handed_over(engine, connection, b"\x01\0\0\0\0\0\0\x09hi")
    assert hijacked.read(10) == (1, b"hi")
    with pytest.raises(Unreachable, match="7 bytes early"):
        hijacked.read(10)
    hijacked.close()


def test_a_handed_over_stream_that_isnt_in_frames(engine: OddEngine, connection: Connection) -> None:
    hijacked = handed_over(engine, connection, b"plain words here", multiplexed=False)
    received = b""
    while not hijacked.ended:
        received += hijacked.read(10)[1]
    assert received == b"plain words here"
    hijacked.close()
    with pytest.raises(Unreachable, match="makes no sense"):
        handed_over(engine, connection, b"plain words here").read(10)


def test_input_and_its_end(engine: OddEngine, connection: Connection) -> None:
    received: list[bytes] = []

    def behave(link: socket.socket, head: bytes) -> None:
        link.sendall(UPGRADED)
        while piece := link.recv(65536):
            received.append(piece)
        link.sendall(b"done")

    engine.behaviour = behave
    hijacked = connection.hijack("/exec/x/start", document={}, multiplexed=False, timeout_s=10)
    assert hijacked.read(0) == (0, b"")
    assert not hijacked.ended
    hijacked.write(b"in" * 50_000)
    hijacked.end_input()
    hijacked.end_input()
    assert hijacked.read(10) == (1, b"done")
    assert b"".join(received).endswith(b"in" * 50_000)
    with pytest.raises(Unreachable):
        hijacked.write(b"more")
    hijacked.close()


def test_frames_of_a_log(engine: OddEngine, connection: Connection) -> None:
    engine.behaviour = answering(response("200 OK", b"\x01\0\0\0\0\0\0\x02hi\x02\0\0\0\0\0\0\x01!"))
    with Libpod(connection).containers.logs("x") as log:
        assert list(log) == [Chunk(1, b"hi"), Chunk(2, b"!")]


def test_an_error_in_the_middle_of_a_pull(engine: OddEngine, connection: Connection) -> None:
    engine.behaviour = answering(response("200 OK", b'{"stream":"Trying\\n"}\n{"error":"no such registry"}\n'))
    said: list[str] = []
    with pytest.raises(ApiError, match="no such registry"):
        Libpod(connection).images.pull("registry/x", progress=said.append)
    assert said == ["Trying"]
