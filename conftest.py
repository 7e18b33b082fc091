"""Makes the examples of README.md and docs/ tests. It is at the root since pytest asks only the folders above a page.

The fixture ``pytester``, with which the pytest plugin is tested, can be had from here only.

What an example is and how it is judged is in ``tests/docs/examples.py``.
"""

from __future__ import annotations

from tests.docs.examples import sybil

pytest_plugins = ["pytester"]
pytest_collect_file = sybil().pytest()
