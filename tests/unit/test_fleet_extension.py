"""Filters and scores of plugins: found by their metadata, and a broken plugin breaks nothing else."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from vhal_mock.world import World

import vhal
from vhal.fleet.fleet import Fleet
from vhal.fleet.placement.extension import GROUP, extensions
from vhal.registry import Registry

GOOD = """
import vhal.driver

@vhal.driver.hookimpl
def vhal_placement_filters():
    return [vhal.driver.PlacementFilter("never-a", lambda host, spec: "is a" if host.name == "a" else "")]

@vhal.driver.hookimpl
def vhal_placement_scores():
    return [vhal.driver.PlacementScore("c", lambda host, spec: host.name == "c", 9)]
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.delenv("VHAL_PLUGINS", raising=False)
    monkeypatch.delenv("VHAL_STRICT_PLUGINS", raising=False)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("placement_")]:
        del sys.modules[name]


def install(site: Path, name: str, code: str, distribution: str | None = None) -> None:
    module = f"placement_{name}"
    (site / f"{module}.py").write_text(code)
    info = site / f"{distribution or name}-1.0.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{name} = {module}\n")


def test_without_plugins_there_is_nothing(site: Path) -> None:
    found = extensions(Registry())
    assert (found.filters, found.scores, found.problems) == ((), (), ())


def test_a_plugin_decides_where_machines_go(site: Path) -> None:
    install(site, "good", GOOD)
    w = World.from_spec({"hosts": [{"name": name} for name in "abc"]})
    with Fleet({name: w.url(name) for name in "abc"}) as fleet:
        found = fleet.explain(vhal.MachineSpec(name="web"))
        assert found.chosen == "c"
        assert dict(found.verdicts[-1].against) == {"good:never-a": "is a"}
        assert fleet.create(vhal.MachineSpec(name="web")).host is fleet.host("c")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise RuntimeError('boom')", "RuntimeError: boom"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        (
            GOOD.replace('PlacementFilter("never-a", lambda', 'PlacementScore("never-a", lambda'),
            "not a PlacementFilter",
        ),
        (GOOD.replace("def vhal_placement_scores()", "def vhal_placement_score()"), "unknown hook"),
        (GOOD.replace("def vhal_placement_scores()", "def vhal_placement_scores(what)"), "what"),
    ],
)
def test_a_broken_plugin_is_named_and_left_out(site: Path, code: str, said: str) -> None:
    install(site, "broken", code)
    install(site, "good2", GOOD)
    found = extensions(Registry())
    assert [each.name for each in found.filters] == ["good2:never-a"]
    assert len(found.problems) == 1
    assert found.problems[0].startswith("placement plugin 'broken' of broken is left out: ")
    assert said in found.problems[0]
    with Fleet(["mock:///b"]) as fleet:
        assert found.problems[0] in fleet.explain(vhal.MachineSpec(name="web")).notes


def test_two_that_claim_one_name_are_both_left_out(site: Path) -> None:
    install(site, "twice", GOOD, "one")
    install(site, "twice", GOOD, "two")
    assert "one and two claim one name" in extensions(Registry()).problems[0]


def test_one_that_is_blocked_is_not_loaded(site: Path) -> None:
    install(site, "unwanted", "raise AssertionError")
    assert not extensions(Registry(block=["unwanted"])).problems


def test_a_strict_process_shows_where_it_fails(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(site, "strict", "raise RuntimeError('boom')")
    monkeypatch.setenv("VHAL_STRICT_PLUGINS", "1")
    with pytest.raises(RuntimeError, match="boom"):
        extensions(Registry())
