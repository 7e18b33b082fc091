"""The test bed's container hosts for real: kept apart, alive without their service, moved between, and gone."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.leftovers import assert_nothing_left, network_cards, processes_in, processes_naming
from tests.testbed import ContainerImage, Engine, Lab, LabError, wait_until
from tests.testbed.engine import PING, UnixConnection
from tests.testbed.plan import EnginePlan, LabPlan

ROOT = Path(__file__).parents[2]
API = "/v4.0.0/libpod"
IMAGE = "localhost/counter:1"
NETWORK = "lan"
PORT = 7000

OWNER = """
import json, sys
from tests.scenarios.test_testbed_engines import provide, run_counter
from tests.testbed import ContainerImage, Lab
with Lab(hosts=0, engines=2) as lab:
    a, b = lab.engines
    provide(lab, ContainerImage.build())
    run_counter(a, "left")
    print(json.dumps({"folder": str(lab.folder), "pids": [a.pid, b.pid], "keeper": lab._keeper.pid}), flush=True)
    sys.stdin.read()
"""


def call(engine: Engine, method: str, path: str, *, body: bytes | None = None) -> tuple[int, bytes]:
    link = UnixConnection(engine.socket, timeout=120)
    try:
        headers = {"Content-Type": "application/x-tar"} if body is not None else {}
        link.request(method, path if path == PING else f"{API}{path}", body=body, headers=headers)
        reply = link.getresponse()
        return reply.status, reply.read()
    finally:
        link.close()


def done(engine: Engine, method: str, path: str, *, body: bytes | None = None) -> bytes:
    status, said = call(engine, method, path, body=body)
    assert status < 300, (status, said[:500], engine.log.read_text()[-2000:])
    return said


def podman(engine: Engine, *words: str) -> str:
    ended = engine.run(["podman", *words], check=False, timeout=120)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def names(engine: Engine) -> list[str]:
    return [name for entry in json.loads(done(engine, "GET", "/containers/json?all=true")) for name in entry["Names"]]


def provide(lab: Lab, image: ContainerImage) -> None:
    """Give all engines the same image, under one ID, and a network that reaches the lab."""
    first, *others = lab.engines
    saved = lab.shared / "counter-image.tar"
    done(first, "POST", f"/images/import?reference={IMAGE}", body=image.rootfs_tar.read_bytes())
    podman(first, "save", "--quiet", "--output", str(saved), IMAGE)
    for other in others:
        podman(other, "load", "--quiet", "--input", str(saved))
    for engine in lab.engines:
        words = ("--driver", "macvlan", "--opt", "parent=eth0", "--subnet", "10.99.0.0/24", "--gateway", "10.99.0.254")
        podman(engine, "network", "create", *words, NETWORK)


def run_counter(engine: Engine, name: str, *, ip: str | None = None, mib: int = 0) -> None:
    network = [f"--network={NETWORK}", f"--ip={ip}"] if ip else ["--network=none"]
    podman(engine, "run", "--detach", "--name", name, *network, IMAGE, "/bin/counter", str(mib))


def connect(lab: Lab, ip: str) -> socket.socket:
    # Who had this address before had another hardware address.
    lab.run(["ip", "neigh", "flush", "to", ip])
    link: list[socket.socket] = []

    def connects() -> bool:
        try:
            link.append(lab.connect_tcp(ip, PORT, timeout=30))
        except OSError:
            return False
        return True

    wait_until(connects, deadline=60, what=f"an answer from {ip}")
    return link[0]


def answer(link: socket.socket) -> tuple[int, str]:
    said = b""
    while not said.endswith(b"\n"):
        data = link.recv(64)
        assert data, "the counter closed the connection"
        said += data
    _, count, nonce = said.decode().split()
    return int(count), nonce


def ask(link: socket.socket) -> tuple[int, str]:
    link.sendall(b"?\n")
    return answer(link)


@contextmanager
def traffic_held(engine: Engine, ip: str) -> Iterator[None]:
    """Keep traffic from an address that has no sockets yet: the kernel would answer it with a reset."""
    engine.run(
        ["nft", "--file", "-"],
        input="table netdev hold {\n"
        'chain arriving { type filter hook ingress device "eth0" priority -500;\n'
        f"ip daddr {ip} drop\n}}\n}}\n",
    )
    try:
        yield
    finally:
        engine.run(["nft", "delete", "table", "netdev", "hold"])


@pytest.fixture(scope="module")
def image() -> ContainerImage:
    return ContainerImage.build()


@pytest.fixture(scope="module")
def lab(image: ContainerImage) -> Iterator[Lab]:
    with Lab(hosts=0, engines=2) as lab:
        provide(lab, image)
        yield lab


@pytest.fixture(autouse=True)
def clean(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "lab" in request.fixturenames:
        lab: Lab = request.getfixturevalue("lab")
        for engine in lab.engines:
            podman(engine, "rm", "--all", "--force", "--time", "0")


class TestUp:
    def test_every_service_answers(self, lab: Lab) -> None:
        for engine in lab.engines:
            assert call(engine, "GET", PING) == (200, b"OK")
            assert engine.run(["podman", "info", "--format", "{{.Host.Hostname}}"]).stdout.strip() == engine.name
        assert [(engine.name, engine.ip) for engine in lab.engines] == [("pa", "10.99.0.101"), ("pb", "10.99.0.102")]

    def test_runs_what_the_plugin_needs(self, lab: Lab) -> None:
        host = json.loads(done(lab.engines[0], "GET", "/info"))["host"]
        assert host["ociRuntime"]["name"] == "runc"
        assert host["cgroupManager"] == "cgroupfs"
        assert host["networkBackend"] == "netavark"
        lab.engines[0].run(["criu", "check"])

    def test_socket_paths_are_short_enough(self, lab: Lab) -> None:
        assert all(len(os.fsencode(engine.socket)) < 90 for engine in lab.engines)
        assert lab.engines[0].url == f"containers+unix://{lab.engines[0].socket}"

    def test_engines_see_one_shared_folder_and_nothing_else_of_each_other(self, lab: Lab) -> None:
        a, b = lab.engines
        (lab.shared / "word").write_text("seen")
        for engine in (a, b):
            assert engine.run(["cat", str(lab.shared / "word")]).stdout == "seen"
        for place in ("/tmp", "/run", "/dev/shm", "/etc", "/var/lib/containers"):
            a.run(["touch", f"{place}/of-pa"])
            assert b.run(["test", "-e", f"{place}/of-pa"], check=False).returncode == 1
            if place != "/var/lib/containers":
                assert not Path(place, "of-pa").exists()
        assert b.run(["ls", str(lab.folder)]).stdout.split() == ["pb", "shared"]

    def test_engines_have_their_own_namespaces(self, lab: Lab) -> None:
        a, b = lab.engines
        for kind in ("mnt", "net", "uts", "ipc", "pid", "cgroup"):
            spaces = {Path(f"/proc/{pid}/ns/{kind}").readlink() for pid in (a.pid, b.pid, os.getpid())}
            assert len(spaces) == 3, kind
        assert a.run(["cat", "/proc/1/comm"]).stdout.strip() == "catatonit"
        groups = {line.partition(":")[2] for line in a.run(["cat", "/proc/self/cgroup"]).stdout.splitlines()}
        assert all(group.endswith(":/") for group in groups)

    def test_run_on_an_engine(self, lab: Lab) -> None:
        a, _ = lab.engines
        assert lab.run(["hostname"], host=a).stdout.strip() == "pa"
        assert a.run(["cat"], input="words").stdout == "words"
        assert a.run(["false"], check=False).returncode == 1
        with pytest.raises(subprocess.CalledProcessError):
            a.run(["false"])

    def test_a_second_service_is_refused(self, lab: Lab) -> None:
        with pytest.raises(LabError, match="podman of engine pa runs already"):
            lab.engines[0].start_service()

    def test_beside_a_libvirt_host(self) -> None:
        with Lab(hosts=1, engines=1) as lab:
            folder = lab.folder
            (host,), (engine,) = lab.hosts, lab.engines
            # Both ways, by name: libvirtd listens on TCP, and the engine for once.
            engine.run(["bash", "-c", f"exec 3<>/dev/tcp/{host.name}/16509"])
            engine.run(["sh", "-c", "busybox nc -l -p 7001 -e true >/dev/null 2>&1 &"])
            knock = ["bash", "-c", f"exec 3<>/dev/tcp/{engine.name}/7001"]
            wait_until(lambda: host.run(knock, check=False).returncode == 0, deadline=60, what="an answer")
        assert_nothing_left(folder)


class TestContainers:
    def test_an_imported_image_runs_on_one_engine_only(self, lab: Lab) -> None:
        a, b = lab.engines
        run_counter(a, "only", mib=1)
        assert (names(a), names(b)) == (["only"], [])
        wait_until(lambda: "count 20\n" in podman(a, "logs", "only") + "\n", deadline=60, what="the first line")
        podman(a, "stop", "--time", "10", "only")
        assert podman(a, "inspect", "--format", "{{.State.ExitCode}}", "only") == "0"

    def test_memory_limits_hold(self, lab: Lab) -> None:
        a, _ = lab.engines
        ended = a.run(["podman", "run", "--network=none", "--memory=32m", IMAGE, "/bin/counter", "128"], check=False)
        assert ended.returncode == 137

    def test_containers_outlive_the_service(self, lab: Lab) -> None:
        a, _ = lab.engines
        run_counter(a, "alive", ip="10.99.0.60")
        with connect(lab, "10.99.0.60") as link:
            _, nonce = ask(link)
            service = a.service_pid()
            a.signal_service(signal.SIGKILL)
            with pytest.raises(LabError, match="podman of engine pa does not run"):
                a.service_pid()
            with pytest.raises(OSError, match="refused"):
                call(a, "GET", PING)
            assert ask(link)[1] == nonce
            a.start_service()
            assert a.service_pid() != service
            assert json.loads(done(a, "GET", "/containers/alive/json"))["State"]["Status"] == "running"
            assert ask(link)[1] == nonce
        done(a, "POST", "/containers/alive/stop?timeout=10")
        assert json.loads(done(a, "GET", "/containers/alive/json"))["State"]["ExitCode"] == 0

    def test_several_clients_and_a_pulled_cable(self, lab: Lab) -> None:
        a, _ = lab.engines
        run_counter(a, "cable", ip="10.99.0.61")
        with connect(lab, "10.99.0.61") as one, connect(lab, "10.99.0.61") as two:
            assert ask(one)[1] == ask(two)[1]
            a.cut_network()
            one.settimeout(0.2)
            with pytest.raises(TimeoutError):
                ask(one)
            a.restore_network()
            assert ask(two)

    def test_a_container_moves_with_its_memory_and_a_connection(self, lab: Lab) -> None:
        source, target = lab.engines
        ip = "10.99.0.62"
        run_counter(source, "mover", ip=ip, mib=8)
        with connect(lab, ip) as link:
            link.settimeout(60)
            before, nonce = ask(link)
            for _ in range(2):
                taken = done(source, "POST", "/containers/mover/checkpoint?export=true&tcpEstablished=true&keep=true")
                with traffic_held(target, ip):
                    # On its way while nobody is there to take it.
                    link.sendall(b"?\n")
                    done(target, "POST", "/containers/mover/restore?import=true&tcpEstablished=true", body=taken)
                after, same = answer(link)
                assert same == nonce
                assert after >= before
                done(source, "DELETE", "/containers/mover?force=true&timeout=0")
                assert (names(source), names(target)) == ([], ["mover"])
                before = after
                source, target = target, source

    def test_build_takes_what_is_there(self, image: ContainerImage, tmp_path: Path) -> None:
        assert ContainerImage.build() == image
        again = ContainerImage.build(tmp_path)
        assert again.rootfs_tar.read_bytes() == image.rootfs_tar.read_bytes()
        with tarfile.open(again.rootfs_tar) as archive:
            assert {"bin/counter", "bin/sh", "tmp"} <= set(archive.getnames())


class TestDown:
    def test_nothing_is_left_with_a_container_running_and_a_service_stopped(self, image: ContainerImage) -> None:
        cards = network_cards()
        with Lab(hosts=0, engines=2) as lab:
            folder = lab.folder
            a, b = lab.engines
            networks = [Path(f"/proc/{engine.pid}/ns/net").readlink() for engine in (a, b)]
            provide(lab, image)
            run_counter(a, "left", ip="10.99.0.63")
            b.signal_service(signal.SIGSTOP)
            assert network_cards() == cards
        assert_nothing_left(folder)
        assert [processes_in(network) for network in networks] == [[], []]
        assert network_cards() == cards

    @contextmanager
    def owner(self) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
        with subprocess.Popen(
            [sys.executable, "-c", OWNER], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as owner:
            assert owner.stdout is not None
            yield owner, json.loads(owner.stdout.readline())

    def test_nothing_is_left_when_the_owner_is_killed(self) -> None:
        with self.owner() as (owner, made):
            folder, networks = Path(made["folder"]), self.networks(made)
            assert folder.is_dir()
            owner.send_signal(signal.SIGKILL)
        wait_until(lambda: not folder.exists(), deadline=60, what="the end of the lab")
        self.wait_until_gone(folder, networks)
        assert_nothing_left(folder)

    def test_the_next_lab_removes_what_is_left_when_all_are_killed(self) -> None:
        with self.owner() as (owner, made):
            folder, networks = Path(made["folder"]), self.networks(made)
            # The keeper, which would clean up, and all that it has started.
            os.killpg(made["keeper"], signal.SIGKILL)
            owner.send_signal(signal.SIGKILL)
        self.wait_until_gone(folder, networks)
        with Lab(0):
            assert_nothing_left(folder)

    def networks(self, made: dict[str, Any]) -> list[Path]:
        return [Path(f"/proc/{pid}/ns/net").readlink() for pid in made["pids"]]

    def wait_until_gone(self, folder: Path, networks: list[Path]) -> None:
        """Wait for the last process. A container's names nothing of the lab, but is in its namespaces."""

        def gone() -> bool:
            return not processes_naming(folder) and not any(processes_in(network) for network in networks)

        wait_until(gone, deadline=60, what="the end of the lab's processes")

    def test_control_groups_without_a_lab_are_swept(self) -> None:
        group = Path("/sys/fs/cgroup/pids/vhal-lab-orphan.pa")
        (group / "libpod_parent").mkdir(parents=True)
        with Lab(0):
            assert not group.exists()

    def test_an_engine_that_cannot_be_built_says_why(self, monkeypatch: pytest.MonkeyPatch) -> None:
        folders = []

        def wrong(folder: Path, _hosts: int, _engines: int, _dockers: int) -> LabPlan:
            folders.append(folder)
            return LabPlan(folder, (), (EnginePlan("pa", "no-address", folder / "pa"),))

        monkeypatch.setattr(LabPlan, "new", wrong)
        with pytest.raises(LabError, match=r"(?s)did not start.*no-address"):
            Lab(hosts=0, engines=1).start()
        assert_nothing_left(folders[0])

    def test_two_labs_at_once_do_not_see_each_other(self, image: ContainerImage) -> None:
        with Lab(hosts=0, engines=1) as one, Lab(hosts=0, engines=1) as two:
            folders = [one.folder, two.folder]
            (a,), (b,) = one.engines, two.engines
            for lab in (one, two):
                provide(lab, image)
            run_counter(a, "mine", ip="10.99.0.64")
            run_counter(b, "mine", ip="10.99.0.64")
            with connect(one, "10.99.0.64") as left, connect(two, "10.99.0.64") as right:
                assert ask(left)[1] != ask(right)[1]
                two.stop()
                assert ask(left)
            assert names(a) == ["mine"]
        for folder in folders:
            assert_nothing_left(folder)


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
        up = self.call(tmp_path, "up", "0", "--engines", "2", "--json")
        assert up.returncode == 0, up.stderr
        try:
            shown = json.loads(up.stdout)
            folder = Path(shown["shared"]).parent
            assert [engine["name"] for engine in shown["engines"]] == ["pa", "pb"]
            assert shown["engines"][0]["url"].startswith("containers+unix:///")
            assert json.loads(self.call(tmp_path, "status", "--json").stdout) == shown
            assert "containers+unix:///" in self.call(tmp_path, "status").stdout
            inside = self.call(tmp_path, "exec", "pb", "--", "sh", "-c", "podman ps -q && hostname; exit 3")
            assert (inside.stdout.strip(), inside.returncode) == ("pb", 3)
            assert "there are pa, pb" in self.call(tmp_path, "exec", "z", "--", "true").stderr
        finally:
            down = self.call(tmp_path, "down")
        assert down.returncode == 0, down.stderr
        assert_nothing_left(folder)
