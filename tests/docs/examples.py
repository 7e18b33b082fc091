"""How the examples of the documentation are executed, by language of the block.

========  ==============================================================================================
python    is run; the blocks of one page share their names, and the temporary folder that they run in
output    is what the block before it printed; ``…`` stands for anything
toml      is read: as a spec, as hosts.toml, as fleet.toml if it is named so, as a scenario or, with a ``project``
          table, as TOML only
json      is read as a spec; so is yaml
console   each line that begins with ``$`` is looked at; see ``tests.docs.commands``
text      is shown and not judged
========  ==============================================================================================

A ``python`` or ``toml`` block whose first line is ``# NAME.py`` or ``# NAME.toml`` is that file, and is written to the
page's folder, in which the page's commands run, and from which its examples import. Below ``pytest`` only what matters
needs to be shown, with ``…``.

A ``python`` block that begins with ``# real:`` is for the test bed: ``test_real_examples.py`` runs it there.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any, cast
from unittest import mock

from sybil import Document, Example, Region, Sybil

from tests.docs.commands import judge

FENCE = re.compile(r"^```(?P<language>python|output|toml|json|yaml|console)\n(?P<body>.*?)^```$", re.M | re.S)
REAL = "# real:"
FILE = re.compile(r"# (?P<name>(?:[\w-]+/)*[\w-]+\.(?:py|toml))\n")


def sybil() -> Sybil:
    """Return what finds and runs the examples."""
    return Sybil(
        parsers=[parse],
        path=str(Path(__file__).parents[2]),
        patterns=["README.md", "CONTRIBUTING.md", "docs/**/*.md"],
        excludes=["docs/_build/**"],
        setup=setup,
        teardown=teardown,
    )


def parse(document: Document) -> Iterator[Region]:
    """Yield the examples of a page."""
    for match in FENCE.finditer(document.text):
        body = match["body"]
        if body.startswith(REAL):
            continue
        line = document.text.count("\n", 0, match.start("body")) + 1
        yield Region(match.start(), match.end(), (line, body), EVALUATORS[match["language"]])


def same(shown: str, printed: str) -> bool:
    """Return whether ``printed`` is what is shown; ``…`` stands for anything."""
    pattern = ".*".join(re.escape(part) for part in dedent(shown).strip().split("…"))
    return re.fullmatch(pattern, printed.strip(), re.S) is not None


def setup(namespace: dict[str, Any]) -> None:
    """Give a page a folder."""
    namespace["__name__"] = "example"
    namespace["_folder"] = tempfile.TemporaryDirectory(prefix="vhal-docs-")


def teardown(namespace: dict[str, Any]) -> None:
    """Take it away."""
    namespace["_folder"].cleanup()


@contextlib.contextmanager
def _inside(folder: str) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    sys.path.insert(0, folder)
    try:
        with mock.patch.dict(os.environ, {"VHAL_JOURNAL": str(Path(folder) / "journal.sqlite")}):
            yield
    finally:
        sys.path.remove(folder)
        os.chdir(before)


def _is_file(example: Example) -> bool:
    """Write the block to the page's folder if it is a file."""
    _, body = example.parsed
    named = FILE.match(body)
    if named is not None:
        file = Path(example.namespace["_folder"].name) / named["name"]
        file.parent.mkdir(exist_ok=True)
        file.write_text(body)
    return named is not None


def _python(example: Example) -> None:
    line, body = example.parsed
    if _is_file(example):
        return
    # Blank lines above the code, so that a traceback has the page's line numbers.
    code = compile("\n" * (line - 1) + body, example.path, "exec", dont_inherit=True)
    printed = io.StringIO()
    with _inside(example.namespace["_folder"].name), contextlib.redirect_stdout(printed):
        exec(code, example.namespace)  # noqa: S102 - that is what a documentation's example is for
    example.namespace["_printed"] = printed.getvalue()


def _output(example: Example) -> str | None:
    printed = example.namespace["_printed"]
    _, body = example.parsed
    return None if same(body, printed) else f"shown:\n{body}\nprinted:\n{printed}"


def _toml(example: Example) -> None:
    _, body = example.parsed
    data = tomllib.loads(body)
    if _is_file(example) and "hosts" not in data:
        return
    if "project" in data:
        return
    if body.startswith("# fleet.toml\n"):
        from vhal.fleet.file import FleetFile

        FleetFile(**data)
        return
    if isinstance(data.get("hosts"), list):
        from vhal_mock.scenario import Scenario

        Scenario(**data).world()
        return
    if "hosts" in data:
        _hosts(body, Path(example.namespace["_folder"].name) / "hosts.toml")
        return
    _spec(example, "toml")


def _hosts(body: str, path: Path) -> None:
    from vhal import config
    from vhal.driver import HostUrl

    path.write_text(body)
    before = os.environ.get("VHAL_CONFIG")
    os.environ["VHAL_CONFIG"] = str(path)
    try:
        for url in config.hosts().values():
            HostUrl.parse(url)
        config.default_host()
    finally:
        if before is None:
            del os.environ["VHAL_CONFIG"]
        else:
            os.environ["VHAL_CONFIG"] = before


def _spec(example: Example, format: str) -> None:
    from vhal.spec import parse_spec

    _, body = example.parsed
    example.namespace["spec"] = parse_spec(body, cast(Any, format))


def _json(example: Example) -> None:
    _spec(example, "json")


def _yaml(example: Example) -> None:
    _spec(example, "yaml")


def _console(example: Example) -> str | None:
    _, body = example.parsed
    folder = example.namespace["_folder"].name
    with _inside(folder):
        return "\n".join(judge(body, Path(folder))) or None


EVALUATORS: dict[str, Callable[[Example], str | None]] = {
    "python": cast(Any, _python),
    "output": _output,
    "toml": cast(Any, _toml),
    "json": cast(Any, _json),
    "yaml": cast(Any, _yaml),
    "console": _console,
}
