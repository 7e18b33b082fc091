"""Connection URLs: taken apart exactly, and nothing hostile gets through."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import vhal
from vhal.driver.url import HostUrl, Transport
from vhal.errors import InvalidUrl

PATH = re.compile(r"/[a-z]*")
TRANSPORTS = {
    None: Transport(),
    "tls": Transport(host=True, parameters={"socket": re.compile(r"/[a-z/]+")}),
    "ssh": Transport(host=True, user=True),
    "any": Transport(host=None),
}


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("mock:///a", HostUrl("mock", path="/a")),
        ("mock://", HostUrl("mock")),
        ("mock:///", HostUrl("mock")),
        ("mock://world-1/a", HostUrl("mock", host="world-1", path="/a")),
        ("libvirt+tls://a.example.org/system", HostUrl("libvirt", "tls", "a.example.org", path="/system")),
        ("libvirt+tls://a:16514/system", HostUrl("libvirt", "tls", "a", 16514, path="/system")),
        ("libvirt+ssh://joe@a/system", HostUrl("libvirt", "ssh", "a", user="joe", path="/system")),
        ("libvirt+tls://[::1]:1/x", HostUrl("libvirt", "tls", "[::1]", 1, path="/x")),
        ("x:///p?a=1&b=2", HostUrl("x", path="/p", parameters={"a": "1", "b": "2"})),
        ("x:///p?a=", HostUrl("x", path="/p", parameters={"a": ""})),
        ("x:///p?a=1=2", HostUrl("x", path="/p", parameters={"a": "1=2"})),
        ("x:///p?", HostUrl("x", path="/p")),
        ("x:///a%20b?c=d%26e", HostUrl("x", path="/a b", parameters={"c": "d&e"})),
    ],
)
def test_parts(text: str, url: HostUrl) -> None:
    assert HostUrl.parse(text) == url
    assert HostUrl.parse(str(url)) == url


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "1 to 2,048 printable"),
        ("mock:///" + "a" * 2048, "1 to 2,048 printable"),
        ("mock:///\x00", "printable"),
        ("mock:///a\n", "printable"),
        ("mock:///a b", "printable"),
        ("mock:///ä", "printable"),
        ("mock://\u0661/", "printable"),
        ("mock", "is no connection URL"),
        ("mock:a", "is no connection URL"),
        ("//a/b", "is no connection URL"),
        ("MOCK:///a", "is no connection URL"),
        ("1mock:///a", "is no connection URL"),
        ("mock+:///a", "is no connection URL"),
        ("mock+a+b:///a", "is no connection URL"),
        ("mock:///a#fragment", "is no connection URL"),
        ("mock:///a?b=c#d", "is no connection URL"),
        ("mock://a@b@c/", "is no connection URL"),
        ("mock://a:b:c/", "is no connection URL"),
        ("mock://[::1/", "is no connection URL"),
        ("mock://joe:pw@a/", "holds no password"),
        ("mock://:pw@a/", "holds no password"),
        ("mock://@a/", "is no user name"),
        ("mock://-oProxyCommand=x@a/", "is no user name"),
        ("mock://a%40b@c/", "is no user name"),
        ("mock://-oProxyCommand=x/", "is no host name"),
        ("mock://-a/", "is no host name"),
        ("mock://a-/", "is no host name"),
        ("mock://a%2fb/", "is no host name"),
        ("mock://a;b/", "is no host name"),
        ("mock://a|b/", "is no host name"),
        ("mock://$(id)/", "is no host name"),
        ("mock://a:/", "is no port"),
        ("mock://a:0/", "is no port"),
        ("mock://a:65536/", "is no port"),
        ("mock://a:" + "9" * 2000, "is no port"),
        ("mock://:80/", "is no port"),
        ("mock:///a%00", "printable ASCII characters only, encoded or not"),
        ("mock:///a%0a", "printable ASCII characters only, encoded or not"),
        ("mock:///?a=%1b", "printable ASCII characters only, encoded or not"),
        ("mock:///a%7f", "printable ASCII characters only, encoded or not"),
        ("mock:///a%zz", "encodes nothing"),
        ("mock:///a%", "encodes nothing"),
        ("mock:///a%ff", "printable ASCII characters only"),
        ("mock:///?a=%c3%a4", "printable ASCII characters only"),
        ("mock:///?a=1&a=2", "given twice"),
        ("mock:///?a", "no key=value"),
        ("mock:///?=a", "no key=value"),
        ("mock:///?A=a", "no key=value"),
        ("mock:///?a=1&", "no key=value"),
        ("mock:///?a%3d=1", "no key=value"),
    ],
)
def test_malformed(text: str, why: str) -> None:
    with pytest.raises(InvalidUrl, match=re.escape(why)) as caught:
        HostUrl.parse(text)
    assert len(str(caught.value)) < 2500


@pytest.mark.parametrize(
    "text",
    [
        "mock://joe:s3cret@a/",
        "mock://joe:s3/cret@a/",
        "mock://joe:s3#cret@a/",
        "mock://joe:s3?cret@a/",
        "mock://joe:s3@cret@a/",
        "mock:joe:s3cret@a",
        "//joe:s3cret@a/",
        "mock://joe:s3 cret@a/",
    ],
)
def test_a_password_is_not_shown(text: str) -> None:
    with pytest.raises(InvalidUrl) as caught:
        vhal.connect(text)
    assert "cret" not in str(caught.value)
    assert "s3" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["x:///p", "x+tls://a/p", "x+tls://a:1/p?socket=/run/x", "x+ssh://joe@a/p", "x+any:///", "x+any://a/"]
)
def test_what_a_backend_allows(text: str) -> None:
    url = HostUrl.parse(text)
    assert url.check(TRANSPORTS, PATH) is url


@pytest.mark.parametrize(
    ("text", "why", "hint"),
    [
        ("x+ext:///p?command=id", "x knows no transport 'ext'", "x+tls"),
        ("x://a/p", "reaches this machine only", "x:///p"),
        ("x:///P", "'/P' is no path of x", "must match"),
        ("x:///../p", "is no path of x", "must match"),
        ("x:///p%2f", "is no path of x", "must match"),
        ("x+tls:///p", "names no host", "after the //"),
        ("x+tls://joe@a/p", "x+tls takes no user name", ""),
        ("x+ssh://a/p?command=id", "takes no parameter 'command'", "allowed: none"),
        ("x+ssh://a/p?netcat=nc", "takes no parameter 'netcat'", "allowed: none"),
        ("x+ssh://a/p?keyfile=/k", "takes no parameter 'keyfile'", "allowed: none"),
        ("x+tls://a/p?no_verify=1", "takes no parameter 'no_verify'", "allowed: socket"),
        ("x+tls://a/p?socket=/a;b", "'socket' has a value that isn't allowed", "must match"),
        ("x+tls://a/p?socket=/a%3bb", "'socket' has a value that isn't allowed", "must match"),
    ],
)
def test_what_a_backend_does_not_allow(text: str, why: str, hint: str) -> None:
    with pytest.raises(InvalidUrl, match=re.escape(why)) as caught:
        HostUrl.parse(text).check(TRANSPORTS, PATH)
    assert hint in (caught.value.hint or "")
    assert caught.value.backend == "x"


def test_a_backend_may_have_no_plain_transport() -> None:
    with pytest.raises(InvalidUrl, match="x has no transport"):
        HostUrl.parse("x:///").check({"tls": Transport()}, PATH)


@pytest.mark.parametrize(
    "text",
    [
        "mock+ext:///a?command=id",
        "mock:///a?command=id",
        "mock:///a?netcat=nc",
        "mock:///a?keyfile=/k",
        "mock:///../a",
        "mock:///a/b",
        "mock://joe@world/a",
        "mock:///a%2fb",
        "mock:///<a>",
    ],
)
def test_the_mock_refuses(text: str) -> None:
    with pytest.raises(InvalidUrl):
        vhal.connect(text)


class TestFuzz:
    @given(st.text())
    @example("mock:///%ff")
    def test_any_text(self, text: str) -> None:
        self.parse(text)

    @given(st.from_regex(r"[a-z]{1,3}(\+[a-z]{1,3})?://[ -~]{0,40}", fullmatch=True))
    def test_anything_after_a_scheme(self, text: str) -> None:
        self.parse(text)

    @given(
        st.lists(
            st.sampled_from(
                [
                    "mock",
                    "+",
                    ":",
                    "//",
                    "/",
                    "@",
                    "a",
                    "%",
                    "%41",
                    "%ff",
                    "?",
                    "=",
                    "&",
                    "[",
                    "::1",
                    "]",
                    "#",
                    "-",
                    ".",
                ]
            )
        )
    )
    def test_parts_in_any_order(self, parts: list[str]) -> None:
        self.parse("mock://" + "".join(parts))
        self.parse("".join(parts))

    def parse(self, text: str) -> None:
        """A text is a URL that reads back as itself, or it is invalid, and nothing else happens."""
        try:
            url = HostUrl.parse(text)
        except InvalidUrl:
            return
        assert HostUrl.parse(str(url)) == url
        assert not (url.host or "a").startswith("-")
        assert not (url.user or "a").startswith("-")
        assert not re.search(r"[\x00-\x1f\x7f]", url.path + "".join(url.parameters.values()))
