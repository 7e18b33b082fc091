"""Devices: the four known kinds, and the open union that plugins extend."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import pytest

from vhal.errors import InvalidSpec
from vhal.spec import Bytes, Device, Disk, Gpu, MachineSpec, Nic, Serial, machine_json_schema


@pytest.fixture
def watchdog() -> Iterator[type[Device]]:
    """Register a kind as a plugin would, for one test."""

    class Watchdog(Device):
        kind: Literal["test.watchdog"] = "test.watchdog"
        action: Literal["reset", "poweroff"] = "reset"
        timeout: Bytes = Bytes(1)

    yield Watchdog
    del Device.kinds["test.watchdog"]


def reason(devices: Any) -> dict[str, str]:
    with pytest.raises(InvalidSpec) as caught:
        MachineSpec(name="web", devices=devices)
    return dict(caught.value.problems)


class TestKnownKinds:
    def test_are_registered(self) -> None:
        assert {"disk": Disk, "nic": Nic, "serial": Serial, "gpu": Gpu}.items() <= Device.kinds.items()

    def test_a_disk_has_one_origin(self) -> None:
        assert Disk(size="1GiB").size == Bytes("1GiB")
        assert Disk(path="/a.raw", format="raw").size is None
        assert Disk(image="debian", size="10GiB", pool="fast").pool == "fast"
        with pytest.raises(InvalidSpec, match="not both"):
            Disk(path="/a", pool="fast")

    def test_a_card_has_a_lower_case_address(self) -> None:
        assert Nic(mac="52:54:00:AA:BB:CC").mac == "52:54:00:aa:bb:cc"

    def test_serial_and_gpu(self) -> None:
        assert Serial(socket="/run/x.sock").socket == "/run/x.sock"
        assert Gpu(vendor="nvidia.com", memory=Bytes("8GiB"), share=0.5).share == 0.5


class TestOpenUnion:
    def test_reads_writes_and_describes_a_plugins_kind(self, watchdog: type[Device]) -> None:
        spec = MachineSpec.model_validate({"name": "web", "devices": [{"kind": "test.watchdog", "action": "poweroff"}]})
        assert isinstance(spec.devices[0], watchdog)
        made = watchdog.model_validate({})
        assert MachineSpec(name="web", devices=[made]).devices == (made,)
        assert spec.model_dump(mode="json")["devices"] == [
            {"kind": "test.watchdog", "action": "poweroff", "timeout": 1}
        ]
        assert MachineSpec.model_validate_json(spec.model_dump_json()) == spec
        described = machine_json_schema()["properties"]["devices"]["items"]["anyOf"]
        assert "Watchdog" in [kind["title"] for kind in described]

    def test_a_nested_problem_keeps_its_path(self, watchdog: type[Device]) -> None:
        found = reason([{"kind": "test.watchdog"}, {"kind": "test.watchdog", "action": "explode", "x": 1}])
        assert set(found) == {"devices[1].action", "devices[1].x"}

    @pytest.mark.parametrize(
        ("device", "why"),
        [
            ({"kind": "disk", "size": "1GiB"}, "a disk goes under 'disks'"),
            (Nic(), "a nic goes under 'nics'"),
            ({"kind": "test.nothing"}, "unknown device kind 'test.nothing'"),
            ({}, "unknown device kind 'None'"),
            ({"kind": ["disk"]}, "unknown device kind"),
            ({"kind": {}}, "unknown device kind"),
            ({"kind": 7}, "unknown device kind '7'"),
            ("disk", "a table with a 'kind'"),
            (None, "a table with a 'kind'"),
            (Device(kind="test.nothing"), "unknown device kind"),
        ],
    )
    def test_refuses(self, device: Any, why: str) -> None:
        assert why in reason([device])["devices[0]"]

    def test_a_kind_has_one_class(self, watchdog: type[Device]) -> None:
        with pytest.raises(TypeError, match=r"'test.watchdog' is taken by .*Watchdog"):

            class Other(Device):
                kind: Literal["test.watchdog"] = "test.watchdog"

        assert Device.kinds["test.watchdog"] is watchdog
