"""What importing vhal costs, and that every public name is there and documented."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import subprocess
import sys

import pytest

import vhal

CORE = ("vhal", "vhal.spec", "vhal.driver", "vhal.layers", "vhal.migration", "vhal.fleet", "vhal_mock")


def modules() -> list[str]:
    """Return every module of the core and the mock."""
    found = []
    for name in CORE:
        package = importlib.import_module(name)
        found.append(name)
        found += [f"{name}.{info.name}" for info in pkgutil.iter_modules(package.__path__) if not info.ispkg]
    return sorted(found)


def loaded_after(code: str) -> set[str]:
    """Return what a fresh process has imported after ``code``."""
    script = f"{code}\nimport json, sys; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not done.stderr
    return set(json.loads(done.stdout))


def test_import_vhal_loads_next_to_nothing() -> None:
    loaded = loaded_after("import vhal")
    assert not loaded & {"pydantic", "pluggy", "libvirt", "asyncio", "yaml", "click", "rich", "vhal.host", "vhal_mock"}


def test_connecting_loads_neither_models_nor_asyncio() -> None:
    loaded = loaded_after("import vhal; vhal.connect('mock:///')")
    assert not loaded & {"pydantic", "pydantic_core", "asyncio", "libvirt", "yaml", "click", "rich"}
    assert "vhal_mock.driver" in loaded


def test_a_plugin_can_be_written_without_models() -> None:
    assert "pydantic" not in loaded_after("from vhal.driver import Backend, Driver, HostUrl, Transport, hookimpl")


@pytest.mark.parametrize("name", modules())
def test_every_module_is_documented_and_complete(name: str) -> None:
    module = importlib.import_module(name)
    assert (module.__doc__ or "").strip()
    for public in getattr(module, "__all__", ()):
        assert getattr(module, public) is not None


@pytest.mark.parametrize("name", [name for name in modules() if name.startswith("vhal")])
def test_every_public_class_and_function_is_documented(name: str) -> None:
    module = importlib.import_module(name)
    for public, value in vars(module).items():
        mine = not public.startswith("_") and getattr(value, "__module__", None) == name
        if mine and (inspect.isclass(value) or inspect.isfunction(value)):
            assert value.__doc__, f"{name}.{public}"


@pytest.mark.parametrize("package", ["vhal", "vhal.spec", "vhal.driver"])
def test_lazy_names(package: str) -> None:
    module = importlib.import_module(package)
    assert sorted(module.__all__) == sorted(set(module.__all__))
    homes = {name for names in module._HOMES.values() for name in names}
    assert homes == set(module.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = module.nothing
    scope: dict[str, object] = {}
    exec(f"from {package} import *", scope)  # noqa: S102 - star imports are only allowed at the top of a module
    assert set(module.__all__) <= set(scope)


def test_the_scripting_names_are_few() -> None:
    assert len(vhal.__all__) <= 26


def test_version_matches_the_distribution() -> None:
    from importlib.metadata import version

    assert vhal.__version__ == version("vhal")
