"""The parts of the documentation that are made from the code: tables of states, errors, URLs, commands.

``python -m tests.docs.generated`` writes them between their marks; a test says when they are out of date.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import cast, get_args

import click
from click.testing import CliRunner
from pydantic import BaseModel
from vhal_mock.model import HostModel
from vhal_mock.points import POINTS
from vhal_mock.progression import Progression
from vhal_mock.scenario import Scenario
from vhal_mock.scenario.event import AnyEvent
from vhal_mock.spec import GpuSpec, HostSpec, LinkSpec, PlacedMachine

from tests.docs import backends
from tests.docs.markdown import table
from tests.kit.bugs import table as seeded
from vhal import errors
from vhal.cli.app import EXIT_CODES, app
from vhal.driver.capability import CAPABILITIES
from vhal.driver.fault import FaultKind
from vhal.driver.version import SPI
from vhal.fleet.file import FleetFile
from vhal.fleet.members.entry import HostEntry, Keeping
from vhal.fleet.rules import Rule
from vhal.layers import chaos
from vhal.migration.decision import Sight, decide
from vhal.registry import registry
from vhal.spec.frozen import FrozenDict
from vhal.spec.state import MachineState
from vhal.testing import BackendSuite, choices
from vhal.testing.conformance.rows import rows

DOCS = Path(__file__).parents[2] / "docs"

_MARK = re.compile(r"(<!-- generated: (?P<name>[a-z-]+) -->\n).*?(<!-- end -->)", re.S)


def transitions() -> str:
    """Return which call may begin in which state, and where it ends."""
    rows = []
    for call, operation in choices.SPELLINGS.items():
        found = choices.ends(operation)
        anywhere = len(found) == len(MachineState)
        starts = "any" if anywhere else ", ".join(f"`{state}`" for state in found)
        name, comma, rest = call.partition(",")
        rows.append((f"`{name}`{comma}{rest}", starts, _ends(set(found.items()))))
    return table(["call", "from", "to"], rows)


def _ends(pairs: set[tuple[MachineState, MachineState | None]]) -> str:
    ends = {end for _, end in pairs}
    if len(ends) > 1:
        return "the same state"
    (end,) = ends
    return f"`{end}`" if end else "gone"


def active() -> str:
    """Return the states in which a machine holds something of its host."""
    return ", ".join(f"`{state}`" for state in MachineState if state.active) + "."


def error_classes() -> list[type[errors.VhalError]]:
    """Return every class of error, as they are written down."""
    return [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, errors.VhalError)]


def error_table() -> str:
    """Return every error with its class, its answer to "may I retry?" and its exit code."""
    rows = [
        (f"[`{e.code}`](#{e.code})", f"`{e.__name__}`", "yes" if e.retryable else "no", str(e.exit_code))
        for e in error_classes()
    ]
    return table(["code", "class", "may the same call succeed later?", "exit code"], rows)


def capabilities() -> str:
    """Return every capability and which backend of ours declares it."""
    rows = []
    for key in CAPABILITIES.values():
        constant = f"{{data}}`~vhal.driver.capability.{key.id.upper()}`"
        rows.append((constant.replace("{data}", "").replace("~vhal.driver.capability.", ""), key.id, key.summary))
    return table(["key", "id", "what"], rows)


def kit() -> str:
    """Return the rows of the conformance suite, each with its anchor."""
    said = [
        (f"[{row.id}]{{#{row.id.lower()}}}", row.layer, row.tier(SPI), row.sentence)
        for row in rows(BackendSuite).values()
    ]
    return table(["id", "layer", "tier", "what"], said)


def urls() -> str:
    """Return what the URLs of the backends in this repository may say."""
    found = []
    for name in ("mock", "libvirt"):
        backend = registry.backend(name)
        examples = "\n".join(backend.examples)
        rows = [
            (
                f"`{name}+{transport}`" if transport else f"`{name}`",
                {True: "needed", False: "none", None: "may be"}[allowed.host],
                "may be" if allowed.user else "none",
                ", ".join(f"`{key}`" for key in allowed.parameters) or "none",
            )
            for transport, allowed in backend.transports.items()
        ]
        rendered = table(["scheme", "host", "user", "parameters"], rows)
        found.append(
            f"## {name}\n\n```text\n{examples}\n```\n\n{rendered}\n\nThe path matches `{backend.path.pattern}`."
        )
    return "\n\n".join(found)


def decisions() -> str:
    """Return the table that decides a migration of a running machine, made by asking it."""
    rows = []
    sights = (Sight.RUNNING, Sight.HELD, Sight.INACTIVE, Sight.ABSENT, Sight.UNSEEN)
    for source, destination in itertools.product(sights, sights):
        told = [decide(MachineState.RUNNING, source, destination, claimed=claimed) for claimed in (True, False)]
        first, second = (verdict.name.lower().replace("_", " ") for verdict in told)
        verdict = first if first == second else f"{first} if the engine said it succeeded, else {second}"
        rows.append((source.name.lower(), destination.name.lower(), verdict))
    return table(["source", "destination", "verdict"], rows)


def fault_points() -> str:
    """Return the points of the simulator."""
    return table(["point", "what is true there"], [(f"`{name}`", said) for name, said in POINTS.items()])


def fault_kinds() -> str:
    """Return the kinds of fault, as their docstrings say."""
    source = Path(inspect.getfile(FaultKind)).read_text()
    said = re.findall(r'^    [A-Z_]+ = "([a-z-]+)"\n    """(.+?)"""', source, re.M | re.S)
    return table(["kind", "what happens"], [(f"`{kind}`", " ".join(text.split())) for kind, text in said])


def scenario_fields() -> str:
    """Return the fields of a scenario, table by table."""
    tables = (
        ("the file", Scenario),
        ("`[[hosts]]`", HostSpec),
        ("`gpus = [{…}]` of a host", GpuSpec),
        ("`[[links]]`", LinkSpec),
        ("`[[machines]]`", PlacedMachine),
        ("`progression.boot`, `progression.stop`", Progression),
    )
    return "\n\n".join(f"### {title[0].upper()}{title[1:]}\n\n{_fields(model)}" for title, model in tables)


def fleet_fields() -> str:
    """Return the fields of a fleet's file, table by table."""
    tables = (("The file", FleetFile), ("`[hosts.NAME]`", HostEntry), ("`[defaults]`", Keeping))
    return "\n\n".join(f"### {title}\n\n{_fields(model)}" for title, model in tables)


def fleet_rules() -> str:
    """Return the kinds of rule, and what each takes."""
    rows = []
    for model in get_args(get_args(Rule)[0]):
        fields = [name for name in model.model_fields if name not in ("kind", "name")]
        kind = model.model_fields["kind"].default
        rows.append((f"`{kind}`", ", ".join(f"`{name}`" for name in fields), inspect.getdoc(model) or ""))
    return table(["kind", "takes", "what must hold"], rows)


def scenario_actions() -> str:
    """Return what can happen in a scenario, and what each takes."""
    rows = []
    for model in get_args(get_args(AnyEvent)[0]):
        fields = [name for name in model.model_fields if name not in ("time_s", "action")]
        needed = {name for name, field in model.model_fields.items() if field.is_required()}
        actions = ", ".join(f"`{action}`" for action in get_args(model.model_fields["action"].annotation))
        takes = ", ".join(f"**`{name}`**" if name in needed else f"`{name}`" for name in fields)
        rows.append((actions, inspect.getdoc(model) or "", takes))
    return table(["action", "what it does", "takes"], rows)


def scenario_action_fields() -> str:
    """Return what the fields of actions mean that have something to be said about."""
    said: dict[str, str] = {}
    for model in get_args(get_args(AnyEvent)[0]):
        for name, text in _said(model).items():
            said.setdefault(name, text)
    return table(["field", "meaning"], [(f"`{name}`", text) for name, text in said.items()])


def _fields(model: type[BaseModel]) -> str:
    said = {**_said(HostModel), **_said(model)} if model is HostSpec else _said(model)
    rows = []
    for name, field in model.model_fields.items():
        default = "needed" if field.is_required() else _default(field.default)
        rows.append((f"`{name}`", default, said.get(name, "")))
    return table(["field", "default", "meaning"], rows)


def _default(value: object) -> str:
    if value is None or (isinstance(value, (tuple, frozenset, FrozenDict)) and not value):
        return "none"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _said(model: type) -> dict[str, str]:
    """Return the docstrings of a class's fields, its bases' too."""
    found: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if not base.__module__.startswith(("vhal_mock", "vhal.fleet")):
            continue
        body = cast(ast.ClassDef, ast.parse(dedent(inspect.getsource(base))).body[0]).body
        for field, text in itertools.pairwise(body):
            if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
                words = " ".join(str(text.value.value).split())
                found[cast(ast.Name, field.target).id] = re.sub(r":\w+:`(.*?)`", r"`\1`", words).replace("``", "`")
    return found


def chaos_points() -> str:
    """Return the points at which a fault can strike around any driver."""
    return table(["point", "when"], [(f"`{point}`", when) for point, when in chaos.POINTS.items()])


def exit_codes() -> str:
    """Return the exit codes of the command line."""
    rows = re.findall(r"^  (\d+) +(.+)$", EXIT_CODES, re.M)
    return table(["code", "meaning"], rows)


def cli() -> str:
    """Return the help of every command."""
    sections = ["## vhal\n\n" + _help([])]
    sections += [f"## vhal {' '.join(words)}\n\n{_help(words)}" for words in commands()]
    return "\n\n".join(sections)


def commands() -> Iterator[list[str]]:
    """Yield the words of every command; ``vhal machine VERB`` is ``vhal VERB`` and isn't shown again."""
    context = click.Context(app)
    for name in app.list_commands(context):
        command = app.get_command(context, name)
        assert command is not None
        yield [name]
        if isinstance(command, click.Group) and name != "machine":
            for inner in command.list_commands(click.Context(command)):
                yield [name, inner]


def _help(words: list[str]) -> str:
    result = CliRunner().invoke(
        app, [*words, "--help"], prog_name="vhal", env={"COLUMNS": "90"}, terminal_width=90, catch_exceptions=False
    )
    return f"```text\n{result.output.rstrip()}\n```"


PARTS: dict[str, Callable[[], str]] = {
    "transitions": transitions,
    "active": active,
    "errors": error_table,
    "capabilities": capabilities,
    "kit": kit,
    "urls": urls,
    "decisions": decisions,
    "fault-points": fault_points,
    "fault-kinds": fault_kinds,
    "fleet-fields": fleet_fields,
    "fleet-rules": fleet_rules,
    "scenario-fields": scenario_fields,
    "scenario-actions": scenario_actions,
    "scenario-action-fields": scenario_action_fields,
    "points": chaos_points,
    "exit-codes": exit_codes,
    "cli": cli,
    "layers": backends.layers,
    "backend-versions": backends.versions,
    "backend-capabilities": backends.capabilities,
    "backend-rows": backends.row_table,
    "layer-power": seeded.layer_power,
    "seeded-bugs": seeded.seeded_bugs,
}


def pages() -> list[Path]:
    """Return every page of the documentation."""
    return [path for path in sorted(DOCS.rglob("*.md")) if "_build" not in path.parts]


def made(text: str) -> str:
    """Return ``text`` with everything between marks made anew."""
    return _MARK.sub(lambda match: f"{match[1]}\n{PARTS[match['name']]()}\n\n{match[3]}", text)


def marks() -> set[str]:
    """Return the names of all parts that some page has."""
    return {match["name"] for page in pages() for match in _MARK.finditer(page.read_text())}


if __name__ == "__main__":
    for page in pages():
        page.write_text(made(page.read_text()))
