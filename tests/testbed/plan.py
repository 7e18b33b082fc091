"""What a lab is made of: names, addresses and paths, shared by both of its sides."""

from __future__ import annotations

import json
import string
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = ["CRIU", "DOCKER", "MOST_HOSTS", "SSHD", "EnginePlan", "HostPlan", "LabPlan"]

MOST_HOSTS = len(string.ascii_lowercase)

CRIU = Path("/opt/vhal-criu/bin/criu")
"""Where the containers plugin's `setup.sh` puts it."""

DOCKER = Path("/opt/vhal-docker")
"""Where `setup.sh` unpacks docker, which is not installed: its package would start one for the machine itself."""

SSHD = Path("/opt/vhal-sshd")
"""Where `setup.sh` unpacks sshd, for the same reason."""

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class HostPlan:
    """One host: its place in the lab, and where its files are."""

    name: str
    ip: str
    uuid: str
    folder: Path

    @property
    def socket(self) -> Path:
        """The unix socket of the host's libvirtd."""
        return self.folder / "libvirt-sock"

    @property
    def log(self) -> Path:
        """What the host's libvirtd logs."""
        return self.folder / "log" / "libvirtd.log"

    @property
    def output(self) -> Path:
        """What the host's libvirtd prints, mostly when it cannot start."""
        return self.folder / "log" / "output.log"

    @property
    def port(self) -> str:
        """The lab's end of the cable between the host's bridge and the lab's bridge."""
        return f"port-{self.name}"


@dataclass(frozen=True)
class EnginePlan:
    """One container host: its place in the lab, and where its files are. Its engine is podman or docker."""

    name: str
    ip: str
    folder: Path
    kind: str = "podman"

    @property
    def service(self) -> Path:
        """The folder of the API service, at the same path inside and outside."""
        return self.folder / "api"

    @property
    def socket(self) -> Path:
        """The unix socket of the API service."""
        return self.service / f"{self.kind}.sock"

    @property
    def log(self) -> Path:
        """What the API service prints."""
        return self.service / f"{self.kind}.log"

    @property
    def port(self) -> str:
        """The lab's end of the cable to the engine's network card."""
        return f"port-{self.name}"

    @property
    def group(self) -> str:
        """The engine's control group, in each of the machine's hierarchies."""
        return f"{self.folder.parent.name}.{self.name}"

    @property
    def store(self) -> Path:
        """The folder in which the engine keeps what it has, as it is named inside."""
        return Path("/var/lib/containers" if self.kind == "podman" else "/var/lib/docker")

    @property
    def command(self) -> list[str]:
        """What starts the API service."""
        if self.kind == "podman":
            return ["podman", "system", "service", "--time=0", f"unix://{self.socket}"]
        return [
            "dockerd",
            f"--host=unix://{self.socket}",
            f"--data-root={self.store}",
            # Short-lived, and so in memory: when the lab has gone it has gone too.
            "--exec-root=/run/docker",
            "--pidfile=/run/docker.pid",
            "--storage-driver=overlay2",
            "--oom-score-adjust=0",
            "--exec-opt=native.cgroupdriver=cgroupfs",
            # As with podman, containers run on when the service is killed.
            "--live-restore",
        ]

    @property
    def environment(self) -> dict[str, str]:
        """What commands on the engine find in their environment: nothing of ours."""
        if self.kind == "podman":
            return {"PATH": _PATH, "HOME": "/root", "LANG": "C.UTF-8"}
        path = f"{DOCKER}/usr/sbin:{DOCKER}/usr/bin:{_PATH}"
        return {"PATH": path, "HOME": "/root", "LANG": "C.UTF-8", "DOCKER_HOST": f"unix://{self.socket}"}


@dataclass(frozen=True)
class LabPlan:
    """A whole lab: its folder, hosts and engines."""

    folder: Path
    hosts: tuple[HostPlan, ...]
    engines: tuple[EnginePlan, ...] = ()

    @property
    def control(self) -> Path:
        """The unix socket of the supervisor."""
        return self.folder / "control"

    @property
    def shared(self) -> Path:
        """The folder which all hosts see."""
        return self.folder / "shared"

    @property
    def nodes(self) -> tuple[HostPlan | EnginePlan, ...]:
        """All hosts and engines."""
        return (*self.hosts, *self.engines)

    def names(self) -> str:
        """Return the lab's `/etc/hosts`."""
        lines = ["127.0.0.1 localhost", *(f"{node.ip} {node.name}" for node in self.nodes)]
        return "\n".join(lines) + "\n"

    @classmethod
    def new(cls, folder: Path, hosts: int, engines: int = 0, dockers: int = 0) -> LabPlan:
        """Plan at most `MOST_HOSTS` hosts, named `a`, `b` and so on.

        And as many engines: those of podman are named `pa`, `pb` and so on, those of docker `da`, `db`.
        """
        return cls(
            folder,
            tuple(
                HostPlan(name, f"10.99.0.{number}", str(uuid.uuid4()), folder / name)
                for number, name in enumerate(string.ascii_lowercase[:hosts], 1)
            ),
            tuple(
                EnginePlan(f"{kind[0]}{letter}", f"10.99.0.{number}", folder / f"{kind[0]}{letter}", kind)
                for kind, first, count in (("podman", 101, engines), ("docker", 201, dockers))
                for number, letter in enumerate(string.ascii_lowercase[:count], first)
            ),
        )

    def dump(self) -> str:
        """Write the plan as JSON, for `load`."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def load(cls, text: str) -> LabPlan:
        """Read what `dump` wrote."""
        data = json.loads(text)
        return cls(
            Path(data["folder"]),
            tuple(HostPlan(host["name"], host["ip"], host["uuid"], Path(host["folder"])) for host in data["hosts"]),
            tuple(
                EnginePlan(engine["name"], engine["ip"], Path(engine["folder"]), engine["kind"])
                for engine in data["engines"]
            ),
        )
