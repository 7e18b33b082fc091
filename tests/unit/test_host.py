"""Hosts as users hold them, and how one gets them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import vhal
from tests.unit.fakes import FakeDriver, NativeError, raises
from vhal import registry
from vhal.driver import PAUSE, Backend, Driver, HostUrl
from vhal.driver.capability import CREATE
from vhal.errors import (
    AccessDenied,
    AlreadyExists,
    HostUnreachable,
    InsufficientResources,
    InvalidSpec,
    InvalidState,
    InvalidUrl,
    NotFound,
    PluginError,
    VhalError,
)
from vhal.spec import MachineState


@pytest.fixture
def host() -> Iterator[vhal.Host]:
    with vhal.connect("mock:///a") as made:
        yield made


def with_backend(monkeypatch: pytest.MonkeyPatch, backend: Backend) -> None:
    made = registry.Registry()
    made.add(backend)
    monkeypatch.setattr("vhal.opener.registry", made)


class TestConnect:
    def test_by_url(self, host: vhal.Host) -> None:
        assert (host.name, host.url, host.backend) == ("mock:///a", "mock:///a", "mock")
        assert repr(host) == "<Host mock:///a>"
        assert host.uuid == host.info().uuid

    def test_two_connections_are_one_host(self, host: vhal.Host) -> None:
        with vhal.connect("mock:///a") as other, vhal.connect("mock:///b") as b:
            assert other.uuid == host.uuid != b.uuid
            host.create(vhal.MachineSpec(name="web"))
            assert other.machine("web").name == "web"
            assert b.machines() == []

    def test_by_driver(self) -> None:
        driver = FakeDriver("x", MachineState.STOPPED)
        with vhal.connect(driver) as host:
            assert (host.name, host.url, host.uuid) == ("fake", "fake:", "x")
            assert host.machine("web").id == "1"
        assert driver.calls == ["x.close"]

    @pytest.mark.parametrize(
        ("url", "kind"),
        [
            ("mock:///nowhere", NotFound),
            ("mock://world-0/a", NotFound),
            ("nothing:///", PluginError),
            ("mock:", InvalidUrl),
            ("mock+ssh://a/", InvalidUrl),
        ],
    )
    def test_what_isnt_there(self, url: str, kind: type[VhalError]) -> None:
        with pytest.raises(kind) as caught:
            vhal.connect(url)
        assert caught.value.hint

    def test_an_error_of_ours_gets_its_place(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(url: HostUrl) -> Driver:
            raise AccessDenied("no", hint="ask")

        with_backend(monkeypatch, Backend(name="mine", summary="", open=refuse))
        with pytest.raises(AccessDenied) as caught:
            vhal.connect("mine:///x")
        assert (caught.value.backend, caught.value.host) == ("mine", "mine:///x")

    @pytest.mark.parametrize("known", [True, False])
    def test_an_error_of_the_engine_is_translated(self, monkeypatch: pytest.MonkeyPatch, known: bool) -> None:
        native = NativeError("no socket")

        def fail(url: HostUrl) -> Driver:
            raise native

        def translate(error: Exception) -> VhalError | None:
            return AccessDenied("no", hint="ask") if known else None

        with_backend(monkeypatch, Backend(name="mine", summary="", open=fail, translate=translate))
        with pytest.raises(AccessDenied if known else HostUnreachable) as caught:
            vhal.connect("mine:///x")
        assert caught.value.native is caught.value.__cause__ is native
        assert (caught.value.backend, caught.value.host) == ("mine", "mine:///x")
        assert caught.value.hint

    def test_what_is_no_driver(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with_backend(monkeypatch, Backend(name="mine", summary="", open=lambda url: "x"))  # type: ignore[arg-type,return-value]
        with pytest.raises(PluginError, match="opened a str, not a Driver") as caught:
            vhal.connect("mine:///")
        assert caught.value.hint


class TestMachines:
    def test_by_name_and_by_id(self, host: vhal.Host) -> None:
        vm = host.create(vhal.MachineSpec(name="web"))
        assert host.machine("web").id == host.machine(vm.id).id == vm.id
        with pytest.raises(NotFound) as caught:
            host.machine("db")
        assert caught.value.hint
        assert caught.value.host == "mock:///a"

    def test_by_labels(self, host: vhal.Host) -> None:
        host.create(vhal.MachineSpec(name="a", labels={"team": "x", "env": "test"}))
        host.create(vhal.MachineSpec(name="b", labels={"team": "x"}))
        host.create(vhal.MachineSpec(name="c"))

        def names(labels: dict[str, str] | None) -> list[str]:
            return [machine.name for machine in host.machines(labels)]

        assert names(None) == names({}) == ["a", "b", "c"]
        assert names({"team": "x"}) == ["a", "b"]
        assert names({"team": "x", "env": "test"}) == ["a"]
        assert names({"team": "y"}) == []

    def test_a_name_is_taken_once(self, host: vhal.Host) -> None:
        host.create(vhal.MachineSpec(name="web"))
        with pytest.raises(AlreadyExists, match="'web'") as caught:
            host.create(vhal.MachineSpec(name="web"))
        assert caught.value.hint
        assert len(host.machines()) == 1

    @pytest.mark.parametrize(
        ("spec", "kind"),
        [
            (vhal.MachineSpec(name="x", memory="1PiB"), InsufficientResources),
            (vhal.MachineSpec(name="x", cpus=4096), InsufficientResources),
            (vhal.MachineSpec(name="x", gpus=[vhal.Gpu()]), InsufficientResources),
            (vhal.MachineSpec(name="x", options={"mock": {"bots": 1}}), InvalidSpec),
        ],
    )
    def test_what_cant_be_made(self, host: vhal.Host, spec: vhal.MachineSpec, kind: type[VhalError]) -> None:
        with pytest.raises(kind) as caught:
            host.create(spec)
        assert caught.value.hint
        assert host.machines() == []
        if kind is not InvalidSpec:
            assert not host.can(CREATE, spec)

    def test_can(self, host: vhal.Host) -> None:
        assert host.can(CREATE, vhal.MachineSpec(name="x"))
        assert host.can(PAUSE)


class TestClosing:
    def test_twice(self) -> None:
        driver = FakeDriver()
        host = vhal.connect(driver)
        host.close()
        host.close()
        assert driver.calls == ["here.close"]

    def test_afterwards_it_says_so(self) -> None:
        host = vhal.connect("mock:///a")
        host.close()
        for call in (
            host.info,
            host.machines,
            lambda: host.machine("x"),
            lambda: host.create(vhal.MachineSpec(name="x")),
            lambda: host.can(PAUSE),
            host.events,
        ):
            with pytest.raises(InvalidState, match="is closed") as caught:
                call()
            assert caught.value.hint == "connect() again"
        assert host.name == "mock:///a"

    def test_machines_stay(self) -> None:
        with vhal.connect("mock:///a") as a:
            a.create(vhal.MachineSpec(name="web")).start()
        with vhal.connect("mock:///a") as a:
            assert a.machine("web").state() == "running"

    def test_an_error_inside_closes_it(self) -> None:
        driver = FakeDriver()
        driver.on["machines"] = raises(NativeError())
        with pytest.raises(VhalError), vhal.connect(driver) as host:
            host.machines()
        assert driver.calls[-1] == "here.close"


def test_a_closed_host_ends_its_machines_and_streams() -> None:
    host = vhal.connect("mock:///a")
    vm = host.create(vhal.MachineSpec(name="web"))
    stream = host.events()
    host.close()
    assert list(stream) == []
    for call in (vm.info, vm.start, vm.delete, host.events):
        with pytest.raises(InvalidState, match="is closed") as caught:
            call()
        assert caught.value.hint == "connect() again"
    assert repr(vm) == "<Machine 'web' on mock:///a>"


class TestArguments:
    def test_what_is_no_spec(self) -> None:
        with vhal.connect("mock:///a") as host, pytest.raises(InvalidSpec, match="not from a dict") as caught:
            host.create({"name": "web"})  # type: ignore[arg-type]
        assert "MachineSpec" in (caught.value.hint or "")

    def test_what_is_no_host(self) -> None:
        with vhal.connect("mock:///a") as host:
            vm = host.create(vhal.MachineSpec(name="web"))
            calls: tuple[Callable[[Any], object], ...] = (vm.migrate, vm.preflight)
            for call in calls:
                with pytest.raises(InvalidSpec, match="not to a str") as caught:
                    call("mock:///b")
                assert "vhal.connect" in (caught.value.hint or "")

    def test_a_name_that_no_machine_can_have(self) -> None:
        with vhal.connect("mock:///a") as host, pytest.raises(NotFound) as caught:
            host.machine("x\0y")
        assert caught.value.hint

    def test_options_of_a_misspelt_backend(self) -> None:
        with vhal.connect("mock:///a") as host, vhal.connect("mock:///b") as other:
            with pytest.raises(InvalidSpec) as caught:
                host.create(vhal.MachineSpec(name="web", options={"libvrt": {"accelerator": "kvm"}}))
            assert caught.value.problems == (("options.libvrt", "there is no such backend"),)
            assert caught.value.hint == "did you mean 'libvirt'?"
            # Those of another backend that there is are carried along.
            vm = host.create(vhal.MachineSpec(name="web", options={"libvirt": {"accelerator": "kvm"}}))
            with pytest.raises(InvalidSpec, match=r"options\.mokc"):
                vm.migrate(other, vhal.MigrationPolicy(options={"mokc": {}}))

    def test_an_address_of_libvirts_own(self) -> None:
        with pytest.raises(PluginError) as caught:
            vhal.connect("qemu:///system")
        assert "libvirt:///system" in (caught.value.hint or "")
