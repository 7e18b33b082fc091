"""A way by ssh to the hosts of a lab: a real ssh and a real sshd, and a key that is made for it.

There is no daemon and no port. For each connection ssh starts an sshd of its own in the host's namespaces and talks to
it through a pipe, so that nothing is left when the connection ends, and nothing is reached that isn't in the lab.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from .errors import LabError
from .node import Node
from .plan import SSHD

__all__ = ["Ssh"]

_SERVER = """\
HostKey {folder}/host
AuthorizedKeysFile {folder}/allowed
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
PidFile none
"""

_CLIENT = """\
Host {name}
    User root
    HostKeyAlias {name}
    ProxyCommand {proxy}
"""

_EVERYWHERE = """\
Host *
    IdentityFile {folder}/key
    IdentitiesOnly yes
    UserKnownHostsFile {folder}/known
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
"""

# An sshd has a user for what comes before the login, and lets nobody in whose account is locked.
_PREPARE = """
grep -q '^sshd:' /etc/passwd || echo 'sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin' >>/etc/passwd
sed -i 's/^root:[^:]*:/root:*:/' /etc/shadow
mkdir -p -m 0755 /run/sshd
"""


class Ssh:
    """Lets whoever has `path` first on its search path in, as root, on each of the nodes by its name.

    `folder` must be one that the nodes see under the same path, as the lab's shared one is. Raises `LabError` when
    this machine has no ssh or no sshd.
    """

    def __init__(self, nodes: Sequence[Node], folder: Path) -> None:
        program = shutil.which("ssh")
        server = SSHD / "usr/sbin/sshd"
        if program is None or not server.is_file():
            missing = server if program else "ssh"
            raise LabError(f"missing: {missing}; run {Path(__file__).with_name('setup.sh')}")
        folder.mkdir()
        self.folder = folder
        for name in ("key", "host"):
            words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name)]
            subprocess.run(words, check=True, stdin=subprocess.DEVNULL)
        (folder / "server").write_text(_SERVER.format(folder=folder))
        self.let_in()
        self.know([node.name for node in nodes])
        libraries = f"{SSHD}/usr/lib/x86_64-linux-gnu"
        sections = []
        for node in nodes:
            node.run(["sh", "-c", _PREPARE])
            argv = ["env", f"LD_LIBRARY_PATH={libraries}", str(server), "-i", "-f", str(folder / "server")]
            proxy = shlex.join(node.command(argv)).replace("%", "%%")
            sections.append(_CLIENT.format(name=node.name, proxy=proxy))
        (folder / "client").write_text("".join(sections) + _EVERYWHERE.format(folder=folder))
        (folder / "bin").mkdir()
        wrapper = folder / "bin" / "ssh"
        wrapper.write_text(f'#!/bin/sh\nexec {shlex.quote(program)} -F {shlex.quote(str(folder / "client"))} "$@"\n')
        wrapper.chmod(0o755)

    @property
    def path(self) -> str:
        """The search path on which this ssh is found first."""
        return f"{self.folder / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"

    def let_in(self) -> None:
        """Let the key in."""
        shutil.copyfile(self.folder / "key.pub", self.folder / "allowed")

    def keep_out(self) -> None:
        """Let nobody in from now on."""
        (self.folder / "allowed").write_text("")

    def know(self, names: Sequence[str]) -> None:
        """Have the client know the hosts of these names, and no others."""
        key = (self.folder / "host.pub").read_text().strip()
        (self.folder / "known").write_text("".join(f"{name} {key}\n" for name in names))
