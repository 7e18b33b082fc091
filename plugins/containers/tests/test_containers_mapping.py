"""Words of the engine as ours: states, events, errors, documents. No engine is asked."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion
from vhal_containers import creation, limits
from vhal_containers.api import ApiError, Denied, Unreachable
from vhal_containers.api.types import EngineEvent, Network
from vhal_containers.engine import Facts, version_numbers
from vhal_containers.engine_process import EngineProcess
from vhal_containers.events import EventMapping
from vhal_containers.inventory import state_of
from vhal_containers.options import ContainersOptions
from vhal_containers.requirements import Findings, signal_number
from vhal_containers.steps import Steps
from vhal_containers.translation import translate

from vhal.driver import EventKind
from vhal.errors import (
    AccessDenied,
    AlreadyExists,
    Busy,
    EngineError,
    HostUnreachable,
    ImageRejected,
    InsufficientResources,
    InvalidState,
    NotFound,
    Unsupported,
    VhalError,
)
from vhal.spec import (
    BootImage,
    BootRootfs,
    Cpus,
    Gpu,
    Health,
    MachineKind,
    MachineSpec,
    MachineState,
    Mount,
    Nic,
    Process,
)

KIND = EventKind


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("created", MachineState.STOPPED),
        ("configured", MachineState.STOPPED),
        ("initialized", MachineState.STOPPED),
        ("exited", MachineState.STOPPED),
        ("running", MachineState.RUNNING),
        ("paused", MachineState.PAUSED),
        ("stopping", MachineState.STOPPING),
        ("removing", MachineState.STOPPING),
        ("unknown", MachineState.UNKNOWN),
        ("", MachineState.UNKNOWN),
    ],
)
def test_states(word: str, state: MachineState) -> None:
    assert state_of(word) is state


def told(action: str, id_: str = "c1", code: str = "0", time_ns: int = 1_000_000_000) -> EngineEvent:
    attributes = {"name": "m", "containerExitCode": code}
    return EngineEvent("container", action, id_, "m", attributes, None, time_ns)


def mapped(*actions: str, steps: Steps | None = None) -> list[EventKind]:
    mapping = EventMapping("h", steps)
    return [event.kind for action in actions for event in mapping.events(told(action))]


@pytest.mark.parametrize(
    ("actions", "kinds"),
    [
        (["create", "init", "start"], [KIND.CREATED, KIND.STARTED]),
        (["died", "cleanup"], [KIND.STOPPED]),
        (["restart", "died", "cleanup", "init", "start"], [KIND.REBOOTED]),
        (["restart", "init", "start", "died"], [KIND.REBOOTED, KIND.STOPPED]),
        (["restart", "died", "remove"], [KIND.STOPPED, KIND.DELETED]),
        (["init", "died", "cleanup", "init", "start"], [KIND.STARTED]),
        (["checkpoint", "cleanup", "restore"], [KIND.SAVED, KIND.RESTORED]),
        (["kill", "exec", "exec_died", "health_status", "sync", "mount"], []),
        (["rename"], [KIND.CHANGED]),
    ],
)
def test_events(actions: list[str], kinds: list[EventKind]) -> None:
    assert mapped(*actions) == kinds


def test_steps_of_something_longer_are_told_as_that_and_no_others() -> None:
    steps = Steps()
    before = time.time_ns() - 1
    with steps.meaning("c1", {"create": None, "restore": KIND.MIGRATED_IN}):
        within = time.time_ns()
    mapping = EventMapping("h", steps)

    def kinds(action: str, time_ns: int, machine: str = "c1") -> list[EventKind]:
        return [event.kind for event in mapping.events(told(action, machine, time_ns=time_ns))]

    assert kinds("create", within) == []
    assert kinds("restore", within) == [KIND.MIGRATED_IN]
    assert kinds("pause", within) == [KIND.PAUSED]
    assert kinds("create", within, "c2") == [KIND.CREATED]
    assert kinds("create", before) == [KIND.CREATED]
    assert kinds("create", time.time_ns() + 1) == [KIND.CREATED]


def test_machines_do_not_disturb_each_other() -> None:
    mapping = EventMapping("h")
    assert mapping.events(told("restart", "a")) == []
    (event,) = mapping.events(told("died", "b", "137"))
    assert (event.kind, event.machine_id, event.detail) == (KIND.STOPPED, "b", "exit code 137")


_ACTIONS = st.sampled_from(["create", "init", "start", "died", "cleanup", "restart", "pause", "unpause", "remove"])


@given(st.lists(st.tuples(_ACTIONS, st.sampled_from("ab")), max_size=30))
def test_nothing_that_is_told_is_too_odd(steps: list[tuple[str, str]]) -> None:
    mapping = EventMapping("h")
    for action, machine in steps:
        for event in mapping.events(told(action, machine)):
            assert event.machine_id == machine


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (404, "no container with name or ID", NotFound),
        (500, "that name is already in use", AlreadyExists),
        (500, "x: image not known", NotFound),
        (500, "unable to find network with name or ID x: network not found", NotFound),
        (500, "IPAM error: requested ip address 10.0.0.9 is already allocated to container ID x", AlreadyExists),
        (500, "cannot listen on the TCP port: listen tcp4 :80: bind: address already in use", AlreadyExists),
        (409, "volume x is being used by the following container(s): y", Busy),
        (500, "write /var/tmp/x: no space left on device", InsufficientResources),
        (500, "error during container init: error setting rlimit type 7: operation not permitted", Unsupported),
        (500, 'exec: "/x": stat /x: no such file or directory: OCI runtime attempted to invoke a command', NotFound),
        (500, "container state improper", InvalidState),
        (500, "open /x: permission denied", AccessDenied),
        (500, "something new", EngineError),
    ],
)
def test_errors(status: int, message: str, kind: type[VhalError]) -> None:
    error = translate(ApiError(status, message, "", "POST", "/containers/x/start"))
    assert type(error) is kind
    assert error.hint
    assert message in error.message
    assert error.native is not None


def test_errors_of_images() -> None:
    assert type(translate(ApiError(200, "unauthorized", "", "POST", "/images/pull"))) is NotFound
    assert type(translate(ApiError(500, "bad", "", "POST", "/images/load"))) is ImageRejected


def test_errors_of_the_way_there() -> None:
    assert type(translate(Unreachable("gone"))) is HostUnreachable
    assert type(translate(Denied("no"))) is AccessDenied
    assert translate(ValueError("ours")) is None


@pytest.mark.parametrize(
    ("name", "number"),
    [("SIGTERM", 15), ("SIGRTMIN", 34), ("SIGRTMIN+3", 37), ("SIGRTMAX-1", 63), ("SIGRTMAX+1", None), ("SIGX", None)],
)
def test_signals(name: str, number: int | None) -> None:
    assert signal_number(name) == number


@pytest.mark.parametrize(("text", "numbers"), [("4.3.1", (4, 3)), ("v5.12-dev", (5, 12)), ("", (0, 0))])
def test_versions(text: str, numbers: tuple[int, int]) -> None:
    assert version_numbers(text) == numbers


@given(st.lists(st.integers(0, 4095), min_size=1, unique=True))
def test_processors_as_the_kernel_writes_them(processors: list[int]) -> None:
    assert limits.numbers(",".join(map(str, processors))) == processors
    assert limits.numbers("2-4,9") == [2, 3, 4, 9]


def test_limits_that_an_engine_may_not_exceed() -> None:
    process = EngineProcess(1, {"nofile": 100})
    spec = MachineSpec(name="m", kind=MachineKind.CONTAINER, process=Process(ulimits={"core": 0}))
    assert limits.ulimits(spec, process) == [
        {"type": "core", "soft": 0, "hard": 0},
        {"type": "nofile", "soft": 100, "hard": 100},
        {"type": "nproc", "soft": 16384, "hard": 16384},
    ]


FULL = MachineSpec(
    name="m",
    kind=MachineKind.CONTAINER,
    cpus=Cpus(count=2, pinning={0: "0", 1: "2-3"}),
    memory="64MiB",
    boot=BootImage(image="localhost/x:1"),
    process=Process(
        entrypoint=("/e",),
        command=("c", "d e"),
        env={"A": "1"},
        user="1:2",
        cwd="/w",
        read_only=True,
        capabilities_add={"CAP_NET_ADMIN"},
        capabilities_drop={"CAP_CHOWN"},
        ulimits={"nofile": 99},
        terminal=True,
        stop_signal="SIGINT",
        health=Health(command=("/h",), interval_s=1.5),
    ),
    mounts=(
        Mount(target="/v", volume="v", read_only=True),
        Mount(target="/p", path="/srv/p"),
        Mount(target="/t", tmpfs="1MiB"),
    ),
    nics=(Nic(), Nic(network="lan", ip="10.0.0.9/24", mac="02:00:00:00:00:01")),
    gpus=(Gpu(cdi="v.test/gpu=0"),),
    labels={"a": "b"},
    options={"containers": {"stop_timeout_s": 3}},
)


def networks() -> list[Network]:
    bridge = Network("podman", "1", "bridge", "podman0", ("10.88.0.0/16",), ("10.88.0.1",), False, {}, {})
    lan = Network("lan", "2", "macvlan", "eth0", ("10.0.0.0/24",), ("10.0.0.1",), False, {}, {})
    return [bridge, lan]


def test_the_engines_document(snapshot: SnapshotAssertion) -> None:
    found = Findings(FULL.options_for("containers", ContainersOptions))
    found.networks = networks()
    assert creation.container_document(FULL, found, image="localhost/x:1", labels={"a": "b"}) == snapshot


def test_the_engines_document_of_the_least(snapshot: SnapshotAssertion) -> None:
    spec = MachineSpec(name="m", kind=MachineKind.CONTAINER, boot=BootRootfs(rootfs="/srv/r"))
    found = Findings(ContainersOptions(network_mode="host"))
    assert creation.container_document(spec, found, image=None, labels={}) == snapshot


def test_names_of_architectures() -> None:
    info: Any = SimpleNamespace(architecture="arm64", hostname="h")
    assert Facts(info).architecture == "aarch64"
    assert Facts(info).name == "h"
