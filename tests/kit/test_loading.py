"""The plugin costs nothing until it is wanted, and imports nothing of vhal before coverage is measured."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

import vhal
from tests.kit.conftest import Run

LOOKS = """
    import sys

    def loaded():
        return {name for name in sys.modules if name.partition(".")[0] in ("vhal", "vhal_mock", "pydantic")}

    def pytest_configure(config):
        assert config.pluginmanager.has_plugin("vhal"), "the plugin isn't there"
        assert not loaded()

    def pytest_sessionfinish(session):
        print("at the end:", sorted(loaded()))
"""


def test_nothing_of_vhal_is_imported_for_tests_that_have_nothing_to_do_with_it(run: Run) -> None:
    done = run("def test_sum():\n    assert 1 + 1 == 2", "-s", conftest=LOOKS)
    done.assert_outcomes(passed=1)
    done.stdout.fnmatch_lines(["*at the end: []"])


def test_nothing_of_vhal_is_imported_before_a_test_wants_it(run: Run) -> None:
    done = run("def test_host(vhal_host):\n    assert vhal_host.machines() == []", "-s", conftest=LOOKS)
    done.assert_outcomes(passed=1)
    done.stdout.fnmatch_lines(["*at the end: *'vhal.host'*'vhal_mock.driver'*"])


def test_there_is_one_plugin() -> None:
    from importlib.metadata import entry_points

    ours = [entry.name for entry in entry_points(group="pytest11") if "vhal" in entry.value]
    assert ours == ["vhal"]


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_what_modules_do_when_they_are_imported_is_covered(
    run: Run, workers: tuple[str, ...], pytester: pytest.Pytester
) -> None:
    done = run(
        """
        import vhal

        def test_host(vhal_host):
            vhal_host.create(vhal.MachineSpec(name="web"))
        """,
        "--cov=vhal",
        "--cov=vhal_mock",
        "--cov-report=json",
        *workers,
    )
    done.assert_outcomes(passed=1)
    report = json.loads((pytester.path / "coverage.json").read_text())["files"]
    covered = {file: set(facts["executed_lines"]) for file, facts in report.items()}
    root = Path(vhal.__file__).parent
    for name in ("__init__", "errors", "host", "registry", "driver/driver", "spec/machine", "testing/worlds"):
        lines = covered[next(file for file in covered if Path(file).samefile(root / f"{name}.py"))]
        assert module_level(root / f"{name}.py") <= lines, name


def module_level(path: Path) -> set[int]:
    """Return the lines of a module's own classes, functions and assignments: they run at import, and only then."""
    body = ast.parse(path.read_text()).body
    kinds = (ast.ClassDef, ast.FunctionDef, ast.Assign)
    return {
        min((d.lineno for d in getattr(n, "decorator_list", [])), default=n.lineno) for n in body if type(n) in kinds
    }
