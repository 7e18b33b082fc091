"""What a lab is made of: names, addresses and paths, shared by both of its sides."""

from __future__ import annotations

import json
import string
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = ["MOST_HOSTS", "HostPlan", "LabPlan"]

MOST_HOSTS = len(string.ascii_lowercase)


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
class LabPlan:
    """A whole lab: its folder and hosts."""

    folder: Path
    hosts: tuple[HostPlan, ...]

    @property
    def control(self) -> Path:
        """The unix socket of the supervisor."""
        return self.folder / "control"

    @property
    def shared(self) -> Path:
        """The folder which all hosts see."""
        return self.folder / "shared"

    @classmethod
    def new(cls, folder: Path, hosts: int) -> LabPlan:
        """Plan at most `MOST_HOSTS` hosts, named `a`, `b` and so on."""
        return cls(
            folder,
            tuple(
                HostPlan(name, f"10.99.0.{number}", str(uuid.uuid4()), folder / name)
                for number, name in enumerate(string.ascii_lowercase[:hosts], 1)
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
        )
