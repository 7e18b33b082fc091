"""What people get wrong, on the simulator and on real hosts: one typed error with a hint, and nothing left behind."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import vhal
from tests.scenarios.conftest import Pair
from tests.testbed import Lab, wait_until
from vhal.driver import CREATE
from vhal.errors import (
    AlreadyExists,
    HostUnreachable,
    ImageRejected,
    InsufficientResources,
    InvalidSpec,
    InvalidState,
    InvalidUrl,
    MigrationRefused,
    NotFound,
    PluginError,
)

BAD_NAMES = ["..", "a..b", "a/b", "/etc", "a\nb", "a b", "<x/>", "a&b", "a'b", 'a"b', "-x", "", "a" * 64, "ä", "a\x00"]

BAD_URLS = [
    ("nothing:///x", PluginError),
    ("libvirt", NotFound),
    ("libvirt:/system", InvalidUrl),
    ("libvirt:///nowhere", InvalidUrl),
    ("libvirt+ext:///system?command=/bin/true", InvalidUrl),
    ("libvirt+ssh://h/system?command=/bin/true", InvalidUrl),
    ("libvirt+ssh://h/system?netcat=/bin/true", InvalidUrl),
    ("libvirt+ssh://h/system?keyfile=/root/.ssh/id", InvalidUrl),
    ("libvirt+ssh://-oProxyCommand=x/system", InvalidUrl),
    ("libvirt+tls://h/system?no_verify=1", InvalidUrl),
    ("libvirt+tls://h/system?pkipath=/tmp", InvalidUrl),
    ("libvirt+tcp://127.0.0.1/system", InvalidUrl),
    ("libvirt+unix:///system", InvalidUrl),
    ("libvirt+unix:///system?socket=/tmp/../x", InvalidUrl),
    ("libvirt+unix:///system?socket=/nowhere/sock", HostUnreachable),
    ("libvirt+tcp://127.0.0.1:1/system?plaintext=yes", HostUnreachable),
    ("mock:///nowhere", NotFound),
    ("mock:///a?x=y", InvalidUrl),
]


@pytest.fixture
def host(pair: Pair) -> Iterator[vhal.Host]:
    with vhal.connect(pair.a) as host:
        yield host
        leftovers = [machine.name for machine in host.machines() if machine.name != "there"]
        assert leftovers == []


def refused(error: type[vhal.VhalError], call: Callable[[], object]) -> vhal.VhalError:
    with pytest.raises(error) as caught:
        call()
    assert type(caught.value) is error
    assert caught.value.hint, caught.value
    return caught.value


@pytest.mark.parametrize(("url", "error"), BAD_URLS)
def test_a_bad_url(url: str, error: type[vhal.VhalError]) -> None:
    refused(error, lambda: vhal.connect(url))


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_bad_name_never_reaches_an_engine(name: str) -> None:
    error = refused(InvalidSpec, lambda: vhal.MachineSpec(name=name))
    assert isinstance(error, InvalidSpec)
    assert [path for path, _ in error.problems] == ["name"]


def test_a_taken_name(pair: Pair, host: vhal.Host) -> None:
    host.create(pair.spec("there"))
    refused(AlreadyExists, lambda: host.create(pair.spec("there")))


def test_more_than_the_host_has(pair: Pair, host: vhal.Host) -> None:
    spec = pair.spec("huge").replace(memory="100TiB")
    error = refused(InsufficientResources, lambda: host.create(spec))
    assert error.retryable
    answer = host.can(CREATE, spec)
    assert not answer
    assert answer.blockers[0].remedy


def test_options_that_the_backend_does_not_know(pair: Pair, host: vhal.Host) -> None:
    spec = pair.spec("odd").replace(options={host.backend: {"nonsense": 1}})
    error = refused(InvalidSpec, lambda: host.create(spec))
    assert isinstance(error, InvalidSpec)
    assert [path for path, _ in error.problems] == [f"options.{host.backend}.nonsense"]


def test_a_wrong_state(pair: Pair, host: vhal.Host) -> None:
    vm = host.create(pair.spec("there"))
    refused(InvalidState, vm.stop)
    refused(InvalidState, vm.pause)
    refused(InvalidState, vm.restore)
    vm.delete()
    refused(NotFound, vm.start)
    refused(NotFound, lambda: host.machine("there"))


def test_a_move_to_where_the_name_is_taken(pair: Pair, host: vhal.Host) -> None:
    with vhal.connect(pair.b) as other:
        vm, taken = host.create(pair.spec("there")), other.create(pair.spec("there"))
        error = refused(MigrationRefused, lambda: vm.migrate(other))
        assert isinstance(error, MigrationRefused)
        assert all(blocker.remedy for blocker in error.blockers)
        assert vm.state() == taken.state() == "stopped"


# What only a real host can get wrong


def test_a_missing_disk_or_kernel(real: Pair) -> None:
    with vhal.connect(real.a) as host:
        for change in (
            {"disks": [vhal.Disk(path="/nowhere/disk.qcow2")]},
            {"boot": vhal.BootKernel(kernel="/nowhere/vmlinuz")},
            {"disks": [vhal.Disk(size="1MiB", pool="nowhere")]},
        ):
            spec = real.spec("lost").replace(**change)
            refused(NotFound, lambda spec=spec: host.create(spec))  # type: ignore[misc]
        assert host.machines() == []


@pytest.fixture
def folder(lab: Lab) -> Iterator[Path]:
    place = lab.shared / "images"
    place.mkdir()
    yield place
    shutil.rmtree(place)


def test_a_hostile_image(real: Pair, folder: Path) -> None:
    secret = folder / "secret.raw"
    secret.write_bytes(b"root:x:0:0" + bytes(4096))

    def image(name: str, *options: str) -> Path:
        path = folder / name
        subprocess.run(["qemu-img", "create", "-q", *options, str(path), "1M"], check=True)
        return path

    backed = image("backed.qcow2", "-f", "qcow2", "-b", str(secret), "-F", "raw")
    outside = image("outside.qcow2", "-f", "qcow2", "-o", f"data_file={folder / 'data.raw'}")
    plain = image("plain.qcow2", "-f", "qcow2")
    cut = folder / "cut.qcow2"
    cut.write_bytes(plain.read_bytes()[:20])
    cases = [
        (backed, "qcow2"),  # reads another file of the host
        (outside, "qcow2"),  # writes another file of the host
        (plain, "raw"),  # a raw disk that says it is qcow2: some tool would believe it
        (secret, "qcow2"),
        (cut, "qcow2"),
    ]
    with vhal.connect(real.a) as host:
        for path, declared in cases:
            disk = vhal.Disk(path=str(path), format=declared)
            spec = real.spec("hostile").replace(disks=[disk])
            refused(ImageRejected, lambda spec=spec: host.create(spec))  # type: ignore[misc]
        assert host.machines() == []
        # And what is as it says is taken.
        vm = host.create(real.spec("there").replace(disks=[vhal.Disk(path=str(plain))]))
        vm.delete()
        assert plain.exists()


def test_a_host_that_dies_and_comes_back(real: Pair) -> None:
    assert real.lab is not None
    place = real.lab.hosts[0]
    with vhal.connect(real.a) as host:
        vm = host.create(real.spec("there"))
        vm.start()
        place.signal_daemon(signal.SIGKILL)
        error = refused(HostUnreachable, vm.info)
        assert error.retryable
        place.start_daemon()
        wait_until(lambda: vm.state() == "running", deadline=30, what="the machine, seen again")
