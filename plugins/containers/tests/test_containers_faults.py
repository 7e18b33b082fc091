"""Engines that aren't there, don't answer, are too old, or are none."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from typing import Any

import pytest
from vhal_containers import doctor, engine

from vhal.errors import AccessDenied, HostUnreachable, Unsupported
from vhal.host import connect

from . import containers_place
from .containers_place import Place

place = containers_place.place


@pytest.fixture
def folder() -> Iterator[Path]:
    # A socket's path has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="vc-") as where:
        yield Path(where)


class _Server(ThreadingUnixStreamServer):
    daemon_threads = True
    answers: dict[str, tuple[int, Any]]
    version: str


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        answers = self.server.answers  # type: ignore[attr-defined]
        known = [path for path in answers if self.path.endswith(path)]
        status, said = answers[known[0]] if known else (404, {"message": "page not found"})
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if version := self.server.version:  # type: ignore[attr-defined]
            self.send_header("Libpod-API-Version", version)
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "local"

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _serve(path: Path, answers: dict[str, tuple[int, Any]], version: str = "") -> _Server:
    server = _Server(str(path), _Handler)
    server.answers, server.version = answers, version
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def test_no_engine(folder: Path) -> None:
    with pytest.raises(HostUnreachable) as caught:
        connect(f"containers+unix://{folder}/none.sock")
    assert caught.value.hint


def test_nobody_listens(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as link:
        link.bind(str(folder / "dead.sock"))
    with pytest.raises(HostUnreachable):
        connect(f"containers+unix://{folder}/dead.sock")


def test_one_that_accepts_and_says_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "OPEN_S", 0.3)
    with socket.socket(socket.AF_UNIX) as link:
        link.bind(str(folder / "mute.sock"))
        link.listen()
        with pytest.raises(HostUnreachable, match="said nothing"):
            connect(f"containers+unix://{folder}/mute.sock")


@pytest.mark.parametrize("version", ["4.2.1", "3.4.4", "0.0.0"])
def test_one_that_is_too_old(folder: Path, version: str) -> None:
    server = _serve(folder / "old.sock", {"/_ping": (200, "OK")}, version)
    with pytest.raises(Unsupported, match="too old"):
        connect(f"containers+unix://{folder}/old.sock")
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("answers", [{}, {"/_ping": (200, "OK")}])
def test_one_that_is_no_podman(folder: Path, answers: dict[str, tuple[int, Any]]) -> None:
    server = _serve(folder / "other.sock", answers)
    with pytest.raises(Unsupported, match="no podman"):
        connect(f"containers+unix://{folder}/other.sock")
    server.shutdown()
    server.server_close()


def test_one_that_lets_nobody_in(place: Place) -> None:
    # Root may open any socket; so somebody else tries, in a process of its own.
    pid = os.fork()
    if pid == 0:
        code = 9
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            connect(place.node.url)
        except AccessDenied as error:
            code = 0 if error.hint else 1
        except BaseException:  # noqa: BLE001 - nothing may get out of the child
            code = 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_one_that_dies_is_unreachable_and_comes_back(place: Place) -> None:
    machine = place.host.create(place.spec("m"))
    machine.start()
    place.node.signal_service(signal.SIGKILL)
    try:
        with pytest.raises(HostUnreachable):
            machine.info()
    finally:
        place.node.start_service()
    assert machine.state().active


def test_a_closed_host_answers_nothing(place: Place) -> None:
    place.driver.close()
    place.driver.close()
    with pytest.raises(HostUnreachable):
        _translated(place)


def _translated(place: Place) -> None:
    try:
        place.driver.machines()
    except Exception as error:
        ours = place.driver.translate(error)
        assert ours is not None
        raise ours from error


def test_importing_the_plugin_loads_no_client() -> None:
    code = (
        "import sys, vhal_containers; vhal_containers.vhal_backend(); print([m for m in sys.modules if m in sys.argv])"
    )
    heavy = ["pydantic", "httpcore2", "ssl", "vhal_containers.api", "vhal_containers.driver"]
    said = subprocess.run([sys.executable, "-c", code, *heavy], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "[]"


def test_the_doctor_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("vhal_containers.address.ROOT_SOCKET", str(tmp_path / "none.sock"))
    monkeypatch.setattr(doctor, "_PLACES", "")
    monkeypatch.setenv("PATH", "")
    found = {finding.subject: finding for finding in doctor.findings()}
    assert not found["podman"].ok
    assert "setup.sh" in found["podman"].remedy
    assert not found["CRIU"].ok
    assert "setup.sh" in found["CRIU"].remedy


@pytest.mark.parametrize(("version", "ok"), [("3.17.1", False), ("4.1", False), ("4.2", True), ("5.0", True)])
def test_the_doctor_knows_which_criu_is_new_enough(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str, ok: bool
) -> None:
    program = tmp_path / "criu"
    program.write_text(f"#!/bin/sh\necho Version: {version}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    found = {finding.subject: finding for finding in doctor.findings()}
    assert found["CRIU"].ok is ok


def test_the_doctor_never_faints() -> None:
    found = doctor.findings()
    assert {"podman", "CRIU", "limits"} <= {finding.subject for finding in found}
    assert all(finding.remedy for finding in found if not finding.ok)


def test_the_doctor_of_an_engine_that_works(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vhal_containers.address.ROOT_SOCKET", place.driver.engine.address.socket)
    found = {finding.subject: finding for finding in doctor.findings()}
    assert found["podman"].ok
    assert found["runtime"].ok
    assert found["control groups"].ok
    assert found["networks"].ok
    assert found["CRIU"].ok
