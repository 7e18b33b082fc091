"""A recorded session answers as the engine did, holds no secret, and says what differs from it."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vhal_mock.world import World

import vhal
from vhal.driver import CAPABILITIES, Answer, Blocker, Context, Driver, Event, EventKind, Fault, FaultPlan, Level
from vhal.errors import (
    AlreadyExists,
    CommandFailed,
    InsufficientResources,
    InvalidSpec,
    MigrationRefused,
    NotFound,
    NotRecorded,
    VhalError,
)
from vhal.layers.encoding import plain, tagged, untagged
from vhal.layers.scrub import HIDDEN, Pseudonyms, Scrubber, is_secret
from vhal.layers.session import read, write
from vhal.testing import Chaos, Recorder, Replay

Life = Callable[[vhal.Host], list[Any]]


def dicts(answers: list[Any]) -> list[Any]:
    """Answers that can be compared. An error's host is the connection's own name, if the driver didn't say one."""
    made = [answer.as_dict() if isinstance(answer, (VhalError, Answer)) else answer for answer in answers]
    return [{**answer, "host": None} if isinstance(answer, dict) else answer for answer in made]


def failure(call: Callable[[], object]) -> VhalError:
    with pytest.raises(VhalError) as caught:
        call()
    return caught.value


def whole_life(host: vhal.Host) -> list[Any]:
    """Use about everything that there is, and return all answers."""
    told: list[Any] = [host.info()]
    with host.events() as events:
        vm = host.create(vhal.MachineSpec(name="web", cpus=2, memory="1GiB", labels={"team": "blue"}))
        told += [vm.info(), failure(lambda: host.create(vhal.MachineSpec(name="web")))]
        told.append(failure(lambda: host.create(vhal.MachineSpec(name="big", memory="1TiB"))))
        told += [host.can(key, vm.info()) for key in CAPABILITIES.values() if key.id != "create"]
        vm.start()
        vm.wait("ready")
        with vm.console() as console:
            told.append(console.expect("ready")[0])
        told.append(vm.exec(["echo", "hello"]))
        told.append(failure(lambda: vm.exec(["false"], check=True)))
        vm.pause()
        told.append(failure(vm.start))
        vm.resume()
        vm.save()
        vm.restore()
        vm.reboot()
        vm.resize(cpus=3)
        told += [vm.snapshot("one"), vm.snapshots(), vm.usage(), host.usage()]
        vm.write_file("/etc/motd", b"hello\x00\xff")
        told.append(vm.read_file("/etc/motd"))
        vm.delete_snapshot("one")
        vm.stop()
        told.append([machine.info() for machine in host.machines()])
        vm.delete()
        told.append(failure(lambda: host.machine("web")))
        while (event := events.next(timeout_s=0)) is not None:
            told.append(event)
    return told


def record(path: Path, live: Life, *, pseudonyms: bool = False, seed: dict[str, Any] | None = None) -> list[Any]:
    world = World.from_spec({"hosts": [seed or {"name": "a"}]})
    with vhal.connect(world.url("a"), layers=[Recorder]) as host:
        told = live(host)
        host.layer(Recorder).save(path, pseudonyms=pseudonyms)
    return told


def replay(path: Path, live: Life) -> tuple[list[Any], Replay]:
    driver = Replay.load(path)
    with vhal.connect(driver) as host:
        return live(host), driver


class TestSession:
    def test_a_whole_life_is_the_same(self, tmp_path: Path) -> None:
        told = record(tmp_path / "life.json", whole_life)
        again, driver = replay(tmp_path / "life.json", whole_life)
        assert dicts(again) == dicts(told)
        assert [type(answer) for answer in again] == [type(answer) for answer in told]
        assert sum(isinstance(answer, Event) for answer in told) > 8
        assert driver.left() == []

    def test_with_pseudonyms_it_is_the_same_but_for_names(self, tmp_path: Path) -> None:
        path = tmp_path / "life.json"
        told = record(path, whole_life, pseudonyms=True)
        again, driver = replay(path, whole_life)
        assert [type(answer) for answer in again] == [type(answer) for answer in told]
        assert driver.left() == []
        assert told[0].uuid not in path.read_text()
        assert again[0].name in ("host-1", "host-2"), "the other is the world's, in URLs"
        assert again[0].uuid == driver.host_id

    def test_only_its_owner_reads_it_and_nothing_else_is_left(self, tmp_path: Path) -> None:
        path = tmp_path / "life.json"
        path.write_text("old")
        path.chmod(0o666)
        before = os.umask(0)
        try:
            record(path, lambda host: [host.info()])
        finally:
            os.umask(before)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert list(tmp_path.iterdir()) == [path]
        with pytest.raises(InvalidSpec, match="can't be written"):
            record(tmp_path / "none" / "life.json", lambda host: [host.info()])

    def test_a_migration_recorded_on_both_hosts(self, tmp_path: Path) -> None:
        def move(a: vhal.Host, b: vhal.Host) -> list[Any]:
            vm = a.create(vhal.MachineSpec(name="web"))
            vm.start()
            return [vm.migrate(b).transferred, vm.info(), [m.name for m in b.machines()], vm.preflight(b)]

        for shared in (None, Pseudonyms()):
            world = World.from_spec({"hosts": [{"name": "a"}, {"name": "b"}]})
            hosts = [vhal.connect(world.url(name), layers=[Recorder]) for name in world.hosts]
            told = move(*hosts)
            for host, name in zip(hosts, "ab", strict=True):
                host.layer(Recorder).save(tmp_path / name, pseudonyms=shared or False)
            drivers = [Replay.load(tmp_path / name) for name in "ab"]
            again = move(*map(vhal.connect, drivers))
            assert (again[0], again[2]) == (told[0], told[2])
            assert shared is not None or dicts(again) == dicts(told)
            assert [driver.left() for driver in drivers] == [[], []]

    def test_recorded_faults_come_again(self, tmp_path: Path) -> None:
        def live(host: vhal.Host) -> list[Any]:
            vm = host.create(vhal.MachineSpec(name="web"))
            return [failure(vm.start), vm.state()]

        world = World.from_spec({"hosts": [{"name": "a"}]})
        plan = FaultPlan([Fault(at="start.end", kind="lost-reply")])
        with vhal.connect(world.url("a"), layers=[partial(Chaos, plan=plan), Recorder]) as host:
            told = live(host)
            host.layer(Recorder).save(tmp_path / "s.json")
        again, _ = replay(tmp_path / "s.json", live)
        assert dicts(again) == dicts(told)

    def test_a_program_that_nobody_waited_for(self, tmp_path: Path) -> None:
        def live(host: vhal.Host) -> list[Any]:
            vm = host.create(vhal.MachineSpec(name="web"))
            vm.start()
            with vm.spawn(["cat"]) as cat:
                cat.write("x")
                return [cat.read(), cat.exit_code]

        told = record(tmp_path / "s.json", live)
        assert told == [(1, b"x"), None]
        assert replay(tmp_path / "s.json", live)[0] == told

        def waiting(host: vhal.Host) -> list[Any]:
            vm = host.create(vhal.MachineSpec(name="web"))
            vm.start()
            return [failure(vm.spawn(["cat"]).wait)]

        (error,), _ = replay(tmp_path / "s.json", waiting)
        assert "the recording ended before the program did" in error.message

    def test_what_was_kept_from_the_middle_on(self, tmp_path: Path) -> None:
        world = World.from_spec({"hosts": [{"name": "a"}]})
        with vhal.connect(world.url("a"), layers=[Recorder]) as host:
            vm = host.create(vhal.MachineSpec(name="web"))
            host.layer(Recorder).clear()
            vm.start()
            host.layer(Recorder).save(tmp_path / "s.json")
        driver = Replay.load(tmp_path / "s.json")
        with vhal.connect(driver) as again:
            again.guard.start(vm.id, Context())
        assert driver.left() == []

    def test_faults_around_a_replay_take_no_time(self, tmp_path: Path) -> None:
        record(tmp_path / "s.json", lambda host: [host.info(), host.create(vhal.MachineSpec(name="web")).state()])
        plan = FaultPlan()
        with vhal.connect(Chaos(Replay.load(tmp_path / "s.json"), plan)) as host:
            vm = host.create(vhal.MachineSpec(name="web"))
            plan.add(Fault(at="start.begin", kind="hang"))
            assert failure(lambda: vm.start(timeout_s=100_000)).code == "timeout"


class TestStrictness:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        def live(host: vhal.Host) -> list[Any]:
            vm = host.create(vhal.MachineSpec(name="web", cpus=2))
            vm.start()
            vm.stop(force=True)
            return []

        record(tmp_path / "s.json", live)
        return tmp_path / "s.json"

    @pytest.fixture
    def host(self, path: Path) -> vhal.Host:
        return vhal.connect(Replay.load(path))

    def test_other_arguments(self, host: vhal.Host) -> None:
        error = failure(lambda: host.create(vhal.MachineSpec(name="web", cpus=4)))
        assert type(error) is NotRecorded
        assert "can of machine 'web' was not recorded here: the nearest is can 'web', where " in error.message
        assert "subject.cpus.count was 2 and is 4" in error.message
        assert error.hint == "make the calls of the recording, in their order, or record it anew"
        assert host.create(vhal.MachineSpec(name="web", cpus=2)).name == "web", "it waits for the right one"

    def test_another_order(self, host: vhal.Host) -> None:
        vm = host.create(vhal.MachineSpec(name="web", cpus=2))
        error = failure(vm.pause)
        assert "was not recorded here" in error.message
        assert "the nearest is" in failure(lambda: host.machine("wbe")).message
        driver = host.guard.inner
        assert isinstance(driver, Replay)
        left = driver.left()
        assert left[-1] == "stop 'web'"
        error = failure(lambda: driver.stop("web", vhal.driver.StopMode.FORCED, vhal.driver.Context()))
        assert "the nearest is stop 'web', where id was " in error.message
        assert ", but inspect 'web' comes before" in error.message

    def test_more_than_was_recorded(self, path: Path) -> None:
        def live(host: vhal.Host) -> list[Any]:
            vm = host.create(vhal.MachineSpec(name="web", cpus=2))
            vm.start()
            vm.stop(force=True)
            return [failure(vm.start), failure(host.info)]

        (again, more), _ = replay(path, live)
        assert "all of its recorded calls have been made" in again.message
        assert "describe was not recorded here: nothing is" in more.message

    def test_what_it_had_not_then_it_has_not_now(self, path: Path) -> None:
        driver = Replay.load(path)
        assert all(driver.provides(key) is not None for key in CAPABILITIES.values())
        write({**read(path).model_dump(mode="json"), "provides": ["pause"]}, path)
        driver = Replay.load(path)
        assert [key.id for key in CAPABILITIES.values() if driver.provides(key)] == ["pause"]


SECRETS = {
    "user-data": "hunter2hunter2",
    "env": "s3cr3t-of-env",
    "label": "tok-en-in-label",
    "argument": "pw-on-command-line",
    "flag": "pw-after-its-flag",
    "url": "alice-in-url",
    "home": "alice-at-home",
    "key": "AAAAC3NzaC1lZDI1NTE5AAAAIsecretkey",
    "meta": "meta-data-password",
}


def secretive(host: vhal.Host) -> list[Any]:
    spec = vhal.MachineSpec(
        name="web",
        kind="container",
        boot=vhal.spec.BootArchive(archive=f"/home/{SECRETS['home']}/base.tar"),
        process=vhal.spec.Process(env={"DB": SECRETS["env"]}),
        init=vhal.spec.Init(
            user_data=f"#cloud-config\npassword: {SECRETS['user-data']}\n",
            ssh_keys=[f"ssh-ed25519 {SECRETS['key']} me@there"],
            meta_data={"admin_password": SECRETS["meta"]},
        ),
        labels={"api-token": SECRETS["label"], "from": f"https://{SECRETS['url']}@example.org/x"},
    )
    vm = host.create(spec)
    vm.start()
    told: list[Any] = [vm.info()]
    told += [
        vm.exec(["echo", text, "--password", SECRETS["flag"]], env={"TOKEN": SECRETS["flag"]})
        for text in (SECRETS["env"], SECRETS["user-data"], f"token={SECRETS['argument']}")
    ]
    vm.write_file("/etc/secret", SECRETS["env"].encode())
    told.append(vm.read_file("/etc/secret"))
    told.append(failure(lambda: vm.exec([SECRETS["env"]])))
    return told


class TestSecrets:
    def test_the_file_holds_none(self, tmp_path: Path) -> None:
        path = tmp_path / "s.json"
        record(path, secretive)
        text = path.read_text()
        assert [name for name, secret in SECRETS.items() if secret in text] == []

    def test_it_answers_all_the_same(self, tmp_path: Path) -> None:
        told = record(tmp_path / "s.json", secretive)
        again, driver = replay(tmp_path / "s.json", secretive)
        assert driver.left() == []
        assert again[0].spec.process.env == {"DB": HIDDEN}
        assert again[0].spec.init.ssh_keys == (f"ssh-ed25519 {HIDDEN}",)
        assert again[0].replace(spec=None, labels={}) == told[0].replace(spec=None, labels={})
        assert len(again[1].output) == len(told[1].output), "bytes stay as long as they were"
        assert again[4] == b"x" * len(SECRETS["env"])
        assert again[5].code == "not-found"

    @pytest.mark.parametrize(
        "name", ["password", "db_password", "API-Key", "accessToken", "ssh_keys", "client.secret", "env", "authToken"]
    )
    def test_names_of_secret_fields(self, name: str) -> None:
        assert is_secret(name)

    @pytest.mark.parametrize("name", ["keyboard", "monkey", "passenger", "tokenizer", "author", "environment", "name"])
    def test_names_of_others(self, name: str) -> None:
        assert not is_secret(name)

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("qemu+ssh://root@host/system", f"qemu+ssh://{HIDDEN}@host/system"),
            ("https://u:p@h/x and more", f"https://{HIDDEN}@h/x and more"),
            ("in /home/me/disk.img, as", f"in /home/{HIDDEN}, as"),
            ("password=abc next", f"password={HIDDEN} next"),
            ("Authorization: Bearer abcdefgh.ijk", f"Authorization: Bearer {HIDDEN}"),
            ("-----BEGIN RSA PRIVATE KEY-----\nx\n-----END", f"-----BEGIN RSA PRIVATE KEY-----{HIDDEN}-----END"),
            ("nothing to hide at 10:30", "nothing to hide at 10:30"),
        ],
    )
    def test_looks(self, text: str, expected: str) -> None:
        assert Scrubber().scrubbed({"text": text}) == {"text": expected}

    @given(
        st.text(st.characters(codec="utf-8", exclude_characters='"\\'), min_size=6, max_size=40), st.binary(max_size=20)
    )
    def test_a_known_secret_is_nowhere(self, secret: str, around: bytes) -> None:
        data = {"token": secret, "list": [{"deep": f"x{secret}y"}], "bytes": around + secret.encode() + around}
        scrubbed = Scrubber().scrubbed(data)
        assert secret not in str(scrubbed["list"])
        assert scrubbed["token"] == HIDDEN
        assert len(scrubbed["bytes"]) == len(data["bytes"])
        assert HIDDEN in secret or secret.encode() not in scrubbed["bytes"] or set(secret) == {"x"}

    def test_a_machines_name_stays(self) -> None:
        scrubber = Scrubber(names=["web-server"])
        assert scrubber.scrubbed({"env": {"NAME": "web-server"}, "machine": "web-server"})["machine"] == "web-server"

    def test_a_machine_that_has_a_hosts_name_keeps_it(self) -> None:
        scrubber = Scrubber(names=["b"], pseudonyms=Pseudonyms(), hosts=["b"])
        assert scrubber.scrubbed({"machine": "b", "text": "on host 'b'"}) == {
            "machine": "b",
            "text": "on host 'host-1'",
        }

    def test_pseudonyms_are_in_what_programs_wrote_too_and_archives_keep_their_length(self) -> None:
        said = b"at 10.1.2.3 on build7\xff"
        data = {"out": {"$": "process", "pieces": [[1, said]]}, "file": {"$": "archive", "pieces": [[1, said]]}}
        found = Scrubber(pseudonyms=Pseudonyms(), hosts=["build7"]).scrubbed(data)
        assert found["out"]["pieces"] == [[1, b"at 192.0.2.2 on host-1\xff"]]
        assert found["file"]["pieces"] == [[1, b"at xxxxxxxx on xxxxxx\xff"]]

    def test_pseudonyms_are_the_same_for_the_same(self) -> None:
        others = Pseudonyms()
        text = "10.1.2.3 and fe80::1 at 52:54:00:AA:bb:cc of 6F9619FF-8B86-4011-B42D-00CF4FC964FF on build7, 127.0.0.1"
        assert others.cover(text, ["build7"]) == (
            "192.0.2.2 and 2001:db8::1 at 02:00:00:00:00:01 of 00000000-0000-8000-8000-000000000001 on host-1, "
            "127.0.0.1"
        )
        assert others.cover("10.1.2.3, 10.1.2.4") == "192.0.2.2, 192.0.2.3"
        assert others.cover("version 8.2.0 at 12:30:45, a::b::c") == "version 8.2.0 at 12:30:45, a::b::c"
        assert others.cover("a machine on host 'a'", ["a"]) == "a machine on host 'host-2'"


class TestDamage:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        record(tmp_path / "s.json", lambda host: [host.info(), host.create(vhal.MachineSpec(name="web"))])
        return tmp_path / "s.json"

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"format": "else"}, "that is no recorded session"),
            ({"version": 99}, "written by a newer vhal: its version is 99, this one reads 1"),
            ({"version": "1"}, "version: must be a number"),
            ({"version": 0}, "version: must be a number"),
            ({"backend": 7}, "backend: "),
            ({"more": 1}, "more: there is no such field"),
            ({"calls": [{"number": 1}]}, r"calls\[0\].call: this field is required"),
            ({"events": [{"to": 1, "after": 1, "event": {"x": 1}}]}, r"events\[0\]: that is no event"),
        ],
    )
    def test_what_is_wrong_is_named(self, path: Path, change: dict[str, Any], message: str) -> None:
        path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
        with pytest.raises(InvalidSpec, match=message) as caught:
            Replay.load(path)
        assert str(path) in caught.value.message
        assert caught.value.hint

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"call": "creat"}, "there is no call 'creat'"),
            ({"result": {"$": "HostInfo", "value": {}}}, "HostInfo is not valid"),
            ({"result": {"$": "HostInfo"}}, "that is no HostInfo"),
            ({"result": {"$": "os.system"}}, "there is no type 'os.system'"),
            ({"result": {"$": "Answer", "note": None, "blockers": [{}]}}, "that is no Answer"),
            ({"result": {"$": "bytes", "base64": "%"}}, "its bytes can't be read"),
            ({"result": {"$": "bytes"}}, "its bytes can't be read"),
            ({"call": "execute", "result": {"$": "process"}}, "damaged"),
            ({"error": {"$": "error", "class": "SystemExit"}}, "that is no error"),
        ],
    )
    def test_a_damaged_call(self, path: Path, change: dict[str, Any], message: str) -> None:
        data = json.loads(path.read_text())
        data["calls"][0] |= change
        path.write_text(json.dumps(data))
        with pytest.raises(InvalidSpec, match=message):
            Replay.load(path)

    @pytest.mark.parametrize("text", ["", "{", "[]", "null", '"x"', "[" * 100_000, "\x00"])
    def test_no_session_at_all(self, path: Path, text: str) -> None:
        path.write_text(text)
        with pytest.raises(InvalidSpec):
            Replay.load(path)

    def test_half_a_file(self, path: Path) -> None:
        text = path.read_text()
        path.write_text(text[: len(text) // 2])
        with pytest.raises(InvalidSpec, match="no well-formed JSON"):
            Replay.load(path)

    def test_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(NotFound):
            Replay.load(tmp_path / "none.json")
        with pytest.raises(InvalidSpec, match="can't be read"):
            Replay.load(tmp_path)


class TestEncoding:
    @pytest.mark.parametrize(
        "error",
        [
            InvalidSpec("bad", problems=[("a.b", "why")], hint="do"),
            MigrationRefused("no", blockers=[Blocker("c", "m", "r", Level.HOST, AlreadyExists)], host="h"),
            InsufficientResources("full", machine="web", backend="mock", native=ValueError("words")),
            CommandFailed("ended", exit_code=3, errors=b"\xff"),
        ],
    )
    def test_errors_come_back(self, error: VhalError) -> None:
        again = untagged(tagged(error))
        assert type(again) is type(error)
        assert again.as_dict() == error.as_dict()

    def test_an_error_of_a_plugins_own_comes_back_as_what_it_is(self) -> None:
        class Mine(AlreadyExists):
            pass

        assert type(untagged(tagged(Mine("taken")))) is AlreadyExists

    def test_values_come_back(self) -> None:
        event = Event(EventKind.STARTED, "1", "web", "a", 5.0, "why")
        answer = Answer((Blocker("c", "m", "r", Level.HOST, AlreadyExists),), "note")
        for value in (event, answer, [event, {"x": answer}], None, 1.5, True, "x"):
            assert untagged(tagged(value)) == value
        assert plain({"a": (1, {"b"}, Path("/x"))}) == {"a": [1, ["b"], "/x"]}


def test_a_replay_is_a_driver() -> None:
    assert issubclass(Replay, Driver)
