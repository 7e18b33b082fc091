"""One podman engine: the way to it, who its host is, and what hardly changes about it.

It knows no machines; those are :mod:`vhal_containers.inventory`'s.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

from vhal.driver import HostUrl
from vhal.errors import Unsupported
from vhal_containers.address import Address, address
from vhal_containers.api import ApiError, Connection, Docker, Libpod
from vhal_containers.api.docker import SPOKEN, api_version
from vhal_containers.api.types import EngineInfo, EngineVersion
from vhal_containers.identity import PREFIX

HOST_VOLUME = "vhal-host"
"""Name of the volume whose label is the host's uuid: podman has none of its own.

Docker has one, but in some versions it is no uuid, in some it is in a file that several daemons share, and it became
another one between them. The volume lies where the machines lie, for both.

Who prunes volumes deletes it; the host is another one for whoever connects after that.
"""
HOST_LABEL = f"{PREFIX}host"

OLDEST = (4, 3)
"""The oldest version of podman that is used here."""
OPEN_S = 20.0
"""An engine that hasn't answered by then won't. One that systemd starts when it is called needs some seconds."""

_SEEN_S = 1.0

NOT_FOUND = 404
_REFUSED = (400, 404, 405)
_PARTS = ("containerd", "runc", "crun")
_ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64", "386": "i686"}
_NUMBERS = re.compile(r"(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True)
class Facts:
    """What an engine said about itself and its host."""

    info: EngineInfo
    versions: Mapping[str, str] = field(default_factory=dict)
    """Part → version: podman, its runtime by its name, conmon, kernel."""

    @property
    def name(self) -> str:
        """The host's name."""
        return self.info.hostname

    @property
    def architecture(self) -> str:
        """As the kernel calls it: ``x86_64``."""
        return _ARCHITECTURES.get(self.info.architecture, self.info.architecture)


class Engine:
    """A connection to one engine. Safe to use from several threads. Made by :meth:`open`.

    Attributes:
        url: What it was opened with.
        address: Where it listens.
        api: What can be asked of it.
        host_id: The host's uuid.

    Args:
        url: As above.
        where: As above.
        api: How podman would be asked. Where it is docker, :attr:`api` is another one.
    """

    def __init__(self, url: HostUrl, where: Address, api: Libpod) -> None:
        self.url = url
        self.address = where
        self._lock = threading.Lock()
        self._facts: Facts | None = None
        self._image = ("", 0.0)
        self.api, self._version = _supported(api)
        self.host_id = _host_id(self.api)

    @classmethod
    def open(cls, url: HostUrl) -> Engine:
        """Return the engine that a checked URL leads to. Blocks until it has answered.

        Raises:
            vhal.errors.InvalidUrl: The URL's parts don't fit each other.
            vhal.errors.Unsupported: It is too old, or neither podman nor docker.
            vhal_containers.api.Unreachable: It isn't there, or doesn't let us in.
        """
        where = address(url)
        if where.host is None:
            connection = Connection(where.socket)
        else:
            connection = Connection.over_ssh(where.host, where.socket, user=where.user, port=where.port)
        try:
            return cls(url, where, Libpod(connection))
        except BaseException:
            connection.close()
            raise

    @property
    def name(self) -> str:
        """The host's name."""
        return self.facts().name

    @property
    def kind(self) -> str:
        """Which engine it is: ``"podman"`` or ``"docker"``."""
        return self.api.kind

    @property
    def api_version(self) -> tuple[int, int]:
        """The newest version of its API."""
        return api_version(self._version.api)

    @property
    def version(self) -> tuple[int, int]:
        """The engine's version, its first two numbers."""
        return _numbers(self._version.version)

    def facts(self) -> Facts:
        """Return what the engine says about itself; asked once."""
        facts = self._facts
        if facts is None:
            facts = Facts(info := self.api.info(), _versions(self.kind, info, self._version))
            with self._lock:
                self._facts = facts
        return facts

    def forget(self) -> None:
        """Ask for the facts again next time: the engine may have been restarted, as another version."""
        with self._lock:
            self._facts = None
        with contextlib.suppress(ApiError):
            self._version = self.api.version()

    def remove_volume(self, name: str) -> bool:
        """Delete a volume with all that is in it; return False if there is none.

        Raises:
            vhal_containers.api.ApiError: A container uses it.
        """
        try:
            self.api.volumes.remove(name)
        except ApiError as error:
            if error.status == NOT_FOUND:
                return False
            raise
        return True

    def has_image(self, name: str) -> bool:
        """Return whether the image is in the engine's store; of one that was there a moment ago it isn't asked again.

        Whoever makes many machines makes them of few images. That one was removed meanwhile, the engine says.
        """
        seen, seen_at = self._image
        if seen == name and time.monotonic() - seen_at < _SEEN_S:
            return True
        there = self.api.images.exists(name)
        if there:
            self._image = (name, time.monotonic())
        return there

    def close(self) -> None:
        """Let go of the engine. Idempotent; never raises."""
        self.api.connection.close()


def version_numbers(text: str) -> tuple[int, int]:
    """Return the first two numbers of a version; zeros where there are none."""
    return _numbers(text)


def _supported(api: Libpod) -> tuple[Libpod, EngineVersion]:
    """Return the engine as it wants to be asked, and its version.

    Raises:
        vhal.errors.Unsupported: It is too old, or another one.
    """
    api_is_there = True
    try:
        version = api.version(timeout_s=OPEN_S)
    except ApiError as error:
        if error.status not in _REFUSED:
            raise
        api_is_there = False
    if not api_is_there and (docker := _docker(api.connection)) is not None:
        return docker, docker.version()
    if not api_is_there or not version.version:
        raise Unsupported(
            "what listens there is no podman, or one before 4.0, and no docker",
            hint=f"use podman {_dotted(OLDEST)} or later, or docker; the sockets of other engines aren't understood",
            backend="containers",
        )
    if _numbers(version.version) < OLDEST:
        raise Unsupported(
            f"podman {version.version} is too old",
            hint=f"use podman {_dotted(OLDEST)} or later",
            backend="containers",
        )
    return api, version


def _docker(connection: Connection) -> Docker | None:
    try:
        found = Docker.behind(connection, timeout_s=OPEN_S)
    except ApiError:
        return None  # it has no version that it would tell
    if found is None:
        return None
    version = found.version()
    if api_version(version.api) < SPOKEN:
        raise Unsupported(
            f"docker {version.version} is too old: its API is {version.api}",
            hint=f"use docker 20.10 or later, whose API is {_dotted(SPOKEN)}",
            backend="containers",
        )
    return found


def _host_id(api: Libpod) -> str:
    for _ in range(3):
        try:
            known = api.volumes.inspect(HOST_VOLUME).labels.get(HOST_LABEL, "")
        except ApiError as error:
            if error.status != NOT_FOUND:
                raise
        else:
            if known:
                return known
            raise Unsupported(
                f"the engine has a volume {HOST_VOLUME!r} that isn't vhal's, which is needed to know the host again",
                hint=f"copy what is in it elsewhere, and remove it ({api.kind} volume rm {HOST_VOLUME})",
                backend="containers",
            )
        made = str(uuid.uuid4())
        try:
            api.volumes.create(HOST_VOLUME, labels={HOST_LABEL: made})
        except ApiError as error:
            # Somebody else connected for the first time at the same moment; theirs counts.
            if not name_taken(error):
                raise
        else:
            return made
    raise Unsupported(
        f"the volume {HOST_VOLUME!r} is deleted again and again",
        hint="find out by whom; without it the host can't be known again",
        backend="containers",
    )


def name_taken(error: ApiError) -> bool:
    """Return whether the engine says that there is a volume, network or container of that name."""
    return any(words in f"{error.cause} {error.message}" for words in ("already exists", "already in use"))


def _versions(kind: str, info: EngineInfo, version: EngineVersion) -> dict[str, str]:
    # Docker tells the versions of its parts by their names; podman in sentences.
    found = {name: said for name, said in version.parts.items() if name in _PARTS}
    found |= {kind: version.version, "kernel": info.kernel}
    runtime = re.search(r"version (\S+)", info.runtime_version)
    if info.runtime and runtime:
        found[info.runtime] = runtime[1]
    conmon = re.search(r"version ([0-9][^\s,]*)", info.conmon_version)
    if conmon:
        found["conmon"] = conmon[1]
    return {part: said for part, said in found.items() if said}


def _numbers(text: str) -> tuple[int, int]:
    match = _NUMBERS.search(text)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
