"""What a URL may say, and which address of libvirt's it becomes."""

from __future__ import annotations

import subprocess
import sys

import pytest
from vhal_libvirt import vhal_backend
from vhal_libvirt.address import checked, libvirt_uri
from vhal_libvirt.options import LibvirtMigrationOptions

from vhal.driver import HostUrl
from vhal.errors import InvalidSpec, InvalidUrl

GOOD = {
    "libvirt:///system": "qemu:///system",
    "libvirt:///session": "qemu:///session",
    "libvirt+unix:///system?socket=/run/x/libvirt-sock": "qemu+unix:///system?socket=/run/x/libvirt-sock",
    "libvirt+tls://host.example.org/system": "qemu+tls://host.example.org/system",
    "libvirt+tls://host:16514/system": "qemu+tls://host:16514/system",
    "libvirt+tls://[fe80::1]/system": "qemu+tls://[fe80::1]/system",
    "libvirt+ssh://me@host:22/system": "qemu+ssh://me@host:22/system?no_tty=1",
    "libvirt+ssh://host/session": "qemu+ssh://host/session?no_tty=1",
    "libvirt+tcp://10.0.0.1/system?plaintext=yes": "qemu+tcp://10.0.0.1/system",
    "libvirt+test:///default": "test:///default",
}

BAD = [
    "libvirt://host/system",
    "libvirt:///default",
    "libvirt:///system?socket=/x",
    "libvirt:///etc/passwd",
    "libvirt+unix:///system",
    "libvirt+unix:///system?socket=relative",
    "libvirt+unix:///system?socket=/a/../b",
    "libvirt+unix:///system?socket=/a%26command=/bin/sh",
    "libvirt+unix:///system?socket=/" + "a" * 107,
    "libvirt+unix://host/system?socket=/x",
    "libvirt+tls:///system",
    "libvirt+tls://host/session",
    "libvirt+tls://host/system?no_verify=1",
    "libvirt+tls://host/system?pkipath=/tmp",
    "libvirt+tls://me@host/system",
    "libvirt+ssh://host/system?command=/bin/sh",
    "libvirt+ssh://host/system?netcat=/bin/sh",
    "libvirt+ssh://host/system?keyfile=/x",
    "libvirt+ssh://host/system?no_verify=1",
    "libvirt+ssh://-oProxyCommand=x/system",
    "libvirt+ssh://me:password@host/system",
    "libvirt+tcp://host/system",
    "libvirt+tcp://host/system?plaintext=no",
    "libvirt+tcp://host/system?plaintext=yes&command=/bin/sh",
    "libvirt+ext:///system?command=/bin/sh",
    "libvirt+libssh://host/system",
    "libvirt+test:///system",
    "mock:///a",
    "qemu:///system",
]


@pytest.mark.parametrize(("url", "uri"), GOOD.items())
def test_a_good_url_becomes_libvirts_address(url: str, uri: str) -> None:
    assert libvirt_uri(checked(url)) == uri


@pytest.mark.parametrize("url", BAD)
def test_anything_else_is_refused(url: str) -> None:
    with pytest.raises(InvalidUrl):
        checked(url)


@pytest.mark.parametrize("url", vhal_backend().examples)
def test_the_examples_are_good(url: str) -> None:
    backend = vhal_backend()
    libvirt_uri(HostUrl.parse(url).check(backend.transports, backend.path))


@pytest.mark.parametrize(
    "peer", ["libvirt+ssh://h/system?command=/bin/sh", "qemu+tcp://h/system", "libvirt+test:///default"]
)
def test_a_peer_is_checked_like_any_url(peer: str) -> None:
    with pytest.raises(InvalidSpec):
        LibvirtMigrationOptions(peer=peer)


def test_importing_the_plugin_imports_no_engine() -> None:
    program = "import sys, vhal_libvirt; print(*{'libvirt', 'lxml', 'pydantic'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
