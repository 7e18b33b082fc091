"""A way to an engine's socket on another host, through ssh.

ssh is run with arguments that are fixed but for user, host, port and the socket's path; it asks nobody anything, and
uses the keys and known hosts of the user's own ssh configuration.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import tempfile
import threading
import time
import weakref
from pathlib import Path

from vhal_containers.api.errors import Denied, Unreachable

OPEN_S = 20.0
"""An ssh that hasn't forwarded the socket by then won't."""
_CONNECT_S = 10
_ALIVE_INTERVAL_S = 5
_ALIVE_COUNT = 3
_LOOK_S = 0.02
_END_S = 5.0
_WORDS_MOST = 4096

# ssh expands % and ${ in these paths, and splits them at ':'.
_SOCKET = re.compile(r"/[A-Za-z0-9_./@+-]{1,106}")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?|[0-9A-Fa-f:.]{2,45}")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_REFUSALS = ("Permission denied", "Host key verification failed", "Too many authentication failures")

_LET_IN = "have ssh get in without asking: a key that the host lets in, and the host's own key in known_hosts"
_REACH = "try ssh to that host by hand; name, port and user may also be set in ssh's configuration"


class Tunnel:
    """One ssh process that forwards a local socket, in a folder that only we can enter. Safe for several threads.

    Args:
        host: Name or address, without brackets.
        user: Whom to log in as, or None for what ssh's configuration says.
        port: The same, for the port.
        socket: Absolute path of the engine's socket over there.

    Raises:
        ValueError: One of them isn't what it must be.
    """

    def __init__(self, host: str, socket: str, *, user: str | None = None, port: int | None = None) -> None:
        if not _HOST.fullmatch(host):
            raise ValueError(f"{host!r} is no host's name or address")
        if not _SOCKET.fullmatch(socket):
            raise ValueError(f"{socket!r} is no path of a socket that can be forwarded")
        if user is not None and not _USER.fullmatch(user):
            raise ValueError(f"{user!r} is no user's name")
        if port is not None and not 0 < port < 65536:
            raise ValueError(f"{port} is no port")
        self.host = host
        self._remote = socket
        self._user = user
        self._port = port
        self._lock = threading.Lock()
        self._closed = False
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = Path(tempfile.mkdtemp(prefix="vhal-"))
        self.socket = self._folder / "engine"
        self._words = self._folder / "words"
        self._finish = weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)

    def open(self) -> None:
        """Have the socket forwarded; nothing is done if it is.

        Raises:
            Denied: ssh isn't let in.
            Unreachable: There is no ssh, the host can't be reached, or the tunnel was closed.
        """
        process = self._process
        if process is not None and process.poll() is None and not self._closed:
            return
        with self._lock:
            if self._closed:
                raise Unreachable("the connection was closed")
            if self._process is None or self._process.poll() is not None:
                self._start()

    def complaint(self) -> str:
        """Return the last line that ssh said, or ``""``."""
        with contextlib.suppress(OSError):
            said = self._words.read_bytes()[-_WORDS_MOST:].decode(errors="replace")
            lines = [line.strip() for line in said.splitlines() if line.strip()]
            return lines[-1] if lines else ""
        return ""

    def close(self) -> None:
        """End ssh and remove the folder. Idempotent; never raises."""
        self._closed = True
        with self._lock:
            if self._process is not None:
                _end(self._process)
            self._finish()

    def argv(self) -> list[str]:
        """Return the command that forwards the socket."""
        return [
            "ssh",
            "-N",
            "-T",
            "-oBatchMode=yes",
            "-oExitOnForwardFailure=yes",
            f"-oConnectTimeout={_CONNECT_S}",
            f"-oServerAliveInterval={_ALIVE_INTERVAL_S}",
            f"-oServerAliveCountMax={_ALIVE_COUNT}",
            # A shared connection would outlive this process, and the forwarding with it.
            "-oControlMaster=no",
            "-oControlPath=none",
            "-oPermitLocalCommand=no",
            "-oForwardAgent=no",
            "-oForwardX11=no",
            *(("-l", self._user) if self._user is not None else ()),
            *(("-p", str(self._port)) if self._port is not None else ()),
            "-L",
            f"{self.socket}:{self._remote}",
            "--",
            self.host,
        ]

    def _start(self) -> None:
        # ssh doesn't forward to a path that is taken, and the last one may have had no time to tidy up.
        self.socket.unlink(missing_ok=True)
        try:
            with self._words.open("wb") as words:
                process = subprocess.Popen(
                    self.argv(),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=words,
                    # Ctrl-C in a terminal is for the program, which may still need the engine to tidy up.
                    start_new_session=True,
                )
        except FileNotFoundError:
            raise Unreachable("there is no ssh on this machine; install OpenSSH's client") from None
        except OSError as error:
            raise Unreachable(f"ssh can't be run: {error}") from error
        self._process = process
        weakref.finalize(self, _end, process)
        deadline = time.monotonic() + OPEN_S
        while not self.socket.is_socket():
            if self._closed or time.monotonic() > deadline:
                _end(process)
                reason = "the connection was closed" if self._closed else f"no answer within {OPEN_S:g} s"
                raise Unreachable(f"ssh to {self.host}: {reason}", remedy=_REACH)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_LOOK_S)
                raise self._refused(process.returncode)

    def _refused(self, code: int) -> Unreachable:
        complaint = self.complaint() or f"it ended with {code}"
        if any(refusal in complaint for refusal in _REFUSALS):
            return Denied(f"ssh to {self.host}: {complaint}", remedy=_LET_IN)
        return Unreachable(f"ssh to {self.host}: {complaint}", remedy=_REACH)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
