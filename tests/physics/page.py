"""The documentation's page: the parts of it that are made from what was measured."""

from __future__ import annotations

import re
from pathlib import Path

from tests.physics.compare import rows
from tests.physics.data import Data
from tests.physics.table import comparison, constants, errors

_FOLDER = Path(__file__).parents[2] / "docs" / "explanation"
PAGE = _FOLDER / "physics.md"
DATA = _FOLDER / "physics.json"
PICTURE = _FOLDER / "physics.svg"


def made(text: str, data: Data) -> str:
    """Return the page with its parts made anew; they stand between a mark and an empty line."""
    costs, compared = rows(data.runs)
    parts = {"constants": constants(costs), "errors": errors(compared), "comparison": comparison(compared)}
    for name, part in parts.items():
        mark = f"<!-- measured: {name} -->\n"
        text, found = re.subn(rf"(?<={re.escape(mark)})(\|[^\n]*\n)*", f"{part}\n".replace("\\", r"\\"), text)
        assert found == 1, f"the page has no {mark.strip()}"
    return text
