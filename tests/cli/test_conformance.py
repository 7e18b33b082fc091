"""``vhal conformance``: the suite on a host that is named, without a file of tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import vhal
from tests.cli.harness import Cli

VHAL = Path(sys.executable).with_name("vhal")
CRASHES = "raise RuntimeError('no engine, no import')"
HANGS = "import threading\nthreading.Event().wait()"
LIES = """
import vhal.driver
from vhal.driver.answer import YES
from vhal.errors import Unsupported
from vhal.spec.machine import MachineSpec
from vhal_mock.driver import MockDriver
from vhal_mock.world import World

HOST = World.from_spec({"hosts": [{"name": "a"}]}).host("a")

class Driver(MockDriver):
    backend = "odd"
    refuses = False  # its pause doesn't look at the state
    capabilities = MockDriver.capabilities | {"paws"}

    def pause(self, id, ctx):
        raise Unsupported("not on Mondays")

@vhal.driver.hookimpl
def vhal_backend():
    return vhal.driver.Backend(
        name="odd", summary="odd", spi=(1, 0), open=lambda url: Driver(HOST),
        sample=lambda name: MachineSpec(name=name, memory="64MiB"),
    )
"""


def run(*words: str, code: int, site: Path | None = None, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(site or ""), "PYTEST_ADDOPTS": "-p no:asyncio"}
    done = subprocess.run(
        [VHAL, "conformance", *words], capture_output=True, text=True, check=False, env=env, timeout=200, cwd=cwd
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder for distributions, with one that claims the backend ``odd``."""
    info = tmp_path / "site" / "odd-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "entry_points.txt").write_text("[vhal.backends]\nodd = odd_backend\n")
    return info.parent


def test_the_mock_needs_nothing(tmp_path: Path) -> None:
    done = run("mock:///a", "--layer", "liveness", "--layer", "refusals", "--json", code=0)
    (report,) = json.loads(done.stdout)["items"]
    (suite,) = report["suites"]
    assert suite["backend"] == "mock"
    assert {row["layer"] for row in suite["rows"]} == {"liveness", "refusals"}
    file = tmp_path / "smallest.toml"
    file.write_text('name = "smallest"\nmemory = "96MiB"\n')
    words = [
        "--spec",
        str(file),
        "--layer",
        "migration",
        "--require",
        "migration",
        "--report",
        str(tmp_path / "r.json"),
    ]
    assert " passed" in run("mock:///a", "--peer", "mock:///b", *words, code=0).stdout
    assert {row["outcome"] for row in json.loads((tmp_path / "r.json").read_text())["suites"][0]["rows"]} == {"passed"}
    assert "it is required (migration)" in run("mock:///a", *words, code=1).stdout


def test_nothing_is_left_where_it_was_started(tmp_path: Path) -> None:
    run("mock:///a", "--layer", "stateful", code=0, cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["libvirt+test:///default"], "backend 'libvirt' has no sample of a machine"),
        (["nope:///"], "there is no backend 'nope'"),
        (["mock:///a", "--spec", "/not/there.toml"], "there is no file /not/there.toml"),
        (["mock:///a", "--require", "snapshot"], "did you mean 'snapshots'?"),
    ],
)
def test_what_is_missing_is_said_once(words: list[str], said: str) -> None:
    done = run(*words, code=2)
    assert (done.stdout + done.stderr).count(said) == 1


def test_a_run_without_a_host_says_so() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-c/dev/null",
            "-pno:asyncio",
            "-pno:cacheprovider",
            "--pyargs",
            "vhal.testing.run",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "say which host: --vhal-backend URL" in done.stdout


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (CRASHES, "backend 'odd' of odd 1.0 (odd_backend) can't be loaded: RuntimeError: no engine, no import"),
        (HANGS, "the harness's open() hung in an earlier test, so it isn't called again"),
    ],
    ids=["crashes", "hangs"],
)
def test_a_plugin_that_can_not_be_imported(site: Path, code: str, said: str) -> None:
    (site / "odd_backend.py").write_text(code)
    done = run("odd:///", "--layer", "refusals", "--layer", "liveness", "--timeout", "1s", code=1, site=site)
    assert said in done.stdout
    assert "docs/reference/contract.md#lack-001" in done.stdout
    assert "backend 'odd', odd 1.0 (odd_backend)" in done.stdout


def test_what_a_plugin_does_wrong_is_told_with_its_row_and_the_rest_is_proved(site: Path, tmp_path: Path) -> None:
    (site / "odd_backend.py").write_text(LIES)
    done = run("odd:///", "--layer", "examples", "--report", str(tmp_path / "r.json"), code=1, site=site)
    for said in (
        "it declares 'paws', which the contract doesn't know: write 'pause'",
        "can(PAUSE) said yes, and the call raised Unsupported: not on Mondays: have can() say no",
        "row PAUS-001 (required): pause and resume",
        "backend 'odd', odd 1.0 (odd_backend)",
    ):
        assert said in done.stdout
    (suite,) = json.loads((tmp_path / "r.json").read_text())["suites"]
    assert (suite["plugin"], suite["spi"]) == ("odd 1.0 (odd_backend)", [1, 0])
    failed = {row["id"] for row in suite["rows"] if row["outcome"] == "failed"}
    assert failed == {"CONF-001", "CONF-004", "PAUS-001"}
    assert len(suite["rows"]) > 40


def test_without_the_kit_the_remedy_is_named(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vhal.cli.conformance.find_spec", lambda name: None)
    error = cli.error("conformance", "mock:///a", code=6)
    assert (error["message"], error["hint"]) == (
        "the conformance kit needs pytest and hypothesis",
        "pip install 'vhal[testing]'",
    )


def test_what_a_run_has_left_is_removed_and_nothing_else(cli: Cli, web: vhal.Machine) -> None:
    for name in ("vhal-kit-0a1b2c-1", "vhal-kit-0a1b2c-mine"):
        web.host.create(vhal.MachineSpec(name=name)).start()
    vhal.connect("mock:///b").create(vhal.MachineSpec(name="vhal-kit-0a1b2c-2"))
    assert cli.items("conformance", "mock:///a", "--peer", "mock:///b", "--reap") == [
        {"host": "mock:///a", "machine": "vhal-kit-0a1b2c-1"},
        {"host": "mock:///b", "machine": "vhal-kit-0a1b2c-2"},
    ]
    assert sorted(machine.name for machine in web.host.machines()) == ["vhal-kit-0a1b2c-mine", "web"]
    assert cli("conformance", "mock:///a", "--reap").stderr == "there is nothing that a run has left\n"
