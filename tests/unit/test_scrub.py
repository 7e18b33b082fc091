"""No secret is in a recording, and it answers all the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import vhal
from tests.unit.sessions import failure, record, replay
from vhal.layers.scrub import HIDDEN, Pseudonyms, Scrubber, is_secret

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
