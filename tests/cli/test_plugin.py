"""Commands that plugins bring: listed from metadata, loaded when wanted, isolated when broken."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.harness import Cli

GOOD = """
import click

@click.command()
@click.pass_obj
def greet(shell):
    if shell.json:
        shell.document([{"hello": shell.connect("mock:///a").name}])
    else:
        shell.say("hello\\x1b")
        shell.table(["A", "B"], [("1", "2")], right=["A"])
        shell.note("done")
"""


class Site:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(self, name: str, code: str = GOOD, distribution: str | None = None, attribute: str = ":greet") -> None:
        distribution = distribution or f"fake_{name}"
        (self.folder / f"{distribution}_code.py").write_text(code)
        info = self.folder / f"{distribution}-1.0.dist-info"
        info.mkdir()
        (info / "entry_points.txt").write_text(f"[vhal.commands]\n{name} = {distribution}_code{attribute}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    for module in [name for name in sys.modules if name.startswith("fake_")]:
        monkeypatch.delitem(sys.modules, module)
    return Site(folder)


def test_is_listed_without_being_imported(cli: Cli, site: Site) -> None:
    site.install("greet", "raise AssertionError")
    text = cli("--help").stdout
    assert "Commands of plugins:\n  greet  Comes with fake-greet.\n  sim    Comes with vhal-mock.\n" in text
    assert cli.complete("vhal", "gr") == ["greet"]


def test_help_imports_no_plugin() -> None:
    script = "import sys\nfrom vhal.cli.app import app\ntry:\n    app.main(['--help'])\nexcept SystemExit: pass\n"
    script += "assert not {'vhal_mock', 'pluggy', 'pydantic', 'vhal.registry'} & set(sys.modules), sys.modules\n"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "sim" in done.stdout


def test_gets_what_it_needs(cli: Cli, site: Site) -> None:
    site.install("greet")
    ran = cli("greet")
    assert ran.stdout == "hello\N{REPLACEMENT CHARACTER}\nA  B\n1  2\n"
    assert ran.stderr == "done\n"
    assert cli("greet", "-q").stderr == ""
    assert cli.items("greet") == [{"hello": "mock:///a"}]
    assert "--no-plugin" in cli("greet", "--help").stdout


@pytest.mark.parametrize(
    ("code", "attribute", "said"),
    [
        ("import nothing_of_that_name", ":greet", "can't be loaded: ModuleNotFoundError"),
        ("raise SystemExit(3)", ":greet", "can't be loaded: SystemExit"),
        ("", ":greet", "can't be loaded: AttributeError"),
        ("greet = 3", ":greet", "is a int, not a click command"),
        ("", "", "is a module, not a click command"),
    ],
)
def test_a_broken_one_breaks_nothing_else(cli: Cli, site: Site, code: str, attribute: str, said: str) -> None:
    site.install("greet", code, attribute=attribute)
    error = cli.error("greet", code=6)
    assert error["code"] == "plugin-error"
    assert said in error["message"]
    assert "fake-greet 1.0" in error["message"]
    assert error["hint"]
    assert "greet" in cli("--help").stdout
    cli("list", "-H", "mock:///a")


def test_strict_shows_where_it_fails(cli: Cli, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.install("greet", "raise ZeroDivisionError")
    monkeypatch.setenv("VHAL_STRICT_PLUGINS", "1")
    with pytest.raises(ZeroDivisionError):
        cli("greet")


def test_two_that_claim_one_name(cli: Cli, site: Site) -> None:
    site.install("greet")
    site.install("greet", distribution="fake_other")
    assert "claimed by fake-greet 1.0 and fake-other 1.0" in cli.error("greet", code=6)["message"]


def test_none_takes_the_place_of_our_own(cli: Cli, site: Site) -> None:
    site.install("backends", "raise AssertionError")
    assert "Comes with fake-backends" not in cli("--help").stdout
    assert "mock" in [item["name"] for item in cli.items("backends")]


def test_blocked(cli: Cli, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.install("greet")
    assert "No such command 'greet'" in cli.error("--no-plugin", "greet", "greet", code=2)["message"]
    monkeypatch.setenv("VHAL_PLUGINS", "mock,sim")
    assert "greet" not in cli("--help").stdout
    assert cli.error("greet", code=2)["code"] == "usage"
    assert "migration" in cli("sim", "points").stdout


def test_root_runs_none_that_everybody_can_write(cli: Cli, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    site.install("greet", "raise AssertionError")
    site.folder.chmod(0o777)
    assert "everybody can write to" in cli.error("greet", code=6)["message"]
