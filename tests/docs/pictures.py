"""The pictures that pages show and their own commands draw: ``python -m tests.docs.pictures`` draws them anew.

A page's examples are run as its tests do, and the picture is taken from the folder that they ran in.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from sybil import Document
from sybil.example import Example
from vhal_mock.world import swap_default

from tests.docs import examples

DOCS = Path(__file__).parents[2] / "docs" / "how-to"
PICTURES = {"see-a-fleet.md": ("plan.svg", "see-a-fleet.svg")}
"""Page → the file that its commands draw, and what it is called beside the page."""


def draw(page: str) -> Path:
    """Run a page's examples, and put its picture beside it. Return the picture.

    Raises:
        AssertionError: An example isn't as the page says.
    """
    drawn, name = PICTURES[page]
    path = DOCS / page
    namespace: dict[str, Any] = {}
    examples.setup(namespace)
    try:
        document = Document(path.read_text(encoding="utf-8"), str(path))
        for region in examples.parse(document):
            line, _ = region.parsed
            swap_default(None)  # each test has a world of its own
            problem = region.evaluator and region.evaluator(Example(document, line, 0, region, namespace))
            assert not problem, problem
        return Path(shutil.copy(Path(namespace["_folder"].name, drawn), DOCS / name))
    finally:
        examples.teardown(namespace)


if __name__ == "__main__":
    for name in PICTURES:
        print(draw(name))
