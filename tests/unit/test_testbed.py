"""The parts of the test bed that need no host: archive, ticks, state, names."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from tests.testbed import DeadlineError, Lab, LabError, TickGuest, TickHistory, kernel_cmdline, wait_until
from tests.testbed.cpio import Initramfs
from tests.testbed.guest import module_order
from tests.testbed.plan import LabPlan
from tests.testbed.state import StateFile
from tests.testbed.tick import Stream


def ticks(start: float, *values: int) -> list[tuple[float, int]]:
    """One tick a millisecond from `start` on."""
    return [(start + index / 1000, value) for index, value in enumerate(values)]


def members(archive: bytes) -> dict[str, tuple[int, bytes]]:
    """Read an archive back: mode and content by name."""
    found: dict[str, tuple[int, bytes]] = {}
    at = 0
    while True:
        assert archive[at : at + 6] == b"070701"
        fields = [int(archive[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        name_end = at + 110 + fields[11]
        name = archive[at + 110 : name_end - 1].decode()
        start = name_end + -name_end % 4
        end = start + fields[6]
        if name == "TRAILER!!!":
            assert set(archive[end:]) <= {0}
            return found
        found[name] = (fields[1], archive[start:end])
        at = end + -end % 4


class TestInitramfs:
    def archive(self) -> Initramfs:
        root = Initramfs()
        root.add_folder("bin")
        root.add_file("init", b"\x7fELF-like", executable=True)
        root.add_file("bin/data", b"12345")
        root.add_link("bin/sh", "busybox")
        root.add_character_device("console", 5, 1)
        return root

    def test_reads_back(self) -> None:
        assert members(self.archive().data()) == {
            "bin": (0o040755, b""),
            "init": (0o100755, b"\x7fELF-like"),
            "bin/data": (0o100644, b"12345"),
            "bin/sh": (0o120777, b"busybox"),
            "console": (0o020600, b""),
        }

    def test_same_content_gives_the_same_bytes_in_whole_blocks(self) -> None:
        assert self.archive().data() == self.archive().data()
        assert len(self.archive().data()) % 512 == 0

    def test_an_empty_one_is_valid(self) -> None:
        assert members(Initramfs().data()) == {}

    @pytest.mark.parametrize("name", ["", "/init"])
    def test_refuses_names_that_are_not_relative(self, name: str) -> None:
        with pytest.raises(ValueError, match="relative"):
            Initramfs().add_file(name, b"")


class TestModules:
    def test_needed_ones_come_first(self) -> None:
        available = {
            "virtio_net": b"\0license=GPL\0depends=net-failover,virtio\0name=virtio_net\0",
            "net_failover": b"\0depends=failover\0",
            "failover": b"\0depends=\0",
            "virtio": b"\0depends=\0",
            "other": b"\0depends=\0",
        }
        assert module_order(("virtio_net", "virtio"), available) == [
            "failover",
            "net_failover",
            "virtio",
            "virtio_net",
        ]

    def test_built_in_ones_are_left_out(self) -> None:
        assert module_order(("evdev",), {}) == []


class TestCommandLine:
    def test_says_only_what_was_asked_for(self) -> None:
        assert "vhal." not in kernel_cmdline()
        assert "vhal." not in kernel_cmdline(dirty_mib=32)

    def test_carries_the_settings(self) -> None:
        words = kernel_cmdline(ip="10.99.0.50/24", dirty_mib=32, dirty_mib_s=8, extra="debug").split()
        assert {"vhal.ip=10.99.0.50/24", "vhal.dirty_mib=32", "vhal.dirty_mib_s=8", "debug"} <= set(words)


class TestTickHistory:
    def test_nothing_arrived(self) -> None:
        history = TickHistory.of([[]])
        assert history.ticks == 0
        assert history.max_stall_s == 0
        assert history.continuous
        with pytest.raises(LabError, match="no switch-over"):
            history.switchover_gap_s  # noqa: B018

    def test_gap_is_between_connections_and_not_the_longest_stall(self) -> None:
        before: Stream = [*ticks(1.0, 7, 8), *ticks(2.0, 9, 10)]
        after: Stream = ticks(2.501, 11, 12)
        # The new QEMU connects before the old one's last tick, and it may be listed first.
        history = TickHistory.of([after, before])
        assert history.switchover_gap_s == pytest.approx(0.5)
        assert history.max_stall_s == pytest.approx(0.999)
        assert history.continuous
        assert history.ticks == 6

    def test_last_of_several_gaps(self) -> None:
        history = TickHistory.of([ticks(1, 1), ticks(2, 2), [], ticks(4, 3)])
        assert history.switchover_gaps_s == (1, 2)
        assert history.switchover_gap_s == 2

    @pytest.mark.parametrize(
        ("values", "continuous"),
        [
            ((254, 255, 0, 1), True),
            ((10, 12, 139), True),
            ((10, 11, 11), False),
            ((10, 11, 10), False),
            ((10, 138), False),
        ],
    )
    def test_continuity(self, values: tuple[int, ...], continuous: bool) -> None:
        assert TickHistory.of([ticks(0, *values)]).continuous is continuous

    def test_a_guest_that_ran_twice(self) -> None:
        history = TickHistory.of([ticks(1.0, 1, 2, 3), ticks(1.0015, 2, 3, 4)])
        assert history.overlapped
        assert not history.continuous

    def test_resumed_from_the_past(self) -> None:
        history = TickHistory.of([ticks(1.0, 1, 2, 3), ticks(2.0, 2, 3)])
        assert not history.overlapped
        assert not history.continuous


class TestTickImage:
    def test_parameters_are_in_the_boot_sector(self, tmp_path: Path) -> None:
        if shutil.which("gcc") is None:
            with pytest.raises(LabError, match=r"setup\.sh"):
                TickGuest.image(tmp_path / "tick.img")
            return
        TickGuest.image(tmp_path / "tick.img", 4, 16)
        image = (tmp_path / "tick.img").read_bytes()
        assert len(image) == 1 << 20
        assert image[510:512] == b"\x55\xaa"
        assert struct.unpack("<II", image[502:510]) == (4, 17 << 20)
        assert not any(image[512:])

    @pytest.mark.parametrize(("pages", "mib"), [(1, 0), (-1, 1), (1, 4000)])
    def test_refuses_what_cannot_be(self, tmp_path: Path, pages: int, mib: int) -> None:
        with pytest.raises(ValueError, match="pages a tick"):
            TickGuest.image(tmp_path / "tick.img", pages, mib)
        assert not (tmp_path / "tick.img").exists()


class TestStateFile:
    def test_remembers_one_lab(self, tmp_path: Path) -> None:
        state = StateFile(tmp_path / "state.json")
        assert state.read() is None
        state.write(Path("/tmp/one"))
        with pytest.raises(LabError, match="up already"):
            state.write(Path("/tmp/two"))
        assert state.read() == Path("/tmp/one")
        assert [path.name for path in tmp_path.iterdir()] == ["state.json"]
        state.remove()
        state.remove()
        assert state.read() is None

    @pytest.mark.parametrize("text", ["", "{}", "[]", "{"])
    def test_refuses_a_file_of_someone_else(self, tmp_path: Path, text: str) -> None:
        state = StateFile(tmp_path / "state.json")
        state.path.write_text(text)
        with pytest.raises(LabError, match="remove it"):
            state.read()

    def test_is_in_the_runtime_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
        assert StateFile.default().path.parent == tmp_path
        monkeypatch.delenv("XDG_RUNTIME_DIR")
        assert StateFile.default().path.parent == Path("/run")


class TestPlan:
    def test_survives_being_written_down(self) -> None:
        plan = LabPlan.new(Path("/tmp/vhal-lab-x"), 3, 2)
        assert LabPlan.load(plan.dump()) == plan

    def test_hosts_differ(self) -> None:
        hosts = LabPlan.new(Path("/tmp/vhal-lab-x"), 26).hosts
        for values in (
            {host.name for host in hosts},
            {host.ip for host in hosts},
            {host.uuid for host in hosts},
            {host.socket for host in hosts},
        ):
            assert len(values) == 26

    def test_engines_differ_from_hosts_and_each_other(self) -> None:
        plan = LabPlan.new(Path("/tmp/vhal-lab-x"), 26, 26)
        assert len({node.name for node in plan.nodes}) == 52
        assert len({node.ip for node in plan.nodes}) == 52
        assert len({node.socket for node in plan.nodes}) == 52
        assert len({engine.group for engine in plan.engines}) == 26
        assert (plan.engines[0].name, plan.engines[0].ip) == ("pa", "10.99.0.101")
        assert "10.99.0.102 pb\n" in plan.names()

    def test_engines_of_both_kinds(self) -> None:
        plan = LabPlan.new(Path("/tmp/vhal-lab-x"), 26, 26, 26)
        assert len({node.name for node in plan.nodes}) == 78
        assert len({node.ip for node in plan.nodes}) == 78
        assert len({node.socket for node in plan.nodes}) == 78
        docker = plan.engines[26]
        assert (docker.kind, docker.name, docker.ip, docker.socket.name) == (
            "docker",
            "da",
            "10.99.0.201",
            "docker.sock",
        )
        assert LabPlan.load(plan.dump()) == plan

    @pytest.mark.parametrize("engines", [-1, 27])
    def test_number_of_engines(self, engines: int) -> None:
        with pytest.raises(LabError, match="0 to 26 engines"):
            Lab(engines=engines)
        with pytest.raises(LabError, match="0 to 26 dockers"):
            Lab(dockers=engines)

    @pytest.mark.parametrize("hosts", [-1, 27])
    def test_number_of_hosts(self, hosts: int) -> None:
        with pytest.raises(LabError, match="0 to 26 hosts"):
            Lab(hosts)


class TestRequirements:
    def test_root(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("os.geteuid", lambda: 1000)
        with pytest.raises(LabError, match="run as root"):
            Lab().start()

    def test_tools(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("os.geteuid", lambda: 0)
        monkeypatch.setattr("shutil.which", lambda _tool, path: None)
        with pytest.raises(LabError, match=r"missing: .*libvirtd.*; run /.*setup\.sh"):
            Lab().start()

    def test_only_the_tools_of_what_is_asked_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("os.geteuid", lambda: 0)
        monkeypatch.setattr("shutil.which", lambda _tool, path: None)
        with pytest.raises(LabError, match=r"missing: .*podman.*criu") as caught:
            Lab(hosts=0, engines=1).start()
        assert "libvirtd" not in str(caught.value)
        with pytest.raises(LabError, match=r"missing: .*dockerd.*; run") as caught:
            Lab(hosts=0, dockers=1).start()
        assert "podman" not in str(caught.value)

    def test_control_groups(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("os.geteuid", lambda: 0)
        monkeypatch.setattr("shutil.which", lambda _tool, path: "/bin/true")
        monkeypatch.setattr("tests.testbed.cgroups.controllers", lambda: ["cpu,cpuacct", "freezer"])
        with pytest.raises(LabError, match=r"no devices, memory"):
            Lab(hosts=0, engines=1).start()


class TestWaitUntil:
    def test_returns_what_the_condition_returns(self) -> None:
        answers = iter([None, "", "now"])
        assert wait_until(lambda: next(answers), deadline=60, what="it", poll=0) == "now"

    def test_asks_at_least_once(self) -> None:
        assert wait_until(lambda: True, deadline=0, what="it")

    def test_names_what_did_not_happen(self) -> None:
        with pytest.raises(DeadlineError, match="the moon: not within 0 s"):
            wait_until(lambda: False, deadline=0, what="the moon")


@pytest.mark.parametrize("script", ["tests/testbed/setup.sh", "plugins/containers/vhal_containers/setup.sh"])
def test_setup_script_is_valid_shell(script: str) -> None:
    subprocess.run(["sh", "-n", str(Path(__file__).parents[2] / script)], check=True)
