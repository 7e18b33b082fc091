"""pytest's side of vhal: a world for each test, fixtures, what tests leave behind, the options of the conformance kit.

pytest loads this module at its start, before coverage is measured. So it imports nothing of vhal until a test has to do
with it, and a test that hasn't costs a look at a few names. What it does then is in :mod:`vhal.testing`; what it does
with tests of :class:`vhal.testing.BackendSuite`, and with no others, is in :mod:`vhal.testing.conformance`.

``mock:///a`` in one test is another world than in the next. Options and fixtures: docs/reference/testing.md.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from vhal_mock.clock import Clock
    from vhal_mock.world import World

    from vhal.host import Host
    from vhal.testing.conformance.rows import Row
    from vhal.testing.faults import WorldFaults
    from vhal.testing.trial import Trial

LEAKS = ("error", "warn", "ignore")
"""As ``vhal.testing.trial.LEAKS``, which must not be imported yet."""
LAYERS = ("examples", "refusals", "stateful", "faults", "migration", "concurrency", "liveness", "roundtrip")
"""As ``vhal.testing.conformance.rows.LAYERS``, which must not be imported yet."""
QUIRKS = ("deaf", "no-agent")
FIXTURES = frozenset({"mock_world", "vhal_chaos", "vhal_clock", "vhal_fleet", "vhal_host"})
MARKER = "vhal(hosts=…, spec=…, seed=…, leaks=…): the simulated world of the test, and what is done about leaks"

_TRIAL: pytest.StashKey[Trial | None] = pytest.StashKey()
_MODE: pytest.StashKey[str] = pytest.StashKey()
_LEFT: pytest.StashKey[list[str]] = pytest.StashKey()
_REPORTED: pytest.StashKey[dict[str, list[str]]] = pytest.StashKey()
_PROOFS: pytest.StashKey[list[tuple[dict[str, Any], dict[str, Any]]]] = pytest.StashKey()
_KEPT: pytest.StashKey[list[str]] = pytest.StashKey()
_STALE: pytest.StashKey[list[str]] = pytest.StashKey()

# Before any test imports them: their assertions tell what was compared, also where vhal is installed for development.
pytest.register_assert_rewrite("vhal.testing.conformance")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options, and a setting."""
    text = "what is done about hosts, operations and machines that a test leaves behind: error, warn or ignore"
    group = parser.getgroup("vhal")
    group.addoption("--vhal-leaks", choices=LEAKS, help=text)
    parser.addini("vhal_leaks", text, default="warn")
    add = parser.getgroup("vhal-kit", "vhal's conformance kit").addoption
    add("--vhal-layer", choices=LAYERS, action="append", default=[], help="run this layer only; repeatable")
    add(
        "--vhal-require",
        metavar="CAP[,CAP]",
        type=lambda text: [name for name in text.split(",") if name],
        action="extend",
        default=[],
        help="capabilities, or rows, that must be there: a test that is skipped for want of one fails",
    )
    add("--vhal-strict", action="store_true", help="let rows that are only recommended fail the run")
    add("--vhal-report", metavar="FILE", help="write what was found to a JSON file")
    add("--vhal-keep", action="store_true", help="write what was found to where harnesses keep it")
    add("--vhal-backend", metavar="URL", help="the host that vhal.testing.run tests")
    add("--vhal-peer", metavar="URL", help="another host, that its machines can move to")
    add("--vhal-spec", metavar="FILE", help="its smallest machine that starts, as a spec file")
    add("--vhal-timeout", metavar="SECONDS", type=float, help="how long a test may take")
    add(
        "--vhal-quirk",
        choices=QUIRKS,
        action="append",
        default=[],
        help="the guest doesn't stop when asked (deaf), doesn't tell that it is ready (no-agent); repeatable",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known, and look at the setting."""
    config.addinivalue_line("markers", MARKER)
    config.stash[_PROOFS] = []
    config.stash[_KEPT] = []
    config.stash[_STALE] = []
    config.stash[_REPORTED] = {}
    config.stash[_TRIAL] = None
    mode = config.getoption("--vhal-leaks") or config.getini("vhal_leaks")
    if mode not in LEAKS:
        raise pytest.UsageError(f"vhal_leaks = {mode!r} must be one of {', '.join(LEAKS)}")
    config.stash[_MODE] = mode


# a test's life


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Give a test that has to do with vhal a world of its own, and listen to what it opens."""
    markers = list(item.iter_markers("vhal"))
    wanted = FIXTURES.intersection(getattr(item, "fixturenames", ()))
    if not markers and not wanted and "vhal" not in sys.modules:
        return
    from vhal.errors import VhalError
    from vhal.testing.trial import Trial, Wishes

    problem = None
    try:
        # The nearest marker counts, argument by argument.
        named = {name: value for marker in reversed(markers) for name, value in marker.kwargs.items()}
        wishes = Wishes.read(*(argument for marker in markers for argument in marker.args), **named)
        item.stash[_MODE] = mode = wishes.leaks or item.config.stash[_MODE]
        # Examples of a page share what they open: they are no tests of their own.
        watched = mode != "ignore" and isinstance(item, pytest.Function)
        trial = Trial(item.nodeid, item.path, wishes, fleet="vhal_fleet" in wanted, ledger=watched)
        item.config.stash[_TRIAL] = trial
        trial.begin()
    except VhalError as error:
        problem = f"@pytest.mark.vhal: {error}"
    if problem:
        pytest.fail(problem, pytrace=False)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    """Ask, when all fixtures of the test have ended, what it left behind."""
    try:
        yield
    finally:
        trial = item.config.stash[_TRIAL]
        item.config.stash[_TRIAL] = None
        item.stash[_LEFT] = trial.end() if trial is not None else []
    if item.stash[_LEFT] and item.stash[_MODE] == "error":
        pytest.fail("\n  ".join(["left behind:", *item.stash[_LEFT]]), pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, Any, Any]:
    """Hold what a fixture makes that outlives the test not against the test."""
    trial = request.config.stash[_TRIAL]
    if trial is None or fixturedef.scope == "function":
        return (yield)
    with trial.beyond(f"{fixturedef.baseid}::{fixturedef.argname}[{getattr(request, 'param_index', 0)}]"):
        return (yield)


# what was left behind


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put it on the test's report, which pytest-xdist carries to the process that prints."""
    report = yield
    if call.when == "teardown" and item.stash.get(_LEFT, []) and item.stash[_MODE] == "warn":
        report.vhal_left = item.stash[_LEFT]  # type: ignore[attr-defined]
    if isinstance(item, pytest.Function) and _row(item) is not None:
        from vhal.testing.conformance import verdict

        verdict.judge(item, call, report)
    return report


def pytest_report_teststatus(report: pytest.CollectReport | pytest.TestReport, config: pytest.Config) -> None:
    """Keep what is on a report."""
    left = getattr(report, "vhal_left", None)
    if left:
        config.stash[_REPORTED][report.nodeid] = left
    row = getattr(report, "vhal_row", None)
    if row:
        config.stash[_PROOFS].append((row, report.vhal_facts))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print it."""
    reported = config.stash[_REPORTED]
    if reported:
        terminalreporter.section("left behind (vhal)", yellow=True)
        for test, left in sorted(reported.items()):
            terminalreporter.line(test)
            for line in left:
                terminalreporter.line(f"  {line}")
    for row, _ in config.stash[_PROOFS]:
        if row["tier"] == "recommended" and row["outcome"] == "failed":
            terminalreporter.line(f"recommended, and not so: {row['id']} of {row['suite']}: {row['reason']}")
    for file in config.stash[_KEPT]:
        terminalreporter.line(f"written: {file}")
    if config.stash[_STALE]:
        terminalreporter.section("not what was kept (vhal)", red=True)
        for line in config.stash[_STALE]:
            terminalreporter.line(line)


# the conformance kit


def _row(item: pytest.Item) -> Row | None:
    """Return the row of a test of the suite's; for any other test None, without importing anything."""
    if "vhal.testing.suite" not in sys.modules:
        return None
    from vhal.testing.conformance import verdict

    return verdict.row(item)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the layers that aren't asked for. The tests of others stay as they are."""
    if "vhal.testing.suite" not in sys.modules:
        return
    from vhal.errors import VhalError
    from vhal.testing.conformance import verdict

    try:
        verdict.check_required(config.getoption("--vhal-require"))
    except VhalError as error:
        raise pytest.UsageError(str(error)) from None
    layers = config.getoption("--vhal-layer")
    if layers:
        left_out = {item for item in items if (row := _row(item)) is not None and row.layer not in layers}
        config.hook.pytest_deselected(items=[item for item in items if item in left_out])
        items[:] = [item for item in items if item not in left_out]


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> object:
    """Run the body of a test of the suite's with a limit of time, unless somebody debugs it."""
    option = pyfuncitem.config.option
    if _row(pyfuncitem) is None or option.usepdb or option.trace:
        return None
    from vhal.testing.conformance.deadline import within

    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    within(pyfuncitem.cls.harness.timeout_s, "the test", lambda: pyfuncitem.obj(**arguments))
    return True


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write what the suites found out, and compare it with what was kept; where tests ran in workers, not in those."""
    config = session.config
    if not config.stash[_PROOFS] or hasattr(config, "workerinput"):
        return
    from vhal.testing.conformance.report import Collected, dump

    collected = Collected()
    for row, facts in config.stash[_PROOFS]:
        collected.add(row, facts)
    if file := config.getoption("--vhal-report"):
        Path(file).write_text(dump(collected.report()))
    if config.getoption("--vhal-keep"):
        for path in collected.keep():
            config.stash[_KEPT].append(str(path))
    elif stale := list(collected.stale()):
        refresh = " ".join(["pytest --vhal-keep", *config.args])
        config.stash[_STALE] += [*stale, f"if this is right: {refresh}"]
        session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED


# fixtures


@pytest.fixture
def mock_world() -> World:
    """The test's world: ``mock:///a`` and the hosts of the other fixtures are in it."""
    from vhal.testing import worlds

    return worlds.current()


@pytest.fixture
def vhal_fleet(mock_world: World) -> Iterator[dict[str, Host]]:
    """All hosts of the test's world, connected, by name: three of different sizes, unless a marker says more."""
    from contextlib import ExitStack

    from vhal.host import connect

    with ExitStack() as stack:
        yield {name: stack.enter_context(connect(f"mock:///{name}")) for name in mock_world.hosts}


@pytest.fixture
def vhal_host(mock_world: World) -> Iterator[Host]:
    """A connected host: the first of the test's world."""
    from vhal.host import connect

    with connect(f"mock:///{next(iter(mock_world.hosts))}") as host:
        yield host


@pytest.fixture
def vhal_clock(mock_world: World) -> Clock:
    """The clock of the test's world: ``now_s``, and ``advance()``, which lets virtual seconds pass."""
    return mock_world.clock


@pytest.fixture
def vhal_chaos(mock_world: World) -> WorldFaults:
    """What goes wrong in the test's world: ``vhal_chaos.add("migration.transfer.round=3", "host-crash", host="b")``."""
    from vhal.testing.faults import WorldFaults

    return WorldFaults(mock_world)
