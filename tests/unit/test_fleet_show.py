"""A fleet and a plan for people: text, a picture, a page. Nothing that a name says may harm who looks."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.unit.fleets import GIB, fleet, host, machine
from vhal.driver.page import Bars, Facts, Grid, Lines, Page, Part, Span, Strip, Words
from vhal.errors import AccessDenied, InvalidSpec, NotFound, Unsupported
from vhal.fleet.plan import Bound, HostChange, Move, Plan
from vhal.fleet.show import plot, text
from vhal.fleet.show.frame import frame
from vhal.fleet.show.html import render
from vhal.fleet.show.letters import Line, bar, clean, fitted, heat, wide
from vhal.fleet.show.report import of_plan
from vhal.fleet.snapshot import FleetSnapshot, HostStatus
from vhal.spec.state import MachineState
from vhal.spec.units import Bytes

HOSTILE = '<script>alert("x")</script>\x1b[2J\n'


def words(lines: list[Line]) -> list[str]:
    return ["".join(word.text for word in line).rstrip() for line in lines]


def seen() -> FleetSnapshot:
    return fleet(
        host("a"),
        host("b"),
        host("dead", status=HostStatus.UNREACHABLE, reason="no answer in 5 s"),
        machines=[
            machine("web", "a", 1.0),
            machine("db", "a", 0.5, cpus=4, memory=16 * GIB),
            machine("new", "b"),
            machine("off", "b", state=MachineState.STOPPED),
        ],
    )


def planned(name: str = "web") -> Plan:
    move = Move(
        machine=name,
        id="1",
        source="a",
        destination="b",
        reason="a is hot",
        memory=Bytes(4 * GIB),
        transferred=Bytes(5 * GIB),
        total_s=4.0,
        downtime_s=0.25,
    )
    return Plan(
        snapshot="0123456789abcdef",
        moves=(move, move.replace(machine="db", id="2", after=(0,))),
        hosts=(
            HostChange(host="a", machines=(8, 6), cpus=(1.5, 1.0), memory=(0.9, 0.7), load=(0.95, 0.7)),
            HostChange(host="b", machines=(2, 4), cpus=(0.25, 0.5), memory=(0.2, 0.4), load=(0.2, 0.45)),
        ),
        score=(1.25, 0.5),
        bound=Bound(score=0.25, transferred=Bytes(4 * GIB), method="a relaxation"),
        notes=("c has no load",),
    )


# letters


@pytest.mark.parametrize(
    ("share", "plain", "shown"),
    [
        (0.0, False, "    "),
        (0.5, False, "██  "),
        (0.53, False, "██▏ "),
        (1.0, False, "████"),
        (3.0, False, "████"),
        (None, False, "····"),
        (0.5, True, "##.."),
        (None, True, "????"),
    ],
)
def test_bars(share: float | None, plain: bool, shown: str) -> None:
    assert bar(share, 4, plain) == shown


def test_a_text_fits_its_columns_whatever_is_in_it() -> None:
    assert fitted("web", 5) == "web  "
    assert fitted("web", 5, right=True) == "  web"
    assert fitted("web-server", 5) == "web-…"
    assert fitted("機械機械", 5) == "機械…"
    assert wide(fitted("機械機械", 4)) == 4
    assert fitted("x", 0) == ""


def test_names_cant_repaint_a_terminal() -> None:
    assert clean("a\x1b[2J\nb") == "a\N{REPLACEMENT CHARACTER}[2J b"


def test_colours_tell_what_is_hot() -> None:
    assert [heat(share) for share in (None, 0.2, 0.8, 0.95)] == ["", "green", "yellow", "red"]


# text


def test_hosts_with_bars() -> None:
    assert words(text.hosts(seen(), 80)) == [
        "HOST  STATUS       MACHINES  CPUS             MEM              LOAD",
        "a     up                  2  ███▊        38%  ███▏        31%  █            9%",
        "b     up                  2  █▎          12%  ▋            6%  ··········    -",
        "dead  unreachable         -  no answer in 5 s",
    ]


def test_a_narrow_terminal_has_figures_only_and_no_line_is_too_long() -> None:
    assert words(text.hosts(seen(), 50))[1] == "a     up                  2   38%   31%    9%"
    for width in range(50, 140):
        for line in (*words(text.hosts(seen(), width)), *words(text.machines(seen(), width))):
            assert len(line) <= width


def test_a_terminal_without_more_than_ascii() -> None:
    shown = "\n".join(words([*text.hosts(seen(), plain=True), *text.plan(planned(), plain=True)]))
    assert shown.isascii()


def test_of_too_many_hosts_the_dead_and_the_busiest_are_shown() -> None:
    shown = words(text.hosts(seen().replace(hosts=(*seen().hosts, host("c"), host("d"))), most=3))
    assert [line.split()[0] for line in shown] == ["HOST", "dead", "a", "and"]
    assert shown[-1] == "and 3 less busy ones"


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("load", ["web", "db", "new", "off"]),
        ("memory", ["db", "new", "off", "web"]),
        ("name", ["db", "new", "off", "web"]),
        ("host", ["db", "web", "new", "off"]),
    ],
)
def test_machines_are_sorted(sort: str, order: list[str]) -> None:
    assert [line.split()[0] for line in words(text.machines(seen(), sort=sort))[1:]] == order


def test_machines_that_have_no_room_are_counted() -> None:
    assert words(text.machines(seen(), most=2))[-1] == "and 3 more"


def test_a_plan_in_text() -> None:
    assert words(text.plan(planned(), 80)) == [
        "balance: 2 moves, 8 GiB of memory, 8 s one after the other, score 1.25 to 0.5",
        "  1. web  a → b  5 GiB, 4.0 s, 250 ms of downtime",
        "     a is hot",
        "  2. db  a → b  5 GiB, 4.0 s, 250 ms of downtime",
        "     after 1: a is hot",
        "",
        "HOST  MACHINES  LOAD BEFORE                LOAD AFTER",
        "a     8 → 6     ███████████████████   95%  ██████████████        70%",
        "b     2 → 4     ████                  20%  █████████             45%",
        "",
        "bound: no placement scores below 0.25; none as good moves less than 4 GiB (2.00",
        "times that); a relaxation",
        "c has no load",
    ]


def test_a_plan_without_moves_says_why() -> None:
    nothing = Plan(snapshot="", notes=("nothing is worth moving",))
    assert words(text.plan(nothing)) == ["balance: nothing to move", "nothing is worth moving"]


# a screen


def test_a_frame_has_hosts_moves_and_machines() -> None:
    snapshot = seen()
    machines = (*snapshot.machines, machine("on-its-way", "b", state=MachineState.MIGRATING))
    shown = words(frame(snapshot.replace(machines=machines), planned().moves[:1], width=80))
    assert shown[0].endswith(", 3 hosts (1 without an answer), 5 machines, 2 moving")
    begin = shown.index("MOVES UNDER WAY")
    assert shown[begin + 1 : begin + 3] == ["web  a → b  4 GiB  a is hot", "on-its-way  b → ?"]


@pytest.mark.parametrize("height", [4, 8, 12, 20, 60])
def test_a_frame_fits_the_terminal(height: int) -> None:
    many = [machine(f"m{number}", "a", 0.1) for number in range(50)]
    snapshot = fleet(*(host(name) for name in "abcdefghij"), machines=many)
    assert len(frame(snapshot, planned().moves, height=height)) <= height


# a page


class Tags(HTMLParser):
    """What is in a page, as a browser would read it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.links: list[str] = []
        self.texts = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href") or name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.texts += data


def test_the_page_of_a_plan_tells_all_of_it() -> None:
    page = Tags(render(of_plan(planned(), seen())))
    for said in ("web", "a is hot", "5 GiB", "4.0 s", "250 ms", "1.25", "0.5", "a relaxation", "c has no load", "dead",
                 "no answer in 5 s", "0123456789abcdef"):  # fmt: skip
        assert said in page.texts
    assert page.found.count("svg") == 3
    assert page.links == []


def test_hostile_names_are_text_everywhere() -> None:
    times = [0.0, 10.0]
    page = Page(
        HOSTILE,
        [
            (HOSTILE, Words(HOSTILE)),
            ("", Facts({HOSTILE: HOSTILE})),
            ("", Grid([HOSTILE], [[HOSTILE]])),
            ("", Bars({HOSTILE: (0.5, None)}, 0.9)),
            ("", Lines(times, {HOSTILE: [0.1, 0.2]})),
            ("", Strip(10, [Span(1, 2, HOSTILE, "trouble")])),
        ],
    )
    drawn = render(page)
    found = Tags(drawn)
    assert "script" not in found.found
    assert found.links == []
    assert "\x1b" not in drawn
    assert found.texts.count('<script>alert("x")</script>') >= 8
    plan = planned(HOSTILE).replace(notes=(HOSTILE,))
    assert "<script" not in render(of_plan(plan, fleet(host(HOSTILE), machines=[machine(HOSTILE, HOSTILE)])))


def test_drawings_are_sound_xml_and_stay_inside() -> None:
    spans = [Span(number * 9.0, number * 9.0 + 5, f"a rather long label {number}") for number in range(12)]
    series = {f"h{number}": [number / 20] * 3 for number in range(14)}
    parts: list[Part] = [Lines([0, 50, 100], series), Strip(100, spans), Bars({"x" * 60: (0.2, 4.0)})]
    drawings = re.findall(r"<svg.*?</svg>", render(Page("t", [("", part) for part in parts])), re.S)
    assert len(drawings) == 3
    for drawing in drawings:
        root = ET.fromstring(drawing)  # noqa: S314 - it is our own
        _, _, width, height = (float(value) for value in root.attrib["viewBox"].split())
        for box in root.iter("rect"):
            assert 0 <= float(box.attrib["x"]) <= float(box.attrib["x"]) + float(box.attrib["width"]) <= width
            assert float(box.attrib["y"]) + float(box.attrib["height"]) <= height
        for label in root.iter("text"):
            assert 0 <= float(label.attrib["x"]) <= width
            assert 0 <= float(label.attrib["y"]) <= height


def test_a_page_without_samples_says_so() -> None:
    assert "nothing was measured" in render(Page("t", [("", Lines([], {}))]))


# a picture


@pytest.mark.parametrize(
    "made", [planned(), Plan(snapshot=""), planned().replace(hosts=(planned().hosts[0].replace(load=None),))]
)
def test_a_picture_of_a_plan(tmp_path: Path, made: Plan) -> None:
    for name, begin in (("p.svg", b"<?xml"), ("p.png", b"\x89PNG")):
        plot.draw(made, tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(begin)


def test_the_same_plan_gives_the_same_picture(tmp_path: Path) -> None:
    for name in ("1.svg", "2.svg"):
        plot.draw(planned(), tmp_path / name)
    assert (tmp_path / "1.svg").read_bytes() == (tmp_path / "2.svg").read_bytes()


def test_of_many_hosts_those_that_change_most_are_drawn(tmp_path: Path) -> None:
    change = planned().hosts[0]
    many = tuple(change.replace(host=f"h{n}", load=(0.5, 0.5 + n / 1000)) for n in range(100))
    made = planned().replace(hosts=tuple(each.replace(cpus=(1, 1), memory=(1, 1)) for each in many))
    plot.draw(made, tmp_path / "p.svg")
    page = Tags(render(of_plan(made)))
    assert "40 hosts that change less aren't drawn" in page.texts
    assert [each.host for each in text.most_changed(made.hosts, 2)] == ["h99", "h98"]


def test_hostile_names_in_a_picture(tmp_path: Path) -> None:
    change = planned().hosts[0].replace(host=HOSTILE + "$x^{")
    plot.draw(planned().replace(hosts=(change,)), tmp_path / "p.svg")
    tags = {each.tag.rpartition("}")[2] for each in ET.parse(tmp_path / "p.svg").iter()}  # noqa: S314 - it is our own
    assert "script" not in tags


def test_a_picture_that_cant_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidSpec, match="PNG or an SVG"):
        plot.draw(planned(), tmp_path / "p.gif")
    with pytest.raises(NotFound, match="no folder"):
        plot.draw(planned(), tmp_path / "none" / "p.svg")
    (tmp_path / "folder.svg").mkdir()
    with pytest.raises(AccessDenied, match="can't be written"):
        plot.draw(planned(), tmp_path / "folder.svg")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(Unsupported) as caught:
        plot.draw(planned(), tmp_path / "p.svg")
    assert caught.value.hint == "pip install 'vhal[plot]'"
