"""Specs that are tried besides the smallest one, and what Hypothesis makes labels and names of."""

from __future__ import annotations

import string
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import strategies as st

from vhal.driver.capability import CREATE
from vhal.errors import InvalidSpec
from vhal.host import Host
from vhal.spec.devices import Disk, Nic, Serial
from vhal.spec.hardware import Cpus, Firmware, Memory
from vhal.spec.init import Init
from vhal.spec.machine import MachineSpec
from vhal.spec.process import Mount
from vhal.testing.harness import Harness

_LETTERS = string.ascii_letters + string.digits
_KEYS = st.builds("".join, st.tuples(st.sampled_from(_LETTERS), st.text(_LETTERS + "_./-", max_size=8)))
_PRINTED = st.characters(exclude_categories=["Cs"], exclude_characters=[*map(chr, range(32)), "\x7f"])

LABELS = st.dictionaries(_KEYS, st.text(_PRINTED, max_size=20), max_size=4)
NAME_ENDS = st.text(_LETTERS + "_.-", max_size=20).filter(lambda end: ".." not in end)
"""What may follow the prefix of a name."""

Fields = Callable[[MachineSpec], dict[str, Any]]
"""Returns what is other than in the smallest machine, which it is given."""

_ODD = {"a": "", "example.org/x_1": " <&>\"'\\ ]]> {{.}} $HOME 100% äöü \u2028 \U0001f600", "n" * 128: "x" * 1024}
_FOREIGN = {"deep": [1, 2.5, True, None, {"ä": ""}]}


SPECS: dict[str, Fields] = {
    "smallest": lambda spec: {},
    "labels": lambda spec: {"labels": _ODD},
    "cpus": lambda spec: {"cpus": Cpus(count=2)},
    "memory": lambda spec: {"memory": Memory(size=spec.memory.size + (3 << 20))},
    "disk": lambda spec: {"disks": (Disk(size="1MiB"),)},
    "two-disks": lambda spec: {"disks": (Disk(size="1MiB", name=f"{spec.name}-x"), Disk(size="2MiB", format="raw"))},
    "nic": lambda spec: {"nics": (Nic(user=True),)},
    "nic-with-address": lambda spec: {"nics": (Nic(network="default", mac="52:54:00:12:34:56"),)},
    "no-serial": lambda spec: {"serials": ()},
    "two-serials": lambda spec: {"serials": (Serial(), Serial())},
    "uefi": lambda spec: {"firmware": Firmware(type="uefi")},
    "mounts": lambda spec: {
        "mounts": (
            Mount(target="/kit", tmpfs="1MiB"),
            Mount(target="/kept", volume=spec.name.removeprefix("vhal-")),  # such names may be a backend's own
        )
    },
    "init": lambda spec: {"init": Init(meta_data={"local-hostname": "kit"}, ssh_keys=("ssh-ed25519 AAAA kit",))},
}


def spec_with(harness: Harness, host: Host, fields: Fields) -> MachineSpec:
    """Return a spec with these fields, of a name that no machine has; skip the test if the host can't make it."""
    spec = harness.spec(harness.name())
    try:
        spec = spec.replace(**fields(spec))
    except InvalidSpec as error:
        pytest.skip(error.message)  # not every kind of machine has everything
    answer = host.can(CREATE, spec)
    if not answer:
        pytest.skip(answer.blockers[0].message)
    return spec


def foreign_options(backend: str) -> Fields:
    """Return options of backends other than this one: they are carried, not judged."""

    def fields(spec: MachineSpec) -> dict[str, Any]:
        others = {name: _FOREIGN for name in ("libvirt", "containers") if name != backend}
        return {"options": {**spec.options, **others}}

    return fields
