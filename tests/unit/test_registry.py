"""Finding backends: from metadata only, one at a time, and a broken one breaks nothing else."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from vhal.driver import SPI, Backend, Driver, HostUrl
from vhal.errors import PluginError
from vhal.registry import GROUP, Registry

GOOD = """
import vhal.driver

def opened(url):
    raise AssertionError

@vhal.driver.hookimpl
def vhal_backend():
    return vhal.driver.Backend(name={name!r}, summary="one line", open=opened, spi={spi!r})
"""


def opened(url: HostUrl) -> Driver:
    raise AssertionError(url)


class Site:
    """A folder on ``sys.path`` with distributions that a test invents."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(
        self,
        name: str,
        code: str | None = None,
        *,
        module: str | None = None,
        distribution: str | None = None,
        spi: tuple[int, int] = SPI,
        entries: str | bytes | None = None,
    ) -> None:
        module = module or f"fake_{name}"
        code = GOOD.format(name=name, spi=spi) if code is None else code
        (self.folder / f"{module}.py").write_text(code)
        dist = distribution or f"fake_{name}"
        info = self.folder / f"{dist}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: 1.0\n")
        text = entries if entries is not None else f"[{GROUP}]\n{name} = {module}\n"
        (info / "entry_points.txt").write_bytes(text if isinstance(text, bytes) else text.encode())


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    for module in [name for name in sys.modules if name.startswith("fake_")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.chdir(tmp_path)
    for variable in ("VHAL_PLUGINS", "VHAL_STRICT_PLUGINS"):
        monkeypatch.delenv(variable, raising=False)
    return Site(folder)


def refused(registry: Registry, name: str) -> PluginError:
    """Return the error of a backend; twice the same, and the others are usable."""
    with pytest.raises(PluginError) as caught:
        registry.backend(name)
    with pytest.raises(PluginError) as again:
        registry.backend(name)
    assert str(again.value) == str(caught.value)
    assert caught.value.hint
    assert caught.value.backend == name
    assert registry.backend("mock").name == "mock"
    return caught.value


class TestFinding:
    def test_lists_without_importing(self, site: Site) -> None:
        site.install("one")
        site.install("two", "raise AssertionError")
        plugins = {plugin.name: plugin for plugin in Registry().plugins()}
        assert {"mock", "one", "two"} <= plugins.keys()
        assert (plugins["one"].distribution, plugins["one"].version) == ("fake-one", "1.0")
        assert (plugins["one"].module, Path(plugins["one"].location)) == ("fake_one", site.folder)
        assert list(plugins) == sorted(plugins)
        assert not [name for name in sys.modules if name.startswith("fake_")]

    def test_loads_the_one_that_is_named(self, site: Site) -> None:
        site.install("one")
        site.install("two", "raise AssertionError")
        registry = Registry()
        backend = registry.backend("one")
        assert backend.name == "one"
        assert registry.backend("one") is backend
        assert "fake_two" not in sys.modules

    def test_an_object_in_a_module(self, site: Site) -> None:
        code = "import vhal.driver\nclass plugin:\n" + "\n".join(
            f"    {line}" for line in GOOD.format(name="one", spi=SPI).replace("import vhal.driver", "").splitlines()
        ).replace("def vhal_backend()", "def vhal_backend(self)").replace("open=opened", "open=print")
        site.install("one", code + "\nit = plugin()\n", entries=f"[{GROUP}]\none = fake_one:it\n")
        assert Registry().backend("one").name == "one"

    @pytest.mark.parametrize(("name", "hint"), [("nothing", "scheme of the URL"), ("lbvirt", "scheme of the URL")])
    def test_unknown(self, site: Site, name: str, hint: str) -> None:
        site.install("one")
        error = refused(Registry(), name)
        assert f"there is no backend {name!r}; installed: " in str(error)
        assert "one" in str(error)
        assert hint in (error.hint or "")

    def test_unknown_with_an_install_hint(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "path", [str(site.folder)])
        with pytest.raises(PluginError, match=r"pip install 'vhal\[libvirt\]'"):
            Registry().backend("libvirt")
        with pytest.raises(PluginError, match=r"installed: none .*pip install vhal-mock"):
            Registry().backend("mock")

    def test_damaged_metadata_hides_nothing_else(self, site: Site) -> None:
        site.install("one")
        site.install("two", entries=f"[{GROUP}]\nno equals sign\n[[[\n= x\n".encode())
        site.install("three", entries=b"\xff\xfe[vhal.backends]\n")
        (site.folder / "four-1.0.dist-info").mkdir()
        (site.folder / "five-1.0.dist-info").write_text("a file")
        registry = Registry()
        assert registry.backend("one").name == "one"
        refused(registry, "two")
        refused(registry, "three")

    def test_a_copy_further_back_on_the_path_doesnt_count(
        self, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = tmp_path / "other"
        other.mkdir()
        Site(other).install("one", "raise AssertionError")
        site.install("one")
        monkeypatch.setattr(sys, "path", [*sys.path, str(other)])
        assert Registry().backend("one").name == "one"


BROKEN = {
    "an import error": ("import nothing_of_that_name", "can't be loaded: ModuleNotFoundError"),
    "an exit at import": ("raise SystemExit(0)", "can't be loaded: SystemExit"),
    "a syntax error": ("def", "can't be loaded: SyntaxError"),
    "an error at import": ("1 / 0", "can't be loaded: ZeroDivisionError"),
    "no hook": ("", "hands over 0 backends, not one"),
    "a hook that gives nothing": (
        "import vhal.driver\n@vhal.driver.hookimpl\ndef vhal_backend(): pass",
        "hands over 0 backends, not one",
    ),
    "two hooks": (
        GOOD.format(name="bad", spi=SPI)
        + "\n@vhal.driver.hookimpl(specname='vhal_backend')\ndef other(): return vhal_backend()",
        "hands over 2 backends, not one",
    ),
    "a hook that fails": (
        "import vhal.driver\n@vhal.driver.hookimpl\ndef vhal_backend(): raise OSError('x')",
        "can't be loaded: OSError: x",
    ),
    "a hook with wrong arguments": (
        "import vhal.driver\n@vhal.driver.hookimpl\ndef vhal_backend(x): pass",
        "can't be loaded: PluginValidationError",
    ),
    "an unknown hook": (
        GOOD.format(name="bad", spi=SPI) + "\n@vhal.driver.hookimpl\ndef vhal_nonsense(): pass",
        "can't be loaded: PluginValidationError",
    ),
    "a wrong type": (
        "import vhal.driver\n@vhal.driver.hookimpl\ndef vhal_backend(): return 'bad'",
        "hands over a str, not a Backend",
    ),
    "an older major": (GOOD.format(name="bad", spi=(0, 9)), "written for contract 0.9, this vhal has 1.2"),
    "a newer major": (GOOD.format(name="bad", spi=(2, 0)), "written for contract 2.0, this vhal has 1.2"),
    "a newer minor": (GOOD.format(name="bad", spi=(1, 99)), "written for contract 1.99, this vhal has 1.2"),
    "no version": (GOOD.format(name="bad", spi="1.0"), "bad"),
    "another name": (GOOD.format(name="good", spi=SPI), "hands over a backend named 'good'"),
}


class TestBroken:
    @pytest.mark.parametrize("what", BROKEN)
    def test_is_named_and_isolated(self, site: Site, what: str) -> None:
        code, message = BROKEN[what]
        site.install("bad", code)
        site.install("good")
        registry = Registry()
        error = refused(registry, "bad")
        assert message in str(error)
        assert "fake-bad 1.0 (fake_bad)" in str(error)
        assert registry.backend("good").name == "good"

    def test_says_who_must_upgrade(self, site: Site) -> None:
        site.install("old", spi=(0, 1))
        site.install("new", spi=(9, 0))
        registry = Registry()
        assert refused(registry, "old").hint == "upgrade the plugin"
        assert refused(registry, "new").hint == "upgrade vhal"

    def test_an_older_minor_is_good(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("vhal.driver.version.fits.__defaults__", ((1, 7),))
        site.install("one", spi=(1, 3))
        assert Registry().backend("one").spi == (1, 3)

    def test_claimed_twice(self, site: Site) -> None:
        site.install("one")
        site.install("one", module="fake_other", distribution="fake_other")
        error = refused(Registry(), "one")
        assert "claimed by fake-one 1.0 and fake-other 1.0" in str(error)
        assert error.hint == "uninstall one"

    def test_strict_shows_where_it_fails(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("VHAL_STRICT_PLUGINS", "1")
        site.install("bad", "1 / 0")
        with pytest.raises(ZeroDivisionError):
            Registry().backend("bad")

    def test_the_cause_is_kept(self, site: Site) -> None:
        site.install("bad", "1 / 0")
        with pytest.raises(PluginError) as caught:
            Registry().backend("bad")
        assert isinstance(caught.value.__cause__, ZeroDivisionError)
        assert caught.value.native is caught.value.__cause__


class TestAllowed:
    def test_only_those_of_the_environment(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        site.install("one")
        site.install("two")
        monkeypatch.setenv("VHAL_PLUGINS", " one, mock,,")
        registry = Registry()
        assert [plugin.name for plugin in registry.plugins()] == ["mock", "one"]
        assert registry.backend("one").name == "one"
        assert "VHAL_PLUGINS" in (refused(registry, "two").hint or "")

    def test_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("VHAL_PLUGINS", "")
        assert Registry().plugins() == []
        with pytest.raises(PluginError, match="blocked"):
            Registry().backend("mock")

    def test_blocked(self, site: Site) -> None:
        site.install("one")
        registry = Registry(block=["one"])
        assert "one" not in [plugin.name for plugin in registry.plugins()]
        assert "blocked" in str(refused(registry, "one"))
        registry.backend("mock")
        registry.block("mock")
        with pytest.raises(PluginError, match="blocked"):
            registry.backend("mock")


class TestAdded:
    def test_needs_no_installation(self) -> None:
        registry = Registry()
        backend = Backend(name="mine", summary="", open=opened)
        registry.add(backend)
        assert registry.backend("mine") is backend
        with pytest.raises(PluginError, match="already") as caught:
            registry.add(backend)
        assert caught.value.hint

    def test_must_fit(self) -> None:
        with pytest.raises(PluginError, match=r"contract 7\.0"):
            Registry().add(Backend(name="mine", summary="", open=opened, spi=(7, 0)))


class TestTrust:
    def test_the_current_directory_installs_nothing(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        site.install("one")
        monkeypatch.chdir(site.folder)
        for first in ("", ".", str(site.folder)):
            monkeypatch.setattr(sys, "path", [first, *sys.path[1:]])
            with pytest.raises(PluginError, match="there is no backend 'one'"):
                Registry().backend("one")

    @pytest.mark.parametrize(
        ("name", "mode"),
        [("pack", 0o777), ("pack/__init__.py", 0o666), ("pack/deep", 0o777), ("pack/deep/mod.py", 0o666)],
    )
    def test_root_runs_no_module_that_everybody_can_write(
        self, site: Site, monkeypatch: pytest.MonkeyPatch, name: str, mode: int
    ) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        site.folder.chmod(0o755)
        site.install("one", code="", entries=f"[{GROUP}]\none = pack.deep.mod\n")
        (site.folder / "pack" / "deep").mkdir(parents=True)
        for file in ("pack/__init__.py", "pack/deep/mod.py"):
            (site.folder / file).write_text("raise AssertionError('it ran')")
        (site.folder / name).chmod(mode)
        assert f"{site.folder / name}, which everybody can write to" in str(refused(Registry(), "one"))

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root is that careful")
    @pytest.mark.parametrize("mode", [0o777, 0o1777])
    def test_root_runs_nothing_that_everybody_can_write(self, site: Site, mode: int) -> None:
        site.install("one")
        site.folder.chmod(mode)
        assert "everybody can write to" in str(refused(Registry(), "one"))

    def test_others_run_it(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        site.install("one")
        site.folder.chmod(0o777)
        assert Registry().backend("one").name == "one"
