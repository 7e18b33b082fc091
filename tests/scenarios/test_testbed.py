"""The test bed for real: it comes up, it keeps hosts apart, and nothing is left of it."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.leftovers import assert_nothing_left, network_cards, processes_naming
from tests.testbed import CounterGuest, Host, Lab, LabError, TickCollector, TickGuest, kernel_cmdline, wait_until
from tests.testbed.control import ask_fd
from tests.testbed.guest import PORT
from tests.testbed.plan import HostPlan, LabPlan

ROOT = Path(__file__).parents[2]

OWNER = """
import sys
from tests.testbed import Lab
with Lab(1) as lab:
    print(lab.folder, flush=True)
    sys.stdin.read()
"""


def virsh(host: Host, *words: str) -> str:
    done = subprocess.run(
        ["virsh", "--connect", host.native_uri, *words], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def counter_xml(name: str, guest: CounterGuest, serial: Path, *, ip: str | None = None) -> str:
    card = "<interface type='bridge'><source bridge='br0'/><model type='virtio'/></interface>" if ip else ""
    return f"""
        <domain type='qemu'>
          <name>{name}</name>
          <memory unit='MiB'>128</memory>
          <vcpu>1</vcpu>
          <os>
            <type arch='x86_64'>hvm</type>
            <kernel>{guest.kernel}</kernel>
            <initrd>{guest.initrd}</initrd>
            <cmdline>{kernel_cmdline(ip=ip, dirty_mib=16, dirty_mib_s=4)}</cmdline>
          </os>
          <features><acpi/></features>
          <devices>
            {card}
            <serial type='file'><source path='{serial}' append='on'/></serial>
          </devices>
        </domain>"""


def tick_xml(name: str, disk: Path, collector: Path) -> str:
    return f"""
        <domain type='qemu'>
          <name>{name}</name>
          <memory unit='MiB'>64</memory>
          <vcpu>1</vcpu>
          <os><type arch='x86_64'>hvm</type><boot dev='hd'/></os>
          <devices>
            <disk type='file' device='disk'>
              <driver name='qemu' type='raw'/>
              <source file='{disk}'/>
              <target dev='vda' bus='virtio'/>
              <readonly/>
            </disk>
            <serial type='unix'><source mode='connect' path='{collector}'/></serial>
          </devices>
        </domain>"""


def define(host: Host, folder: Path, name: str, xml: str) -> None:
    path = folder / f"{name}.xml"
    path.write_text(xml)
    virsh(host, "define", str(path))
    virsh(host, "start", name)


def counts(serial: Path) -> list[int]:
    text = serial.read_text(errors="replace") if serial.exists() else ""
    return [int(number) for number in re.findall(r"^count (\d+)\r?\n", text, re.MULTILINE)]


def ask(link: socket.socket) -> int:
    link.sendall(b"?\n")
    answer = b""
    while not answer.endswith(b"\n"):
        data = link.recv(64)
        assert data, "the guest closed the connection"
        answer += data
    return int(answer.split()[1])


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab(2) as lab:
        yield lab


@pytest.fixture(scope="module")
def guest() -> CounterGuest:
    return CounterGuest.build()


class TestUp:
    def test_every_daemon_answers_with_its_own_identity(self, lab: Lab) -> None:
        for host in lab.hosts:
            assert f"<uuid>{host.uuid}</uuid>" in virsh(host, "capabilities")
            assert virsh(host, "hostname").strip() == host.name
            assert virsh(host, "list", "--all", "--name").strip() == ""
            assert virsh(host, "net-list", "--all", "--name").strip() == ""

    def test_hosts_reach_each_other_over_tcp(self, lab: Lab) -> None:
        a, b = lab.hosts
        asked = lab.run(["virsh", "--connect", b.tcp_uri, "hostname"], host=a)
        assert asked.stdout.strip() == b.name

    def test_socket_paths_are_short_enough(self, lab: Lab) -> None:
        assert all(len(os.fsencode(host.socket)) < 90 for host in lab.hosts)

    def test_the_folder_is_private(self, lab: Lab) -> None:
        assert lab.folder.stat().st_mode & 0o077 == 0

    def test_run_beside_and_on_a_host(self, lab: Lab) -> None:
        (a, _) = lab.hosts
        assert lab.run(["hostname"], host=a).stdout.strip() == a.name
        assert "port-a" in lab.run(["ip", "link"]).stdout
        assert lab.run(["cat"], input="words").stdout == "words"
        assert lab.run(["false"], check=False).returncode == 1
        with pytest.raises(subprocess.CalledProcessError):
            lab.run(["false"], host=a)

    def test_connect_to_nobody(self, lab: Lab) -> None:
        with pytest.raises(ConnectionRefusedError):
            lab.connect_tcp(lab.hosts[0].ip, 9)

    def test_only_processes_of_the_lab_can_be_signalled(self, lab: Lab) -> None:
        with pytest.raises(LabError, match="no QEMU runs guest 'nobody'"):
            lab.hosts[0].signal_qemu("nobody", signal.SIGKILL)

    def test_a_second_daemon_is_refused(self, lab: Lab) -> None:
        with pytest.raises(LabError, match="runs already"):
            lab.hosts[0].start_daemon()


class TestGuests:
    def test_counter_lives_through_daemon_restart_move_and_shutdown(
        self, lab: Lab, guest: CounterGuest, tmp_path: Path
    ) -> None:
        a, b = lab.hosts
        serial = lab.shared / "counter.log"
        define(a, tmp_path, "counter", counter_xml("counter", guest, serial, ip="10.99.0.50/24"))
        wait_until(lambda: counts(serial), deadline=120, what="the guest's first count")

        with lab.connect_tcp("10.99.0.50", PORT, timeout=60) as link:
            first = ask(link)
            qemu = a.qemu_pid("counter")
            a.signal_daemon(signal.SIGKILL)
            with pytest.raises(LabError, match="does not run"):
                a.daemon_pid()
            a.start_daemon()
            assert virsh(a, "domstate", "counter").strip() == "running"
            assert a.qemu_pid("counter") == qemu

            flags = ("--live", "--p2p", "--persistent", "--undefinesource")
            virsh(a, "migrate", *flags, "counter", b.native_uri, f"unix://{lab.shared}/stream")
            assert b.qemu_pid("counter") != qemu
            assert virsh(a, "list", "--all", "--name").strip() == ""
            moved = ask(link)
            assert moved >= first
            virsh(b, "migrate", *flags, "counter", a.tcp_uri)
            assert ask(link) >= moved

            a.cut_network()
            link.settimeout(0.2)
            with pytest.raises(TimeoutError):
                ask(link)
            a.restore_network()
        with lab.connect_tcp("10.99.0.50", PORT, timeout=60) as link:
            assert ask(link) >= moved

        virsh(a, "shutdown", "--mode", "acpi", "counter")
        wait_until(
            lambda: "shut off (shutdown)" in virsh(a, "domstate", "--reason", "counter"),
            deadline=60,
            what="the guest's graceful end",
        )
        virsh(a, "undefine", "counter")
        said = counts(serial)
        assert said == list(range(1, len(said) + 1))

    def test_ticks_measure_a_move(self, lab: Lab, tmp_path: Path) -> None:
        a, b = lab.hosts
        disk = lab.shared / "tick.img"
        TickGuest.image(disk, pages_per_tick=2, mib=8)
        with TickCollector(lab.shared / "tick.sock") as ticks:
            define(a, tmp_path, "tick", tick_xml("tick", disk, ticks.path))
            ticks.wait_ticks(500, deadline=60)
            virsh(a, "migrate", "--live", "--p2p", "--persistent", "--undefinesource", "tick", b.native_uri)
            ticks.wait_ticks(500, deadline=60)
            assert ticks.continuous
            assert 0 < ticks.switchover_gap_s <= ticks.max_stall_s
            assert len(ticks.history.streams) == 2
            b.signal_qemu("tick", signal.SIGKILL)
            with pytest.raises(LabError, match="no QEMU"):
                b.qemu_pid("tick")
        assert not ticks.path.exists()
        wait_until(
            lambda: "shut off (crashed)" in virsh(b, "domstate", "--reason", "tick"),
            deadline=60,
            what="libvirt noticing the crash",
        )
        virsh(b, "undefine", "tick")

    def test_build_takes_what_is_there(self, guest: CounterGuest) -> None:
        assert CounterGuest.build() == guest


class TestDown:
    def test_nothing_is_left_with_a_guest_running_and_a_daemon_stopped(
        self, guest: CounterGuest, tmp_path: Path
    ) -> None:
        cards = network_cards()
        with Lab(2) as lab:
            folder = lab.folder
            a, b = lab.hosts
            serial = lab.shared / "left.log"
            define(a, tmp_path, "left", counter_xml("left", guest, serial))
            b.signal_daemon(signal.SIGSTOP)
            qemu = os.pidfd_open(a.qemu_pid("left"))
            assert processes_naming(folder)
            assert network_cards() == cards
        try:
            assert select.select([qemu], [], [], 0)[0] == [qemu]
        finally:
            os.close(qemu)
        assert_nothing_left(folder)
        assert network_cards() == cards

    @pytest.mark.parametrize("hosts", [0, 3])
    def test_other_sizes(self, hosts: int) -> None:
        with Lab(hosts) as lab:
            folder = lab.folder
            assert len(lab.hosts) == hosts
        assert_nothing_left(folder)

    def test_nothing_is_left_when_the_owner_is_killed(self) -> None:
        with subprocess.Popen(
            [sys.executable, "-c", OWNER], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as owner:
            assert owner.stdout is not None
            folder = Path(owner.stdout.readline().strip())
            assert folder.is_dir()
            owner.send_signal(signal.SIGKILL)
        wait_until(lambda: not folder.exists(), deadline=60, what="the end of the lab")
        wait_until(lambda: not processes_naming(folder), deadline=60, what="the end of its processes")
        assert_nothing_left(folder)

    def test_an_error_inside_takes_it_down_and_goes_on(self) -> None:
        folders = []

        def fail() -> None:
            with Lab(1) as lab:
                folders.append(lab.folder)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()
        assert_nothing_left(folders[0])

    def test_killing_its_first_process_ends_all_of_it(self) -> None:
        with Lab(1) as lab:
            folder, (host,) = lab.folder, lab.hosts
            first = ask_fd(lab.plan.control, {"do": "pidfd", "of": "lab"})
            try:
                signal.pidfd_send_signal(first, signal.SIGKILL)
            finally:
                os.close(first)
            wait_until(lambda: not folder.exists(), deadline=60, what="the end of the lab")
            assert_nothing_left(folder)
            with pytest.raises(LabError, match="does not answer"):
                host.daemon_pid()

    def test_a_lab_that_cannot_be_built_says_why(self, monkeypatch: pytest.MonkeyPatch) -> None:
        folders = []

        def wrong(folder: Path, _hosts: int, _engines: int, _dockers: int) -> LabPlan:
            folders.append(folder)
            return LabPlan(folder, (HostPlan("a", "no-address", "no-uuid", folder / "a"),))

        monkeypatch.setattr(LabPlan, "new", wrong)
        lab = Lab(1)
        with pytest.raises(LabError, match=r"(?s)did not start.*no-address"):
            lab.start()
        assert_nothing_left(folders[0])

    def test_two_labs_at_once_do_not_see_each_other(self) -> None:
        with Lab(1) as one, Lab(1) as two:
            folders = [one.folder, two.folder]
            (a,), (b,) = one.hosts, two.hosts
            assert a.name == b.name
            assert a.ip == b.ip
            assert a.uuid != b.uuid
            asked = one.run(["virsh", "--connect", a.tcp_uri, "capabilities"])
            assert a.uuid in asked.stdout
            assert b.uuid in two.run(["virsh", "--connect", b.tcp_uri, "capabilities"]).stdout
            two.stop()
            assert virsh(a, "hostname").strip() == a.name
        for folder in folders:
            assert_nothing_left(folder)

    def test_a_lab_can_be_started_again_but_not_twice(self) -> None:
        lab = Lab(0)
        for _ in range(2):
            lab.start()
            with pytest.raises(LabError, match="running already"):
                lab.start()
            lab.stop()
            lab.stop()
        with pytest.raises(LabError, match="not running"):
            lab.hosts  # noqa: B018

    def test_a_daemon_that_cannot_start_is_told_with_its_log(self) -> None:
        with Lab(1) as lab:
            (host,) = lab.hosts
            host.signal_daemon(signal.SIGKILL)
            settings = host.folder / "etc" / "libvirtd.conf"
            settings.write_text("nonsense")
            with pytest.raises(LabError, match=r"(?s)libvirtd of host a.*libvirtd\.conf"):
                host.start_daemon()

    def test_folders_of_killed_labs_are_swept(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr("tests.testbed.lab.FOLDER", tmp_path)
        orphan = tmp_path / "vhal-lab-orphan"
        (orphan / "shared").mkdir(parents=True)
        with Lab(0) as lab:
            assert not orphan.exists()
            assert lab.folder.parent == tmp_path
            with Lab(0):
                assert lab.folder.exists()


class TestByHand:
    def call(self, runtime: Path, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tests.testbed", *words],
            cwd=ROOT,
            env={**os.environ, "XDG_RUNTIME_DIR": str(runtime)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def test_up_status_exec_down(self, tmp_path: Path) -> None:
        assert "no lab is up" in self.call(tmp_path, "status").stdout
        up = self.call(tmp_path, "up", "2", "--json")
        assert up.returncode == 0, up.stderr
        try:
            shown = json.loads(up.stdout)
            folder = Path(shown["shared"]).parent
            assert [host["name"] for host in shown["hosts"]] == ["a", "b"]
            assert shown["hosts"][0]["url"].startswith("libvirt+unix:///system?socket=")
            assert json.loads(self.call(tmp_path, "status", "--json").stdout) == shown

            again = self.call(tmp_path, "up")
            assert again.returncode == 1
            assert "up already" in again.stderr

            inside = self.call(tmp_path, "exec", "b", "--", "sh", "-c", "virsh -c qemu:///system hostname; exit 3")
            assert (inside.stdout.strip(), inside.returncode) == ("b", 3)
            assert "no host 'z'" in self.call(tmp_path, "exec", "z", "--", "true").stderr
        finally:
            down = self.call(tmp_path, "down")
        assert down.returncode == 0, down.stderr
        assert_nothing_left(folder)
        assert list(tmp_path.iterdir()) == []
        assert self.call(tmp_path, "down").returncode == 0
        assert "no lab is up" in self.call(tmp_path, "exec", "a", "--", "true").stderr
