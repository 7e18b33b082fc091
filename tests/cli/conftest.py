from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import vhal_mock.world

import vhal
import vhal.fleet.placement.creation
import vhal.host
import vhal.opener
import vhal.registry
from tests.cli.harness import Cli


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> vhal.registry.Registry:
    """A registry, a default world and an environment of this test's own."""
    for name in ("VHAL_HOST", "VHAL_PLUGINS", "VHAL_STRICT_PLUGINS", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    made = vhal.registry.Registry()
    for module in (vhal.registry, vhal.opener, vhal.host, vhal.fleet.placement.creation):
        monkeypatch.setattr(module, "registry", made)
    vhal_mock.world.swap_default(None)
    return made


@pytest.fixture(autouse=True)
def name_hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Writes the file of named hosts; before that there is none."""
    path = tmp_path / "hosts.toml"
    monkeypatch.setenv("VHAL_CONFIG", str(path))

    def write(default: str | None = None, **urls: str) -> Path:
        lines = [f'default = "{default}"'] if default else []
        lines += [f'[hosts.{name}]\nurl = "{url}"' for name, url in urls.items()]
        path.write_text("\n".join(lines))
        path.chmod(0o600)
        return path

    return write


@pytest.fixture
def cli() -> Cli:
    return Cli()


@pytest.fixture
def on_a(monkeypatch: pytest.MonkeyPatch) -> vhal.Host:
    """Host a of the default world, which VHAL_HOST means."""
    monkeypatch.setenv("VHAL_HOST", "mock:///a")
    return vhal.connect("mock:///a")


@pytest.fixture
def web(on_a: vhal.Host) -> vhal.Machine:
    """A machine on host a."""
    return on_a.create(vhal.MachineSpec(name="web", memory="1GiB", labels={"tier": "front"}))
