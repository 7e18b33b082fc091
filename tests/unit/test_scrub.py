"""No secret is in a recording, and it answers all the same."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

import vhal
from tests.unit.sessions import failure, record, replay
from vhal.layers.scrub import HIDDEN, Pseudonyms, Scrubber, is_secret
from vhal.layers.streams import Kept

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

AWKWARD = 'say "hunter2"\nto/ä\'lice'


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
        "name",
        [
            "password",
            "db_password",
            "API-Key",
            "accessToken",
            "ssh_keys",
            "client.secret",
            "env",
            "authToken",
            "PGPASSWORD",
        ],
    )
    def test_names_of_secret_fields(self, name: str) -> None:
        assert is_secret(name)

    @pytest.mark.parametrize("name", ["keyboard", "monkey", "bypass", "passenger", "author", "environment", "name"])
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
            ("Authorization: token abcdefgh", f"Authorization: token {HIDDEN}"),
            ("-----BEGIN RSA PRIVATE KEY-----\nx\n-----END", f"-----BEGIN RSA PRIVATE KEY-----{HIDDEN}-----END"),
            ("DB_PASSWORD=abc next", f"DB_PASSWORD={HIDDEN} next"),
            ("at https://h/x?access_token=abc&y=1", f"at https://h/x?access_token={HIDDEN}&y=1"),
            ("AWS_SECRET_ACCESS_KEY=abc", f"AWS_SECRET_ACCESS_KEY={HIDDEN}"),
            ("password: 'two words' next", f"password: '{HIDDEN}' next"),
            (json.dumps(json.dumps({"password": "a'b"})), json.dumps(json.dumps({"password": HIDDEN}))),
            ("mysql --root-password abc -v", f"mysql --root-password {HIDDEN} -v"),
            ("login --token --verbose", "login --token --verbose"),
            ("HTTPS://u:p@ss@h/x@y", f"HTTPS://{HIDDEN}@h/x@y"),
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

    @pytest.mark.parametrize(
        "written",
        [
            lambda secret: json.dumps({"p": secret}),
            lambda secret: f"it was {secret!r}",
            lambda secret: f"https://h/?q={quote(secret, safe='')}",
            *(lambda secret, n=n: b64encode(bytes(n) + secret.encode() + b"after").decode() for n in range(3)),
        ],
    )
    def test_a_known_secret_is_covered_as_it_is_written_elsewhere(self, written: Callable[[str], str]) -> None:
        text = written(AWKWARD)
        told = Scrubber([AWKWARD]).scrubbed({"told": text})["told"]
        assert HIDDEN in told
        assert len(told) < len(text)

    @pytest.mark.parametrize(
        "word", ["create", "memory", "container", "running", "result", "number", "vhal-session", "Answer", "process"]
    )
    def test_a_recording_is_read_whatever_words_are_in_user_data(self, tmp_path: Path, word: str) -> None:
        def live(host: vhal.Host) -> list[Any]:
            init = vhal.spec.Init(user_data=f"#cloud-config\n# {word} 52:54:00:00:00:01 192.0.2.7\n")
            nic = vhal.spec.Nic(mac="52:54:00:00:00:01")
            vm = host.create(vhal.MachineSpec(name="web", init=init, nics=[nic]))
            vm.start()
            return [vm.info(), host.info().name]

        record(tmp_path / "s.json", live)
        _, driver = replay(tmp_path / "s.json", live)
        assert driver.left() == []

    def test_a_password_behind_a_users_name_is_known(self, tmp_path: Path) -> None:
        def live(host: vhal.Host) -> list[Any]:
            init = vhal.spec.Init(user_data="#cloud-config\nchpasswd:\n  list: |\n    root:hunter2hunter2\n")
            vm = host.create(vhal.MachineSpec(name="web", kind="container", init=init))
            vm.start()
            return [vm.exec(["echo", "hunter2hunter2"])]

        record(tmp_path / "s.json", live)
        assert "hunter2hunter2" not in (tmp_path / "s.json").read_text()

    def test_a_secret_is_covered_across_the_pieces_of_an_archive(self) -> None:
        kept = Kept("archive", lambda error: error)
        pieces = iter((b"TOKEN: s3cr3t", b"-of-env"))
        for _ in range(2):
            kept.reading(lambda: next(pieces), lambda piece: (1, piece))
        scrubbed = Scrubber(["s3cr3t-of-env"]).scrubbed(kept.data())["pieces"]
        assert b"".join(piece for _, piece in scrubbed) == b"TOKEN: " + b"x" * 13

    def test_a_uuid_may_be_a_secret_and_an_address_is_none(self) -> None:
        key = "6f9619ff-8b86-4011-b42d-00cf4fc964ff"
        data = {"env": {"KEY": key, "AT": "192.0.2.7"}, "told": f"{key} at 192.0.2.7"}
        assert Scrubber().scrubbed(data)["told"] == f"{HIDDEN} at 192.0.2.7"

    def test_a_label_that_is_called_as_an_environment_stays(self) -> None:
        data = {"labels": {"env": "production"}, "in": "production"}
        assert Scrubber().scrubbed(data) == data

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
