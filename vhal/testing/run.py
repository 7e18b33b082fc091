"""The suite for whoever has no file of tests: ``pytest --pyargs vhal.testing.run --vhal-backend URL``.

``vhal conformance URL`` is the same with less to write. The machine that is tested with is the backend's sample, or
the one in ``--vhal-spec FILE``. It isn't collected by itself: pytest only takes it when it is named.
"""

from __future__ import annotations

import pytest

from vhal.driver.driver import Driver
from vhal.errors import VhalError
from vhal.installed import installed
from vhal.opener import locate, open_driver
from vhal.registry import GROUP, registry
from vhal.spec.load import load_spec
from vhal.spec.machine import MachineSpec
from vhal.testing.conformance import facts
from vhal.testing.conformance.deadline import Overdue, within
from vhal.testing.harness import Harness
from vhal.testing.suite import BackendSuite

LOADING_S = 30.0
"""How long a plugin may take to be imported."""


class TestBackend(BackendSuite):
    """What ``--vhal-backend`` names, in the suite."""

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _harness(cls, request: pytest.FixtureRequest) -> None:
        cls.harness = harness(request.config)
        facts.name(cls, locate(request.config.getoption("--vhal-backend")).backend)


def harness(config: pytest.Config) -> Harness:
    """Return the harness that the options of a run describe; end the run if they don't say enough."""
    url: str | None = config.getoption("--vhal-backend")
    peer: str | None = config.getoption("--vhal-peer")
    file: str | None = config.getoption("--vhal-spec")
    if url is None:
        pytest.exit("say which host: --vhal-backend URL", pytest.ExitCode.USAGE_ERROR)
    timeout_s: float = config.getoption("--vhal-timeout") or Harness.timeout_s
    try:
        spec = load_spec(file) if file else _sample(url, min(timeout_s, LOADING_S))
    except VhalError as error:
        pytest.exit(str(error), pytest.ExitCode.USAGE_ERROR)
    quirks = config.getoption("--vhal-quirk")
    return Harness(
        open=lambda: _open(url),
        peer=None if peer is None else lambda: _open(peer),
        spec=lambda name: spec.replace(name=name),
        timeout_s=timeout_s,
        listens="deaf" not in quirks,
        has_agent="no-agent" not in quirks,
    )


def _open(url: str) -> Driver:
    return open_driver(url)[0]


def _sample(url: str, timeout_s: float) -> MachineSpec:
    name = locate(url).backend
    try:
        backend = within(timeout_s, f"importing the plugin of backend {name!r}", lambda: registry.backend(name))
    except (VhalError, Overdue) as error:
        if name not in installed(GROUP):
            pytest.exit(str(error), pytest.ExitCode.USAGE_ERROR)
        return MachineSpec(name="sample")  # each test will say so when it opens the host; that is what was found out
    if backend.sample is None:
        pytest.exit(
            f"backend {name!r} has no sample of a machine: write the smallest one that starts as a spec file, and give "
            "it with --vhal-spec (vhal conformance: --spec); docs/how-to/prove-a-backend.md has some",
            pytest.ExitCode.USAGE_ERROR,
        )
    return backend.sample("sample")
