"""Named hosts: which file wins, and which files aren't believed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import vhal
from vhal import config
from vhal.errors import InvalidConfig, InvalidUrl, NotFound

TWO = 'default = "a"\n[hosts.a]\nurl = "mock:///a"\n[hosts.b]\nurl = "mock:///b"\n'


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No file of this machine's counts."""
    monkeypatch.delenv("VHAL_CONFIG", raising=False)
    monkeypatch.delenv("VHAL_HOST", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path / "site"))
    return tmp_path


def write(path: Path, text: str | bytes, mode: int = 0o644) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(mode)
    return path


class TestPrecedence:
    def test_no_file_names_nothing(self) -> None:
        assert config.hosts() == {}
        assert config.default_host() is None

    def test_the_users_file_wins_name_by_name(self, home: Path) -> None:
        write(home / "site/vhal/hosts.toml", TWO)
        write(home / "user/vhal/hosts.toml", '[hosts.a]\nurl = "mock:///mine"\n')
        assert config.hosts() == {"a": "mock:///mine", "b": "mock:///b"}
        assert config.default_host() == "a"
        assert config.url_of("a") == "mock:///mine"

    def test_the_named_file_goes_instead_of_both(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write(home / "user/vhal/hosts.toml", TWO)
        monkeypatch.setenv("VHAL_CONFIG", str(write(home / "other.toml", '[hosts.x]\nurl = "mock:///x"\n')))
        assert config.hosts() == {"x": "mock:///x"}
        assert config.default_host() is None

    def test_the_environments_host_goes_before_all(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write(home / "user/vhal/hosts.toml", TWO)
        monkeypatch.setenv("VHAL_HOST", "b")
        assert config.default_host() == "b"

    def test_the_current_directory_is_never_read(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("hosts.toml", "vhal/hosts.toml", ".vhal/hosts.toml", "vhal.toml"):
            write(home / "here" / name, TWO)
        monkeypatch.chdir(home / "here")
        assert config.hosts() == {}
        assert all(path.is_absolute() for path in config.paths())

    def test_connect_takes_names(self, home: Path) -> None:
        write(home / "user/vhal/hosts.toml", TWO)
        with vhal.connect("b") as host:
            assert host.name == "b"
            assert host.url == "mock:///b"
            assert host.info().name == "b"

    def test_an_unknown_name(self, home: Path) -> None:
        write(home / "user/vhal/hosts.toml", TWO)
        for name in ("c", ""):
            with pytest.raises(NotFound, match=f"no host named {name!r}; named hosts: a, b") as caught:
                vhal.connect(name)
            assert "mock:///a" in (caught.value.hint or "")

    def test_a_named_url_is_checked_too(self, home: Path) -> None:
        write(home / "user/vhal/hosts.toml", '[hosts.a]\nurl = "mock:///a?command=id"\n')
        with pytest.raises(InvalidUrl):
            vhal.connect("a")


class TestBadFiles:
    @pytest.mark.parametrize("mode", [0o664, 0o646, 0o666])
    def test_written_by_others(self, home: Path, mode: int) -> None:
        path = write(home / "user/vhal/hosts.toml", TWO, mode)
        with pytest.raises(InvalidConfig, match="can be written by others") as caught:
            config.hosts()
        assert caught.value.hint == f"chmod go-w {path}"

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("x = 1\n[hosts.a]\nurl = =\n", "line 3"),
            ("default = 1\n", "default: must be the name or URL"),
            ("hosts = 1\n", "hosts: must be a table of tables"),
            ("hosts = []\n", "hosts: must be a table of tables"),
            ("[hosts]\na = 1\n", "hosts.a.url: this text is required"),
            ("[hosts.a]\n", "hosts.a.url: this text is required"),
            ("[hosts.a]\nurl = 1\n", "hosts.a.url: this text is required"),
            ('[hosts.a]\nurl = "x:///"\nuser = "x"\n', "hosts.a.user: there is no such setting"),
            ("[host.a]\n", "host: there is no such setting"),
            (b"\xff", "utf-8"),
            ("x = " + "1" * 5000, "digits"),
            ("x = " + "[" * 5000 + "]" * 5000, "recursion"),
        ],
    )
    def test_malformed(self, home: Path, text: str | bytes, why: str) -> None:
        path = write(home / "user/vhal/hosts.toml", text)
        with pytest.raises(InvalidConfig) as caught:
            config.hosts()
        assert why in str(caught.value)
        assert str(path) in str(caught.value)
        with pytest.raises(InvalidConfig):
            config.default_host()

    def test_a_folder(self, home: Path) -> None:
        (home / "user/vhal/hosts.toml").mkdir(parents=True, mode=0o755)
        with pytest.raises(InvalidConfig):
            config.hosts()


def test_a_file_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "hosts.toml"
    path.write_text('[hosts.a]\nurl = "mock:///a"\n')
    path.chmod(0o600)
    monkeypatch.setenv("VHAL_CONFIG", str(path))
    assert config.hosts() == {"a": "mock:///a"}
    somebody = 12345
    if os.geteuid() == 0:
        os.chown(path, somebody, -1)
    else:
        monkeypatch.setattr("os.geteuid", lambda: somebody)
    with pytest.raises(InvalidConfig, match="belongs to somebody else"):
        config.hosts()
