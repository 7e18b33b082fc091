"""What proves a backend: one class and one harness.

::

    from vhal.testing import BackendSuite, Harness

    class TestMine(BackendSuite):
        harness = Harness(open=open_a_clean_host, spec=smallest_machine)

Needs pytest (``pip install 'vhal[testing]'``), and is imported by tests only.
"""

from __future__ import annotations

from vhal.testing.harness import Harness
from vhal.testing.suite import BackendSuite

__all__ = ["BackendSuite", "Harness"]
