"""The contract's tables are whole: every call has one, and what they name exists."""

from __future__ import annotations

import builtins
import inspect
import re

import pytest

from tests.docs.generated import DOCS
from vhal import errors
from vhal.driver import capability
from vhal.driver.driver import Driver
from vhal.testing import BackendSuite
from vhal.testing.conformance.rows import rows as kit_rows

PAGES = [DOCS / "reference" / name for name in ("contract.md", "contract-capabilities.md")]
TEXT = "\n".join(page.read_text() for page in PAGES)
HEADER = "| condition | error | what the caller does | kit |"
TESTS = set(kit_rows(BackendSuite))
STREAMS = (capability.ConsoleStream, capability.ProcessStream)


def own(kind: type) -> list[str]:
    return [name for name, value in vars(kind).items() if inspect.isfunction(value) and not name.startswith("_")]


def calls() -> list[str]:
    """Return the name of every call of the contract, as its heading has it."""
    protocols = [
        value
        for value in vars(capability).values()
        if inspect.isclass(value) and getattr(value, "_is_protocol", False) and value.__module__ == capability.__name__
    ]
    assert len(protocols) >= len({*capability.CAPABILITIES} - {"create"})
    found = own(Driver)
    for protocol in protocols:
        stream = f"{protocol.__name__}." if protocol in STREAMS else ""
        found += [stream + name for name in own(protocol)]
    return found


def rows() -> list[list[str]]:
    """Return the cells of every table that has the four columns."""
    found = []
    for table in re.findall(rf"^{re.escape(HEADER)}\n\|[-|]+\|\n((?:\|.*\n)+)", TEXT, re.M):
        found += [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table.splitlines()]
    return found


@pytest.mark.parametrize("call", calls())
def test_every_call_has_its_table(call: str) -> None:
    section = re.search(rf"^### {re.escape(call)}\(\)\n(.*?)(?=^##|\Z)", TEXT, re.M | re.S)
    assert section is not None
    facts, _, table = section[1].partition(HEADER)
    assert facts.strip()
    assert table.count("\n|") >= 2


def test_there_is_no_table_of_a_call_that_is_none() -> None:
    assert sorted(re.findall(r"^### ([\w.]+)\(\)$", TEXT, re.M)) == sorted(calls())


def test_every_row_is_whole_and_its_errors_exist() -> None:
    assert len(rows()) > 100
    for row in rows():
        condition, error, remedy, kit = row
        assert condition, row
        assert error, row
        assert remedy, row
        assert kit, row
        for name in re.findall(r"`([A-Z][A-Za-z]+)`", error):
            found = getattr(errors, name, None) or getattr(builtins, name, None)
            assert isinstance(found, type), name
            assert issubclass(found, (errors.VhalError, OSError)), name


def test_every_error_that_a_page_names_exists() -> None:
    named = set(re.findall(r"`((?:[A-Z][a-z]+)+)`", TEXT))
    kinds = {name for name in vars(errors) if isinstance(getattr(errors, name), type)}
    assert {"InvalidState", "NotFound", "MigrationInDoubt"} <= named
    assert named - kinds <= {"BrokenPipeError"}


def test_every_test_that_a_row_names_exists() -> None:
    named = {test for *_, kit in rows() for test in re.findall(r"\[([A-Z]{4}-\d{3})\]", kit)}
    assert len(named) > 30
    assert named <= TESTS


def test_links_lead_to_the_test_of_their_name() -> None:
    for test, target in re.findall(r"\[([A-Z]{4}-\d{3})\]\((?:contract\.md)?#([a-z]{4}-\d{3})\)", TEXT):
        assert target == test.lower()
    assert [test for test in TESTS if f"[{test}]{{#{test.lower()}}}" not in PAGES[0].read_text()] == []
