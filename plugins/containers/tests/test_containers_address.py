"""What URLs may say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vhal_containers.address import Address, address, checked

from vhal.driver import HostUrl
from vhal.errors import InvalidUrl


def test_whose_engine_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert address(checked("containers:///")) == Address("/run/podman/podman.sock")
    assert address(checked("containers:///user")) == Address("/run/user/7/podman/podman.sock")
    monkeypatch.setattr("os.geteuid", lambda: 7)
    assert address(checked("containers:///")) == Address("/run/user/7/podman/podman.sock")


def test_a_user_without_a_runtime_folder_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    with pytest.raises(InvalidUrl, match="XDG_RUNTIME_DIR"):
        checked("containers:///user")


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("containers+unix:///srv/x.sock", Address("/srv/x.sock")),
        ("containers+ssh://h", Address("/run/podman/podman.sock", "h")),
        ("containers+ssh://u@h:22/run/user/7/podman/podman.sock",
         Address("/run/user/7/podman/podman.sock", "h", "u", 22)),
        ("containers+ssh://[::1]/x", Address("/x", "::1")),
    ],
)  # fmt: skip
def test_where_an_engine_listens(text: str, where: Address) -> None:
    assert address(checked(text)) == where
    assert where.local is (where.host is None)


@pytest.mark.parametrize(
    "text",
    [
        "containers://host/",
        "containers:///system",
        "containers:///run/podman/podman.sock",
        "containers+unix:///",
        "containers+unix://host/x.sock",
        "containers+unix:///a/../b",
        "containers+unix:///a//b",
        "containers+unix:///./b",
        "containers+unix:///a/",
        "containers+unix:///a:b",
        "containers+unix:///a%20b",
        "containers+unix:///" + "a" * 200,
        "containers+ssh:///x",
        "containers+ssh://-oProxyCommand=x/y",
        "containers+ssh://u:p@h/x",
        "containers+ssh://h/x?command=/bin/sh",
        "containers+ssh://h/x;y",
        "containers+ssh://h/$HOME",
        "containers+tcp://h:80/",
        "containers:///?socket=/x",
        "libvirt:///system",
    ],
)
def test_what_a_url_may_not_say(text: str) -> None:
    with pytest.raises(InvalidUrl) as caught:
        checked(text)
    assert caught.value.hint


@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=60))
def test_a_socket_is_a_plain_path_or_nothing(path: str) -> None:
    try:
        found = address(checked(f"containers+unix:///{path}"))
    except InvalidUrl:
        return
    assert found.socket.startswith("/")
    assert not {"", ".", ".."} & set(found.socket.split("/")[1:])
    assert len(found.socket) <= 107
    assert not set(found.socket) & set(" :;$`'\"\\|&<>*?[]{}()!#~%,=\n")


def test_a_checked_url_comes_back_as_it_went_in() -> None:
    text = "containers+ssh://u@h:22/run/x.sock"
    assert str(HostUrl.parse(text)) == text
