"""The command line on real hosts: processes of their own that know nothing of each other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.conftest import Pair

VHAL = Path(sys.executable).with_name("vhal")


class Shell:
    """Runs ``vhal`` with two named hosts, as a user would who has them in their configuration."""

    def __init__(self, folder: Path, pair: Pair) -> None:
        hosts = folder / "hosts.toml"
        hosts.write_text(f'[hosts.a]\nurl = "{pair.a}"\n[hosts.b]\nurl = "{pair.b}"\n')
        hosts.chmod(0o600)
        self.environment = {**os.environ, "VHAL_CONFIG": str(hosts)}
        self.environment.pop("VHAL_HOST", None)

    def run(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [VHAL, *words], env=self.environment, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    def items(self, *words: str) -> list[dict[str, Any]]:
        document = json.loads(self.run(*words, "--json").stdout)
        assert document["api"] == "vhal/v1"
        items: list[dict[str, Any]] = document["items"]
        return items

    def error(self, *words: str, code: int) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run(*words, "--json", code=code).stderr)
        return found


@pytest.fixture
def shell(tmp_path: Path, real: Pair) -> Shell:
    return Shell(tmp_path, real)


def test_a_machine_from_its_file_to_its_end(shell: Shell, real: Pair, tmp_path: Path) -> None:
    spec = tmp_path / "web.json"
    spec.write_text(real.spec("web").model_dump_json())
    (made,) = shell.items("create", "-f", str(spec), "--label", "team=blue", "--wait", "-H", "a")
    assert (made["name"], made["state"]) == ("web", "running")

    assert {host["name"]: host["ok"] for host in shell.items("hosts")} == {"a": True, "b": True}
    assert [(m["name"], m["host"]) for m in shell.items("list", "--label", "team=blue")] == [("web", "a")]
    assert "count" in shell.run("console", "web", "--until", "count [0-9]+").stdout

    assert shell.error("create", "-f", str(spec), "-H", "a", code=4)["code"] == "already-exists"
    assert shell.error("delete", "web", "--yes", code=4)["code"] == "invalid-state"
    assert shell.error("migrate", "web", "--to", "a", code=5)["code"] == "migration-refused"

    # Undone: slowly, so that the abort comes in the middle.
    aborted = shell.error("migrate", "web", "--to", "b", "--bandwidth", "4MiB", "--abort-after", "1s", code=1)
    assert aborted["code"] == "aborted"
    assert [(m["host"], m["state"]) for m in shell.items("list")] == [("a", "running")]

    shell.run("migrate", "web", "--to", "b", "--dry-run")
    (moved,) = shell.items("migrate", "web", "--to", "b")
    assert moved["live"]
    assert moved["downtime_s"] > 0
    assert [(m["host"], m["state"]) for m in shell.items("list")] == [("b", "running")]

    for words, state in (
        (("pause", "web"), "paused"),
        (("resume", "web"), "running"),
        (("save", "web"), "saved"),
        (("restore", "web"), "running"),
        (("stop", "web"), "stopped"),
    ):
        shell.run(*words)
        assert shell.items("show", "web")[0]["state"] == state
    shell.run("delete", "web", "--yes")
    assert shell.error("show", "web", code=3)["code"] == "not-found"
    assert shell.items("list") == []


def test_doctor_looks_at_the_real_engine(shell: Shell) -> None:
    found = json.loads(subprocess.run([VHAL, "doctor", "--json"], env=shell.environment, capture_output=True).stdout)
    backends = {item["backend"]: item for item in found["items"]}
    assert backends["mock"]["ok"]
    subjects = [finding["subject"] for finding in backends["libvirt"]["findings"]]
    assert any("libvirt-python" in subject for subject in subjects), subjects
    # Whatever isn't as it should be says what to do.
    assert all(finding["remedy"] for finding in backends["libvirt"]["findings"] if not finding["ok"])
