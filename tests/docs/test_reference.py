"""The reference is complete and current: what the code has, the pages have."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import vhal
import vhal.aio
import vhal.driver
import vhal.spec
import vhal.testing
from tests.docs.generated import DOCS, PARTS, commands, error_classes, made, marks, pages

REFERENCE = "\n".join(page.read_text() for page in sorted((DOCS / "reference").glob("*.md")))
ROOT = DOCS.parent


def headings(page: str) -> set[str]:
    return set(re.findall(r"^#+ (.+)$", (DOCS / "reference" / page).read_text(), re.M))


@pytest.mark.parametrize("module", [vhal, vhal.spec, vhal.driver, vhal.aio, vhal.testing], ids=lambda m: m.__name__)
def test_every_public_name_is_in_the_reference(module: object) -> None:
    names: list[str] = module.__all__  # type: ignore[attr-defined]
    assert [name for name in names if not re.search(rf"\b{name}\b", REFERENCE)] == []


def test_every_error_has_its_heading_and_its_class() -> None:
    text = (DOCS / "reference" / "errors.md").read_text()
    for error in error_classes():
        assert re.search(
            rf"^## {error.code}\n\n```{{eval-rst}}\n\.\. autoclass:: vhal\.errors\.{error.__name__}\(", text, re.M
        )
    codes = {error.code for error in error_classes()}
    assert len(codes) == len(error_classes())
    assert {heading for heading in headings("errors.md") if heading != "Errors"} == codes


def test_every_command_has_its_heading() -> None:
    assert {f"vhal {' '.join(words)}" for words in commands()} <= headings("cli.md")


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(DOCS)))
def test_generated_parts_are_current(page: Path) -> None:
    text = page.read_text()
    assert text == made(text), "run: python -m tests.docs.generated"


def test_every_generated_part_is_on_some_page() -> None:
    assert marks() == set(PARTS)


def test_every_environment_variable_is_described_and_exists() -> None:
    code = "\n".join(path.read_text() for path in (ROOT / "vhal").rglob("*.py"))
    read = set(re.findall(r"environ(?:\.get\(|\[)?\"?(VHAL_[A-Z_]+)", code))
    read |= set(re.findall(r"\"(VHAL_[A-Z_]+)\" in os\.environ", code))
    described = set(re.findall(r"^`(VHAL_[A-Z_]+)`$", (DOCS / "reference" / "config.md").read_text(), re.M))
    assert read == described


def test_every_option_of_our_backends_is_described() -> None:
    from vhal_libvirt.options import LibvirtMigrationOptions, LibvirtOptions
    from vhal_mock.options import MockOptions

    libvirt = (DOCS / "how-to" / "libvirt.md").read_text()
    mock = (DOCS / "explanation" / "mock.md").read_text()
    for text, model in ((libvirt, LibvirtOptions), (libvirt, LibvirtMigrationOptions), (mock, MockOptions)):
        assert [name for name in model.model_fields if f"`{name}`" not in text] == []


def test_every_field_of_a_migration_policy_is_in_the_how_to() -> None:
    text = (DOCS / "how-to" / "live-migration.md").read_text()
    fields = set(vhal.MigrationPolicy.model_fields)
    assert {name for name in fields if f"`{name}" not in text and f"{name}=" not in text} == {"options"} - {"options"}


def test_links_from_the_readmes_lead_somewhere() -> None:
    for readme in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("plugins/*/README.md")):
        for target in re.findall(
            r"\]\((?!https?:)([^)#]+)[^)]*\)|^\[\w+\]: (?!https?:)(\S+)$", readme.read_text(), re.M
        ):
            path = readme.parent / (target[0] or target[1])
            assert path.exists(), f"{readme}: {path}"
