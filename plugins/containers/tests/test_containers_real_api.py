"""The client against real podman engines: what they answer, and what they refuse with."""

from __future__ import annotations

import io
import os
import signal
import tarfile
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from vhal_containers.api import ApiError, Connection, Hijacked, Libpod, Unreachable

from tests.testbed import wait_until

if TYPE_CHECKING:
    # The fixture's class is in conftest.py, which pytest loads but nobody can import.
    Engines = Any

SAID_S = 20.0
COUNT = ("/bin/sh", "-c", "i=0; while :; do i=$((i+1)); echo $i; sleep 0.1; done")
SLEEP = ("/bin/sleep", "1000")


def refused(call: Callable[[], object], status: int, cause: str) -> ApiError:
    with pytest.raises(ApiError) as caught:
        call()
    assert (caught.value.status, caught.value.cause) == (status, cause)
    return caught.value


def everything(hijacked: Hijacked) -> dict[int, bytes]:
    said: dict[int, bytes] = {}
    while not hijacked.ended:
        stream, data = hijacked.read(SAID_S)
        assert data or hijacked.ended, "it hung"
        said[stream] = said.get(stream, b"") + data
    hijacked.close()
    said.pop(0, None)
    return said


def said_by(engine: Libpod, container: str) -> bytes:
    with engine.containers.logs(container) as log:
        return b"".join(chunk.data for chunk in log)


def test_what_the_engine_is(engines: Engines) -> None:
    version, info = engines.a.version(), engines.a.info()
    said = engines.lab.engines[0].run(["podman", "version", "--format", "{{.Server.Version}} {{.Server.APIVersion}}"])
    assert said.stdout.split() == [version.version, version.api]
    assert info.cpus == os.cpu_count()
    assert info.memory > info.memory_free > 0
    assert info.runtime == "runc"
    assert info.conmon_version.startswith("conmon version")
    assert "bridge" in info.network_drivers
    assert info.storage_size > info.storage_used > 0


def test_life_of_a_container(engines: Engines) -> None:
    a = engines.a.containers
    made = engines.container(
        "life", *SLEEP, labels={"k": "v"}, env={"X": "y"}, resource_limits={"memory": {"limit": 64 << 20}}
    )
    assert [(c.id, c.name, c.state, dict(c.labels)) for c in a.list()] == [(made, "life", "created", {"k": "v"})]
    assert a.list(all=False) == ()
    assert a.start("life")
    assert not a.start(made)
    seen = a.inspect("life")
    assert (seen.id, seen.name, seen.state.status, seen.state.running) == (made, "life", "running", True)
    assert seen.state.pid > 0
    assert seen.state.started_at is not None
    assert seen.state.finished_at is None
    assert (seen.limits.memory, seen.command, "X=y" in seen.env) == (64 << 20, SLEEP, True)
    assert seen.image == engines.a.images.inspect(engines.image).id
    a.pause(made)
    assert a.inspect(made).state.status == "paused"
    refused(lambda: a.stop(made, 0), 500, "container state improper")
    a.unpause(made)
    a.rename(made, "other")
    assert a.exists("other")
    assert not a.exists("life")
    a.restart("other", 0)
    a.kill("other")
    assert a.wait("other", timeout_s=SAID_S) == 137
    assert not a.stop("other", 0)
    assert a.inspect("other").state.status == "exited"
    a.delete("other")
    refused(lambda: a.inspect("other"), 404, "no such container")


def test_refusals(engines: Engines) -> None:
    a = engines.a.containers
    container = engines.running("taken", *SLEEP)
    refused(lambda: engines.container("taken", *SLEEP), 500, "that name is already in use")
    refused(lambda: engines.a.containers.create({"name": "x", "image": "localhost/none:1"}), 500, "image not known")
    refused(lambda: engines.container("../x", *SLEEP), 500, "invalid argument")
    refused(lambda: a.start("none"), 404, "no such container")
    refused(lambda: a.unpause(container), 500, "container state improper")
    refused(lambda: a.delete(container), 500, "container state improper")
    other = engines.container("other", *SLEEP)
    refused(lambda: a.pause(other), 500, "container state improper")
    refused(lambda: a.kill(other), 500, "container state improper")
    refused(lambda: a.rename(other, "taken"), 409, "container already exists")
    refused(lambda: a.list(filters={"none": ["x"]}), 500, "none is an invalid filter")
    refused(lambda: a.stats_of("none"), 404, "no such container")
    refused(lambda: a.check_health(container), 409, f"container {container} has no defined healthcheck")


@pytest.mark.parametrize("name", ["..", ".", "../../x", "taken/../taken", "a%2Fb", "x?force=true", "", "\0"])
def test_a_name_can_not_lead_elsewhere(engines: Engines, name: str) -> None:
    engines.container("taken", *SLEEP)
    for call in (engines.a.containers.inspect, engines.a.containers.delete, engines.a.images.inspect):
        with pytest.raises(ApiError) as caught:
            call(name)
        assert caught.value.status == 404
    assert len(engines.a.containers.list()) == 1


def test_logs(engines: Engines) -> None:
    container = engines.running("talks", "/bin/sh", "-c", "echo out; echo err >&2; exec sleep 1000")
    wait_until(lambda: said_by(engines.a, container).count(b"\n") == 2, deadline=SAID_S, what="both lines")
    with engines.a.containers.logs(container) as log:
        assert sorted((chunk.stream, chunk.data) for chunk in log) == [(1, b"out\n"), (2, b"err\n")]
    with engines.a.containers.logs(container, tail=1) as log:
        assert len(list(log)) == 1


def test_following_a_log_until_somebody_closes_it(engines: Engines) -> None:
    log = engines.a.containers.logs(engines.running("counts", *COUNT), follow=True)
    heard: list[bytes] = []
    enough = threading.Event()

    def follow() -> None:
        for chunk in log:
            heard.append(chunk.data)
            if len(heard) >= 3:
                enough.set()

    thread = threading.Thread(target=follow)
    thread.start()
    assert enough.wait(SAID_S)
    log.close()
    thread.join(SAID_S)
    assert not thread.is_alive()
    assert heard[:3] == [b"1\n", b"2\n", b"3\n"]


def test_a_program_with_input_output_and_errors(engines: Engines) -> None:
    container = engines.running("host", *SLEEP)
    script = "read x; echo got $x in $PWD, $Y; echo bad >&2; exit 7"
    made = engines.a.execs.create(container, ["/bin/sh", "-c", script], stdin=True, env={"Y": "z"}, cwd="/tmp")
    program = engines.a.execs.start(made)
    program.write(b"it\n")
    assert everything(program) == {1: b"got it in /tmp, z\n", 2: b"bad\n"}
    state = engines.a.execs.inspect(made)
    assert (state.running, state.exit_code) == (False, 7)
    refused(lambda: engines.a.execs.start(made), 500, "exec session state improper")
    refused(lambda: engines.a.execs.inspect("none"), 404, "no such exec session")


def test_the_end_of_a_programs_input(engines: Engines) -> None:
    container = engines.running("host", *SLEEP)
    program = engines.a.execs.start(engines.a.execs.create(container, ["/bin/wc", "-c"], stdin=True))
    program.write(b"x" * 300_000)
    program.end_input()
    assert everything(program) == {1: b"300000\n"}


def test_a_program_with_a_terminal(engines: Engines) -> None:
    container = engines.running("host", *SLEEP)
    made = engines.a.execs.create(
        container, ["/bin/sh", "-c", "read x; stty size; echo err >&2"], terminal=True, stdin=True
    )
    program = engines.a.execs.start(made, terminal=True)
    engines.a.execs.resize(made, 40, 100)
    program.write(b"\n")
    assert everything(program) == {1: b"\r\n40 100\r\nerr\r\n"}


def test_a_program_that_is_let_go_of(engines: Engines) -> None:
    container = engines.running("host", *SLEEP)
    made = engines.a.execs.create(container, list(SLEEP), stdin=True)
    program = engines.a.execs.start(made)
    threading.Timer(0.1, program.close).start()
    assert program.read(SAID_S) == (0, b"")
    assert program.ended
    assert engines.a.execs.inspect(made).running


def test_programs_that_can_not_run(engines: Engines) -> None:
    container = engines.running("host", *SLEEP)
    create, start = engines.a.execs.create, engines.a.execs.start
    missing = create(container, ["/bin/none"])
    assert b"no such file or directory" in everything(start(missing))[2]
    assert engines.a.execs.inspect(missing).exit_code == 127
    refused(lambda: start(create(container, ["/bin/true"], user="nobody9")), 500, "no matching entries in passwd file")
    refused(lambda: create("none", ["/bin/true"]), 404, "no such container")
    refused(lambda: create(engines.container("off", *SLEEP), ["/bin/true"]), 500, "container state improper")


def test_attached_before_its_start_nothing_is_missed(engines: Engines) -> None:
    container = engines.container("first", "/bin/sh", "-c", "echo hello; echo oh >&2; exit 3")
    attached = engines.a.containers.attach(container, terminal=False)
    engines.a.containers.start(container)
    assert everything(attached) == {1: b"hello\n", 2: b"oh\n"}
    assert engines.a.containers.wait(container, timeout_s=SAID_S) == 3


def test_a_containers_terminal(engines: Engines) -> None:
    container = engines.container("shell", "/bin/sh", terminal=True, stdin=True)
    shell = engines.a.containers.attach(container, terminal=True)
    engines.a.containers.start(container)
    engines.a.containers.resize(container, 40, 100)
    shell.write(b"stty size; exit 5\n")
    assert b"\r\n40 100\r\n" in everything(shell)[1]
    assert engines.a.containers.wait(container, timeout_s=SAID_S) == 5


def test_files(engines: Engines) -> None:
    container = engines.running("files", *SLEEP)
    a = engines.a.containers
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        member = tarfile.TarInfo("a file")
        member.size, member.mode = 5, 0o640
        archive.addfile(member, io.BytesIO(b"hello"))
    a.write_archive(container, "/srv", iter([written.getvalue()]))
    facts = a.file_facts(container, "/srv/a file")
    assert (facts.name, facts.size, facts.mode & 0o777, facts.is_folder) == ("a file", 5, 0o640, False)
    with a.read_archive(container, "/srv/a file") as read, tarfile.open(fileobj=io.BytesIO(b"".join(read))) as archive:
        member = archive.getmembers()[0]
        content = archive.extractfile(member)
        assert content is not None
        assert (member.name, content.read()) == ("a file", b"hello")
    for call in (a.read_archive, a.file_facts):
        with pytest.raises(ApiError) as caught:
            call(container, "/none")
        assert caught.value.status == 404
    refused(lambda: a.write_archive(container, "/srv", [b"garbage"]), 500, "unexpected EOF")


def test_what_a_container_uses(engines: Engines) -> None:
    first, second = engines.running("one", *SLEEP), engines.running("two", *COUNT)
    off = engines.container("off", *SLEEP)
    assert {stats.id for stats in engines.a.containers.stats()} == {first, second, off}
    assert {stats.id for stats in engines.a.containers.stats([first, second])} == {first, second}
    stats = engines.a.containers.stats_of("two")
    assert stats.name == "two"
    assert stats.cpu_ns > 0
    assert stats.memory > 0
    assert stats.pids > 0
    assert engines.a.containers.stats_of(off).cpu_ns == 0
    with pytest.raises(ApiError, match="can't measure all"):
        engines.a.containers.stats([first, "none"])
    processes = engines.a.containers.top("one")
    assert [row[processes.titles.index("COMMAND")] for row in processes.rows] == [" ".join(SLEEP)]


def test_limits_of_a_running_container(engines: Engines) -> None:
    container = engines.running("small", *SLEEP)
    engines.a.containers.update(container, {"memory": {"limit": 48 << 20}, "cpu": {"quota": 50_000, "period": 100_000}})
    # The engine goes on saying the old values; the control group has the new ones.
    limits = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes || cat /sys/fs/cgroup/memory.max"
    asked = engines.a.execs.start(engines.a.execs.create(container, ["/bin/sh", "-c", limits]))
    assert everything(asked)[1] == b"%d\n" % (48 << 20)


def test_events(engines: Engines) -> None:
    events = engines.a.events(filters={"type": ["container"]})
    seen: list[tuple[str, str, str]] = []
    gone = threading.Event()

    def listen() -> None:
        for event in events:
            seen.append((event.action, event.name, event.id))
            if event.action == "remove":
                gone.set()

    thread = threading.Thread(target=listen)
    thread.start()
    container = engines.running("seen", *SLEEP)
    engines.a.containers.delete(container, force=True)
    assert gone.wait(SAID_S)
    events.close()
    thread.join(SAID_S)
    assert not thread.is_alive()
    actions = ["create", "start", "died", "remove"]
    assert [action for action, _, _ in seen if action in actions] == actions
    assert {(name, of) for _, name, of in seen} == {("seen", container)}


def test_health(engines: Engines) -> None:
    check = {"Test": ["CMD-SHELL", "echo fine"], "Timeout": 30_000_000_000, "Retries": 1}
    container = engines.running("well", *SLEEP, healthconfig=check)
    assert engines.a.containers.inspect(container).has_healthcheck
    health = engines.a.containers.check_health(container)
    assert (health.status, health.failing) == ("healthy", 0)


def test_images(engines: Engines) -> None:
    a = engines.a.images
    image = a.inspect(engines.image)
    assert image.id == engines.b.images.inspect(engines.image).id
    assert (image.command, image.names) == (("/bin/counter",), (engines.image,))
    a.tag(image.id, "localhost/other/name", "2")
    assert a.exists("localhost/other/name:2")
    [listed] = [listed for listed in a.list() if listed.id == image.id]
    assert set(listed.names) == {engines.image, "localhost/other/name:2"}
    a.remove("localhost/other/name:2")
    assert not a.exists("localhost/other/name:2")
    engines.container("user", *SLEEP)
    refused(lambda: a.remove(engines.image), 409, "image is in use by a container")
    refused(lambda: a.inspect("localhost/none:1"), 404, "image not known")
    refused(lambda: a.save("localhost/none:1"), 404, "image not known")
    refused(lambda: a.remove("localhost/none:1"), 404, "image not known")
    with pytest.raises(ApiError, match="unable to load image"):
        a.load([b"garbage"])
    with pytest.raises(ApiError, match="connection refused") as caught:
        a.pull("localhost/none:1")
    assert caught.value.status == 200
    made = engines.a.containers.commit("user", "localhost/made", "1", changes=['CMD ["/bin/true"]'])
    assert (a.inspect("localhost/made:1").id, a.inspect(made).command) == (made, ("/bin/true",))
    a.remove("localhost/made:1")


def test_volumes(engines: Engines) -> None:
    a = engines.a.volumes
    made = a.create("data", labels={"k": "v"})
    assert (made.name, dict(made.labels), made.driver) == ("data", {"k": "v"}, "local")
    assert [volume.name for volume in a.list(filters={"label": ["k=v"]})] == ["data"]
    assert a.list(filters={"label": ["k=w"]}) == ()
    engines.container("user", *SLEEP, volumes=[{"Name": "data", "Dest": "/data"}])
    mount = engines.a.containers.inspect("user").mounts[0]
    assert (mount.type, mount.name, mount.target, mount.writable) == ("volume", "data", "/data", True)
    refused(lambda: a.create("data"), 500, "volume already exists")
    refused(lambda: a.remove("data"), 409, "volume is being used")
    refused(lambda: a.inspect("none"), 404, "no such volume")
    engines.a.containers.delete("user")
    a.remove("data")
    assert not a.exists("data")


def test_networks(engines: Engines) -> None:
    a = engines.a.networks
    made = a.create({"name": "net", "driver": "bridge", "subnets": [{"subnet": "10.91.0.0/24"}], "labels": {"k": "v"}})
    assert (made.name, made.driver, made.subnets, dict(made.labels)) == ("net", "bridge", ("10.91.0.0/24",), {"k": "v"})
    assert made in a.list()
    engines.running("in", *SLEEP, netns={"nsmode": "bridge"}, networks={"net": {"static_ips": ["10.91.0.7"]}})
    place = engines.a.containers.inspect("in").networks[0]
    assert (place.network, place.address, place.prefix) == ("net", "10.91.0.7", 24)
    refused(lambda: a.create({"name": "net", "driver": "bridge"}), 409, "network already exists")
    refused(lambda: a.remove("net"), 500, "network is being used")
    refused(lambda: a.inspect("none"), 404, "network not found")
    engines.a.containers.delete("in", force=True)
    a.remove("net")
    assert not a.exists("net")


def test_a_checkpoint_goes_from_one_engine_to_the_other(engines: Engines) -> None:
    container = engines.running("moves", *COUNT)
    wait_until(lambda: said_by(engines.a, container).count(b"\n") >= 3, deadline=SAID_S, what="counts")
    with engines.a.checkpoints.export(container, keep=True) as archive:
        assert engines.b.checkpoints.restore(archive) == container
    before = int(said_by(engines.a, container).split()[-1])
    assert engines.a.containers.inspect(container).state.checkpointed
    assert engines.b.containers.inspect(container).state.restored

    def new() -> list[int]:
        # The log comes along.
        return [count for count in map(int, said_by(engines.b, container).split()) if count > before]

    wait_until(lambda: bool(new()), deadline=SAID_S, what="counts at the other engine")
    assert new()[0] == before + 1


def test_a_checkpoint_that_fails_leaves_nothing(engines: Engines) -> None:
    container = engines.running("stays", *COUNT)
    with engines.a.checkpoints.export(container, keep=True) as feed:
        archive = b"".join(feed)

    def breaking() -> Iterator[bytes]:
        yield archive
        raise ValueError("the source broke off")

    b = engines.b.checkpoints
    for cut in (archive[: len(archive) // 2], b"garbage"):
        refused(lambda cut=cut: b.restore([cut]), 500, "unexpected EOF")  # type: ignore[misc]
    with pytest.raises(ValueError, match="broke off"):
        b.restore(breaking())
    assert engines.b.containers.list() == ()
    refused(lambda: engines.a.checkpoints.restore([archive]), 500, "that ID is already in use")
    engines.a.checkpoints.bring_back(container)
    assert engines.a.containers.inspect(container).state.status == "running"
    other = b.restore([archive], name="copy")
    assert other != container
    refused(lambda: b.restore([archive], name="copy"), 500, "that name is already in use")


def test_what_can_not_be_checkpointed(engines: Engines) -> None:
    container = engines.running("off", *SLEEP)
    a = engines.a.checkpoints
    engines.a.containers.pause(container)
    refused(lambda: a.export(container), 500, "container state improper")
    engines.a.containers.unpause(container)
    refused(lambda: a.bring_back(container), 500, "container state improper")
    engines.a.containers.stop(container, 0)
    refused(lambda: a.export(container), 500, "container state improper")
    refused(lambda: a.bring_back(container), 500, "no such file or directory")
    refused(lambda: a.export("none"), 404, "no such container")


def test_taken_and_brought_back_where_it_is(engines: Engines) -> None:
    container = engines.running("naps", *COUNT)
    engines.a.checkpoints.take(container, leave_running=True)
    assert engines.a.containers.inspect(container).state.running
    engines.a.checkpoints.take(container)
    assert engines.a.containers.inspect(container).state.checkpointed
    engines.a.checkpoints.bring_back(container)
    assert engines.a.containers.inspect(container).state.running


def test_many_calls_at_once(engines: Engines) -> None:
    container = engines.running("asked", *SLEEP)
    failures: list[Exception] = []

    def ask() -> None:
        try:
            for _ in range(10):
                assert engines.a.containers.inspect(container).id == container
        except Exception as error:  # noqa: BLE001 - raised in a thread, it would go unseen
            failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_a_wait_is_ended_by_closing(engines: Engines) -> None:
    container = engines.running("waited", *SLEEP)
    connection = Connection(engines.lab.engines[0].socket)
    threading.Timer(0.2, connection.close).start()
    with pytest.raises(Unreachable, match="closed"):
        Libpod(connection).containers.wait(container, timeout_s=SAID_S)


def test_an_engine_that_is_stopped_and_one_that_is_new(engines: Engines) -> None:
    engine = engines.lab.engines[1]
    engine.signal_service(signal.SIGSTOP)
    try:
        with pytest.raises(Unreachable, match="said nothing"):
            engines.b.ping(timeout_s=0.5)
    finally:
        engine.signal_service(signal.SIGCONT)
    engines.b.ping(timeout_s=SAID_S)
    engine.signal_service(signal.SIGKILL)
    with pytest.raises(Unreachable):
        engines.b.ping(timeout_s=SAID_S)
    engine.start_service()
    engines.b.ping(timeout_s=SAID_S)
