"""The file of a fleet: what it may say, and what it says when it is wrong."""

from __future__ import annotations

import re
import tomllib
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vhal.errors import InvalidConfig, NotFound, VhalError
from vhal.fleet.contradiction import refuse_contradictions
from vhal.fleet.file import FleetFile, default_path, load
from vhal.fleet.fleet import Fleet
from vhal.fleet.rules import Apart, Never, Only, Rule, Stay, Together
from vhal.fleet.snapshot import HostStatus

WHOLE = """
half_life_s = 60
patience_s = 5

[defaults]
overcommit = 4
reserved_memory = "2GiB"
labels = { zone = "north" }

[hosts.alpha]
url = "mock:///a"
labels = { rack = "r1" }

[hosts.beta]
url = "mock:///b"
labels = { rack = "r2", zone = "south" }
overcommit = 1.5
status = "cordoned"
reason = "a fan is broken"

[[rules]]
kind = "apart"
machines = "app=database"
domain = "rack"

[[rules]]
kind = "never"
machines = "team=blue"
hosts = "zone=south"
"""

ONE = '[hosts.alpha]\nurl = "mock:///a"\n'


def write(tmp_path: Path, text: str, mode: int = 0o600) -> Path:
    path = tmp_path / "fleet.toml"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_whole_file(tmp_path: Path) -> None:
    path = write(tmp_path, WHOLE)
    found = load(path)
    assert (found.half_life_s, found.patience_s, len(found.rules)) == (60, 5, 2)
    with Fleet.load(path) as fleet:
        alpha, beta = fleet.snapshot().hosts
        assert fleet.rules == found.rules
    assert (alpha.name, alpha.overcommit, alpha.reserved_memory) == ("alpha", 4, 2 << 30)
    assert alpha.labels == {"rack": "r1", "zone": "north"}
    assert (beta.overcommit, beta.status, beta.reason) == (1.5, HostStatus.CORDONED, "a fan is broken")
    assert beta.labels == {"rack": "r2", "zone": "south"}


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("", "hosts: this field is required", "docs/"),
        ("[hosts]", "hosts: ", "docs/"),
        ("[hosts.alpha]", "hosts.alpha.url: this field is required", "docs/"),
        (ONE + "url = 'mock:///b'", "Cannot overwrite a value", "correct the file"),
        (ONE + "rak = 'r1'", "hosts.alpha.rak: there is no such field", "docs/"),
        (ONE + "overcomit = 2", "hosts.alpha.overcomit: there is no such field", "'overcommit'"),
        (ONE + "overcommit = 0.5", "hosts.alpha.overcommit: ", "docs/"),
        (ONE + "status = 'cordonned'", "hosts.alpha.status: ", "'cordoned'"),
        (ONE + "status = 'unreachable'", "whether a host is reachable is found out", "docs/"),
        (ONE + "labels = { host = 'x' }", "'host' is what every host has by itself", "docs/"),
        (ONE + "[[rules]]\nkind = 'apartt'", "there is no kind 'apartt'", "'apart'"),
        (ONE + "[[rules]]\nkind = 'apart'\nmachines = 'a=='", "rules[0].machines: ", "docs/"),
        ('[hosts."../x"]\nurl = "mock:///a"', "hosts.../x", "docs/"),
        ("half_life_s = 0\n" + ONE, "half_life_s: ", "docs/"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, text: str, said: str, hint: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(InvalidConfig) as raised:
        load(path)
    assert said in raised.value.message
    assert str(path) in raised.value.message
    assert raised.value.hint is not None
    assert hint in raised.value.hint


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ONE + '[hosts.beta]\nurl = "mock:///a"', "'alpha' and 'beta' are one host"),
        (ONE + "[[rules]]\nkind = 'apart'\nmachines = 'a'\ndomain = 'rack'", "domain 'rack' is no label"),
        (ONE + "[[rules]]\nkind = 'only'\nmachines = 'a'\nhosts = 'name=x'", "leaves no host for machines 'a'"),
        ('[hosts.alpha]\nurl = "mock:/"', "'mock:/' is no connection URL"),
        ('[hosts.alpha]\nurl = "nobody"', "no host named 'nobody'"),
    ],
)
def test_what_no_fleet_of_these_hosts_can_be(tmp_path: Path, text: str, said: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(VhalError, match=said) as raised:
        Fleet.load(path)
    assert raised.value.message.startswith(f"{path}: ")
    assert raised.value.hint


def test_a_file_that_others_can_write_is_not_believed(tmp_path: Path) -> None:
    path = write(tmp_path, WHOLE, 0o620)
    with pytest.raises(InvalidConfig, match="can be written by others") as raised:
        load(path)
    assert raised.value.hint == f"chmod go-w {path}"


def test_a_file_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VHAL_FLEET", str(tmp_path / "none.toml"))
    with pytest.raises(NotFound, match=r"none\.toml"):
        Fleet.load()


def test_where_the_file_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VHAL_FLEET", raising=False)
    monkeypatch.setenv("VHAL_CONFIG", str(tmp_path / "hosts.toml"))
    assert default_path() == tmp_path / "fleet.toml"
    monkeypatch.setenv("VHAL_FLEET", "elsewhere.toml")
    assert default_path() == Path("elsewhere.toml")


# Hypothesis: whatever is in the file, the answer is a fleet or an error of ours

_values = st.recursive(
    st.one_of(
        st.booleans(),
        st.integers(-5, 5),
        st.floats(allow_nan=True),
        st.sampled_from(["", "a=b", "apart", "r1"]),
        st.just("mock:///a"),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["url", "labels", "status", "kind", "machines", "hosts", "domain", "overcommit", "x"]),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=6,
)


@settings(max_examples=60)
@given(st.dictionaries(st.sampled_from(["hosts", "rules", "defaults", "half_life_s", "y"]), _values, max_size=4))
def test_any_document_is_a_fleet_or_an_error_of_ours(data: dict[str, object]) -> None:
    with suppress(VhalError):
        made = FleetFile(**data)  # type: ignore[arg-type]
        assert FleetFile.model_validate_json(made.model_dump_json()) == made


# contradictions

HOSTS = [
    {"name": "a", "host": "a", "rack": "r1"},
    {"name": "b", "host": "b", "rack": "r1"},
    {"name": "c", "host": "c", "rack": "r2"},
]


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ([Together(machines="x=1"), Apart(machines="x=1")], "can't be together and apart"),
        ([Together(machines="x=1"), Apart(machines="x=1", domain="rack")], "can't be together and apart"),
        ([Together(machines="x=1,y=2"), Apart(machines="x=1")], "can't be together and apart"),
        ([Together(machines="x=1"), Apart(machines="x=1,y=2")], "can't be together and apart"),
        ([Together(machines="x=1", domain="rak")], "did you mean 'rack'"),
        ([Only(machines="x=1", hosts="rack=r3")], "leaves no host"),
        ([Only(machines="x=1", hosts="rack=r1"), Never(machines="x=1", hosts="name=a"),
          Never(machines="", hosts="name=b")],
         "rules\\[0\\].* and rules\\[1\\].* and rules\\[2\\].* leave no host"),
        ([Only(machines="x=1", hosts="rack=r1"), Only(machines="x=1", hosts="rack=r2")], "leave no host"),
        ([Never(machines="", hosts="")], "leaves no host for machines 'of any kind'"),
    ],
)  # fmt: skip
def test_contradictions(rules: list[Rule], said: str) -> None:
    with pytest.raises(InvalidConfig) as raised:
        refuse_contradictions(rules, HOSTS)
    assert re.search(said, str(raised.value))
    assert raised.value.hint


@pytest.mark.parametrize(
    "rules",
    [
        [Together(machines="x=1", domain="rack"), Apart(machines="x=1")],
        [Together(machines="x=1"), Apart(machines="x=2")],
        [Only(machines="x=1", hosts="rack=r1"), Never(machines="x=1,y=2", hosts="name=c")],
        [Only(machines="x=1", hosts="rack=r1"), Only(machines="x=2", hosts="rack=r2")],
        [Never(machines="x=1", hosts="rack=r1"), Stay(machines="x=1")],
    ],
)
def test_what_can_be_kept_is_no_contradiction(rules: list[Rule]) -> None:
    refuse_contradictions(rules, HOSTS)


def test_the_example_of_the_module_is_a_file() -> None:
    import vhal.fleet.file

    text = (vhal.fleet.file.__doc__ or "").partition("::\n")[2].partition("\n\nHere")[0]
    found = FleetFile(**tomllib.loads("\n".join(line.removeprefix("    ") for line in text.splitlines())))
    assert list(found.hosts) == ["alpha", "beta"]
