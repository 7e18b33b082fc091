"""create: a spec from a file, from flags, from both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import vhal
from tests.cli.harness import Cli

pytestmark = pytest.mark.usefixtures("on_a")

TOML = """
name = "web"
cpus = 2
memory = "1GiB"
disks = [{ size = "1GiB" }]
boot = { source = "kernel", kernel = "/boot/vmlinuz", cmdline = "quiet" }
[labels]
tier = "front"
[options.mock]
boot_s = 1.0
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "spec.toml"
    path.write_text(TOML)
    return str(path)


def made(cli: Cli, *words: str) -> dict[str, Any]:
    (item,) = cli.items("create", *words)
    return dict(item["spec"])


def test_flags_alone(cli: Cli) -> None:
    spec = made(
        cli,
        "web",
        *("--cpus", "4", "--memory", "2GiB", "--kind", "container", "--image", "docker.io/library/alpine:3"),
        *("--disk", "size=10GiB,format=raw,read-only", "--disk", "path=/var/lib/x.qcow2"),
        *("--nic", "bridge=br0,mac=52:54:00:00:00:01", "--nic", "user"),
        *("--label", "tier=front", "--label", "note=a=b"),
        *("--option", "mock.boot_s=2", "--option", "mock.dirty_rate=1MiB", "--option", 'libvirt.x={"y": [true]}'),
    )
    assert spec["cpus"]["count"] == 4
    assert spec["memory"]["size"] == 2 << 30
    assert spec["kind"] == "container"
    assert spec["boot"] == {"source": "image", "image": "docker.io/library/alpine:3"}
    assert [(disk["size"], disk["format"], disk["read_only"], disk["path"]) for disk in spec["disks"]] == [
        (10 << 30, "raw", True, None),
        (None, "qcow2", False, "/var/lib/x.qcow2"),
    ]
    assert [(nic["bridge"], nic["user"]) for nic in spec["nics"]] == [("br0", False), (None, True)]
    assert spec["labels"] == {"tier": "front", "note": "a=b"}
    assert spec["options"] == {"mock": {"boot_s": 2, "dirty_rate": "1MiB"}, "libvirt": {"x": {"y": [True]}}}


def test_a_file(cli: Cli, file: str) -> None:
    spec = made(cli, "-f", file)
    assert (spec["name"], spec["cpus"]["count"]) == ("web", 2)


def test_flags_go_over_the_file(cli: Cli, file: str) -> None:
    spec = made(
        cli,
        *("-f", file, "--name", "web2", "--cpus", "8", "--disk", "size=2GiB", "--cmdline", "debug"),
        *("--label", "zone=x", "--option", "mock.stop_s=1"),
    )
    assert (spec["name"], spec["cpus"]["count"], spec["memory"]["size"]) == ("web2", 8, 1 << 30)
    assert [disk["size"] for disk in spec["disks"]] == [2 << 30]
    assert spec["boot"] == {"source": "kernel", "kernel": "/boot/vmlinuz", "initrd": None, "cmdline": "debug"}
    assert spec["labels"] == {"tier": "front", "zone": "x"}
    assert spec["options"] == {"mock": {"boot_s": 1.0, "stop_s": 1}}


@pytest.mark.parametrize(
    ("text", "format"), [(TOML, []), ('{"name": "web"}', ["--format", "json"]), ("name: web", ["--format", "yaml"])]
)
def test_a_spec_from_stdin(cli: Cli, text: str, format: list[str]) -> None:
    cli("create", "-f", "-", *format, input=text)
    assert [item["name"] for item in cli.items("list")] == ["web"]


def test_start_and_wait(cli: Cli) -> None:
    result = cli("create", "web", "--wait")
    assert "web is made on mock:///a\n" in result.stderr
    assert "web is running on mock:///a\n" in result.stderr
    assert "end with this process" in result.stderr
    assert cli.items("create", "db", "--start")[0]["state"] == "running"
    assert cli.items("create", "old")[0]["state"] == "stopped"


def test_a_kernel_from_flags(cli: Cli) -> None:
    spec = made(cli, "web", "--kernel", "/boot/vmlinuz", "--initrd", "/boot/initrd", "--cmdline", "console=ttyS0")
    assert spec["boot"]["initrd"] == "/boot/initrd"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "the machine has no name"),
        (["web", "--name", "db"], "two names are given: 'web' and 'db'"),
        (["web", "--image", "x", "--kernel", "/k"], "a machine boots an image or a kernel, not both"),
        (["web", "--initrd", "/i"], "--initrd and --cmdline are a kernel's"),
        (["web", "--disk", "size=1GiB,size=2GiB"], "has two of size"),
        (["web", "--disk", "size=1GiB,,"], "has an empty part"),
        (["web", "--label", "tier"], "'tier' is no key=value"),
        (["web", "--option", "boot_s=1"], "'boot_s=1' is no backend.key=value"),
        (["web", "--cpus", "two"], "'two' is not a valid integer"),
        (["web", "--timeout", "soon"], "'soon' is no duration"),
    ],
)
def test_usage(cli: Cli, words: list[str], message: str) -> None:
    error = cli.error("create", *words, code=2)
    assert error["code"] == "usage"
    assert message in error["message"]
    assert error["hint"]


@pytest.mark.parametrize(
    ("words", "path"),
    [
        (["web", "--disk", "size=lots"], "disks[0].size"),
        (["web", "--disk", "colour=red"], "disks[0].colour"),
        (["web", "--memory", "1"], "memory.size"),
        (["-x-"], None),
        (["web", "--option", "mock.boots=1"], "options.mock.boots"),
    ],
)
def test_what_the_spec_refuses(cli: Cli, words: list[str], path: str | None) -> None:
    error = cli.error("create", *words, code=2)
    if path is not None:
        assert error["code"] == "invalid-spec"
        assert path in [problem["path"] for problem in error["problems"]]


def test_stdin_that_is_no_text(cli: Cli) -> None:
    result = cli("create", "-f", "-", code=2, input=b"\xff\xfe")
    assert result.stderr.startswith("error: stdin: not UTF-8 text")


def test_no_such_file(cli: Cli) -> None:
    assert cli.error("create", "-f", "/nonexistent/spec.toml", code=3)["code"] == "not-found"


def test_a_start_without_room_leaves_the_machine(cli: Cli) -> None:
    cli("create", "big", "--memory", "64GiB", "--start", "-q")
    result = cli("create", "web", "--start", code=4)
    assert result.stderr.startswith("web is made on mock:///a\nerror: host 'a' is full")
    assert vhal.connect("mock:///a").machine("web").seen.state == "stopped"


def test_a_zero_or_an_empty_text_is_judged_not_dropped(cli: Cli) -> None:
    for words, path in ((("--cpus", "0"), "cpus.count"), (("--memory", ""), "memory.size")):
        error = cli.error("create", "web", *words, code=2)
        assert [problem["path"] for problem in error["problems"]] == [path]
    assert cli.error("create", "web", "--option", "mokc.boot_s=1", code=2)["hint"] == "did you mean 'mock'?"


def test_an_empty_destination_is_not_the_default_host(cli: Cli) -> None:
    cli("create", "web")
    assert cli.error("migrate", "web", "--to", "", code=2)["code"] == "usage"
