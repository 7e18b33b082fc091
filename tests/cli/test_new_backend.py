"""``vhal new-backend``: what it writes is installable, clean and passes the kit; what it refuses, it doesn't begin."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import vhal
from tests.cli.harness import Cli
from vhal.driver import SPI

NAMES = ["tiny-box", "x", "a-name-that-is-as-long-as-may-be"]


def run(*command: str, folder: Path, path: str = "") -> str:
    """Run a program of this environment in ``folder``, with ``path`` on the search path for modules."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("VHAL_CONFIG", "VHAL_HOST")}
    env = {**inherited, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "100"}
    ran = subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, env=env, capture_output=True, text=True, timeout=200, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def install(project: Path, site: Path) -> str:
    """Do what an editable installation does: metadata from pyproject.toml, and the project on the path."""
    facts = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    info = site / f"{facts['name'].replace('-', '_')}-{facts['version']}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {facts['name']}\nVersion: {facts['version']}\n")
    groups = [
        [f"[{group}]", *(f"{k} = {v}" for k, v in named.items())] for group, named in facts["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n".join(line for lines in groups for line in lines))
    return f"{site}{os.pathsep}{project}"


@pytest.fixture(params=NAMES)
def project(cli: Cli, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    folder = tmp_path / "made"
    cli("new-backend", str(request.param), "--path", str(folder))
    return folder


def test_it_says_what_it_wrote(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ran = cli("new-backend", "tiny-box")
    written = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()]
    assert ran.stdout.splitlines() == sorted(written)
    assert {"vhal-tiny-box/vhal_tiny_box/py.typed", "vhal-tiny-box/.github/workflows/ci.yml"} <= set(written)
    assert "pip install" in ran.stderr
    (item,) = cli.items("new-backend", "other")
    assert (item["name"], item["path"]) == ("other", "vhal-other")
    assert all((tmp_path / "vhal-other" / file).is_file() for file in item["files"])


@pytest.mark.parametrize("project", ["tiny-box"], indirect=True)
def test_installed_it_is_a_backend_and_passes_the_kit(project: Path, tmp_path: Path) -> None:
    path = install(project, tmp_path / "site")
    script = "from vhal.cli import main; main()"
    (tmp_path / "vhal_command.py").write_text(script)
    path = f"{path}{os.pathsep}{tmp_path}"
    listed = json.loads(run("vhal_command", "backends", "--load", "--json", folder=tmp_path, path=path))
    (backend,) = [item for item in listed["items"] if item["name"] == "tiny-box"]
    assert (backend["distribution"], backend["version"], backend["error"]) == ("vhal-tiny-box", "0.1.0", None)
    assert backend["spi"] == list(SPI)
    made = json.loads(run("vhal_command", "create", "web", "-H", "tiny-box:///", "--json", folder=tmp_path, path=path))
    assert made["items"][0]["name"] == "web"
    run("vhal_command", "conformance", "tiny-box:///", "--quirk", "no-agent", folder=tmp_path, path=path)
    ran = run("pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio", folder=project, path=path)
    assert int(ran.rsplit(" passed", 1)[0].split()[-1]) >= 20


@pytest.mark.parametrize("check", ["ruff format --check --no-cache", "ruff check --no-cache"])
def test_it_is_clean_whatever_its_name(project: Path, check: str) -> None:
    run(*check.split(), folder=project)


@pytest.mark.parametrize("project", ["tiny-box"], indirect=True)
def test_its_types_are_strict(project: Path) -> None:
    assert tomllib.loads((project / "pyproject.toml").read_text())["tool"]["mypy"]["strict"]
    assert "no issues found" in run("mypy", folder=project)


@pytest.mark.parametrize("project", ["tiny-box"], indirect=True)
def test_it_names_the_versions_that_it_was_made_for(project: Path) -> None:
    facts = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    major, minor = vhal.__version__.split(".")[:2]
    assert facts["dependencies"][0].startswith(f"vhal>={major}.{minor},<")
    steps = yaml.safe_load((project / ".github" / "workflows" / "ci.yml").read_text())["jobs"]["test"]["steps"]
    assert [step["run"] for step in steps if "run" in step][-4:] == [
        "ruff format --check",
        "ruff check",
        "mypy",
        "pytest",
    ]
    assert not [path for path in project.rglob("*") if path.is_file() and "@class@" in path.read_text()]


def test_an_empty_folder_will_do(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cli("new-backend", "tiny-box", "--path", ".")
    assert (tmp_path / "pyproject.toml").is_file()


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("Tiny", "invalid-spec", "can't be a backend's name"),
        ("2nd", "invalid-spec", "can't be a backend's name"),
        ("a--b", "invalid-spec", "can't be a backend's name"),
        ("ends-", "invalid-spec", "can't be a backend's name"),
        ("../up", "invalid-spec", "can't be a backend's name"),
        ("a" * 33, "invalid-spec", "can't be a backend's name"),
        ("mock", "already-exists", "there is a backend 'mock' of vhal-mock"),
        ("containers", "already-exists", "there is a backend 'containers'"),
    ],
)
def test_a_name_that_will_not_do(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, code: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    error = cli.error("new-backend", name, code={"invalid-spec": 2, "already-exists": 4}[code])
    assert error["code"] == code
    assert said in error["message"]
    assert error["hint"]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_will_not_do(cli: Cli, tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine").write_text("mine")
    for folder, code, exits in (
        (full, "already-exists", 4),
        (full / "mine", "already-exists", 4),
        (tmp_path / "not" / "there", "not-found", 3),
        (full / "mine" / "below", "not-found", 3),
        (Path("/sys/new"), "access-denied", 6),
    ):
        error = cli.error("new-backend", "tiny-box", "--path", str(folder), code=exits)
        assert (error["code"], bool(error["hint"])) == (code, True), folder
    assert [path.name for path in tmp_path.rglob("*")] == ["full", "mine"]
    assert (full / "mine").read_text() == "mine"
