"""Specs: what is accepted, what is refused and how, what stays secret."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import re
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr, field_validator

import vhal
from vhal.errors import InvalidSpec, VhalError
from vhal.spec import (
    BootDisk,
    BootImage,
    BootKernel,
    Bytes,
    Cpus,
    Disk,
    FrozenDict,
    HostInfo,
    Init,
    MachineInfo,
    MachineKind,
    MachineSpec,
    MachineState,
    Memory,
    Model,
    Nic,
    Serial,
    machine_json_schema,
)
from vhal.spec.state import TRANSITIONS, allowed, remedy

SECRET = "hunter2-s3cret"  # noqa: S105 - what must never be seen again


def problems(**fields: Any) -> dict[str, str]:
    """Return path → reason of a spec that isn't valid."""
    with pytest.raises(InvalidSpec) as caught:
        MachineSpec(**{"name": "web", **fields})
    assert caught.value.problems
    for path, reason in caught.value.problems:
        assert path in str(caught.value)
        assert reason in str(caught.value)
    return dict(caught.value.problems)


class TestWhatIsAccepted:
    def test_a_name_is_enough(self) -> None:
        spec = MachineSpec(name="web")
        assert spec.kind is MachineKind.VM
        assert spec.cpus.count == 1
        assert spec.memory.size == Bytes("512MiB")
        assert spec.serials == (Serial(),)
        assert isinstance(spec.boot, BootDisk)

    def test_short_spellings(self) -> None:
        spec = MachineSpec(name="web", kind="container", cpus=2, memory="2GiB", labels={"team": "a"})
        assert spec.cpus == Cpus(count=2)
        assert spec.memory == Memory(size="2GiB")
        assert spec.kind is MachineKind.CONTAINER
        assert MachineSpec(name="web", memory=2 << 30).memory.size == Bytes("2GiB")

    @pytest.mark.parametrize(
        ("boot", "kind"),
        [
            ({"source": "disk"}, BootDisk),
            ({"source": "kernel", "kernel": "/boot/vmlinuz", "cmdline": "console=ttyS0"}, BootKernel),
            ({"source": "image", "image": "docker.io/library/alpine:3"}, BootImage),
        ],
    )
    def test_boot_sources(self, boot: Any, kind: type[Model]) -> None:
        assert isinstance(MachineSpec(name="web", boot=boot).boot, kind)

    def test_survives_json(self) -> None:
        spec = MachineSpec(
            name="web",
            cpus=Cpus(count=4, topology={"sockets": 2, "cores": 2}, pinning={0: "0-3,8"}),
            memory=Memory(size="4GiB", hugepages="2MiB"),
            disks=[Disk(size="10GiB"), Disk(path="/var/lib/x.raw", format="raw")],
            nics=[Nic(network="default", mac="52:54:00:AA:bb:cc", ip="10.0.0.2/24")],
            labels={"example.org/team": "a & b <c>"},
            options={"mock": {"boot_s": 1.5}, "other": {"any": ["thing", {"goes": None}]}},
        )
        assert MachineSpec.model_validate_json(spec.model_dump_json()) == spec
        assert MachineSpec.model_validate(spec.model_dump(mode="json")) == spec
        assert pickle.loads(pickle.dumps(spec)) == spec  # noqa: S301
        assert copy.deepcopy(spec) == spec

    def test_replace_validates_and_keeps_the_rest(self) -> None:
        spec = MachineSpec(name="web", cpus=4)
        assert spec.replace(name="db").cpus.count == 4
        assert spec.name == "web"
        with pytest.raises(InvalidSpec):
            spec.replace(name="../db")
        with pytest.raises(InvalidSpec):
            spec.replace(nme="db")

    def test_equal_sizes_are_kept_once(self) -> None:
        first, second = (MachineSpec(name=name, cpus=2, memory="2GiB") for name in ("a", "b"))
        assert first.cpus is second.cpus
        assert first.memory is second.memory
        assert first.memory == MachineSpec(name="c", memory=2 << 30).memory

    def test_options_of_other_backends_are_carried(self) -> None:
        assert MachineSpec(name="web", options={"other": {"x": 1}}).options["other"] == {"x": 1}

    def test_a_spec_is_frozen(self) -> None:
        spec = MachineSpec(name="web", labels={"a": "b"})
        with pytest.raises(ValueError, match="frozen"):
            spec.name = "db"
        with pytest.raises(TypeError):
            spec.labels["a"] = "c"
        assert hash(spec) == hash(MachineSpec(name="web", labels={"a": "b"}))


MALFORMED: list[tuple[dict[str, Any], str, str]] = [
    ({"name": "../etc"}, "name", "must match"),
    ({"name": "a..b"}, "name", "'..' is not allowed"),
    ({"name": "a/b"}, "name", "must match"),
    ({"name": "a\n"}, "name", "must match"),
    ({"name": "<a>&'\""}, "name", "must match"),
    ({"name": ""}, "name", "must match"),
    ({"name": 7}, "name", "valid string"),
    ({"name": None}, "name", "valid string"),
    ({"memroy": "2GiB"}, "memroy", "there is no such field"),
    ({"kind": "vms"}, "kind", "'vm' or 'container'"),
    ({"cpus": 0}, "cpus.count", "greater than or equal to 1"),
    ({"cpus": 5000}, "cpus.count", "less than or equal to 4096"),
    ({"cpus": True}, "cpus", "valid dictionary"),
    ({"cpus": "two"}, "cpus", "valid dictionary"),
    ({"cpus": 1.5}, "cpus", "valid dictionary"),
    ({"cpus": {"count": 2, "topology": {"cores": 3}}}, "cpus.topology", "is not 2 processors"),
    ({"cpus": {"count": 2, "pinning": {2: "0"}}}, "cpus.pinning", "names processor 2"),
    ({"cpus": {"count": 2, "pinning": {0: "0;reboot"}}}, "cpus.pinning[0]", "must match"),
    ({"cpus": {"count": 2, "pinning": {0: "\u0663"}}}, "cpus.pinning[0]", "must match"),
    ({"cpus": {"model": "<x>"}}, "cpus.model", "must match"),
    ({"memory": "2 GB of RAM"}, "memory.size", "is no size"),
    ({"memory": -1}, "memory.size", "between 0 and"),
    ({"memory": 512}, "memory.size", "is the unit missing"),
    ({"memory": True}, "memory", "valid dictionary"),
    ({"memory": None}, "memory", "valid dictionary"),
    ({"memory": {"size": "3GiB", "hugepages": "2GiB"}}, "memory.hugepages", "multiple of the huge page"),
    ({"memory": {}}, "memory.size", "this field is required"),
    ({"boot": {"source": "floppy"}}, "boot", "there is no source 'floppy'; there are 'disk'"),
    ({"boot": {"source": "kernel"}}, "boot.kernel", "this field is required"),
    ({"boot": {"source": "kernel", "kernel": "vmlinuz"}}, "boot.kernel", "must match"),
    ({"boot": {"source": "kernel", "kernel": "/../vmlinuz"}}, "boot.kernel", "'..' is not allowed"),
    ({"boot": {"source": "kernel", "kernel": "/k", "cmdline": "a\nb"}}, "boot.cmdline", "must match"),
    ({"boot": {"source": "image", "image": "--privileged"}}, "boot.image", "must match"),
    ({"firmware": {"secure_boot": True}}, "firmware", "needs type 'uefi'"),
    ({"disks": [{}]}, "disks[0]", "needs a size (new), a path (existing) or an image"),
    ({"disks": [{"size": 1}]}, "disks[0]", "at least 512 bytes"),
    ({"disks": [{"size": "1GiB"}, {"size": "lots"}]}, "disks[1].size", "is no size"),
    ({"disks": [{"path": "relative"}]}, "disks[0].path", "must match"),
    ({"disks": [{"path": "/a", "image": "b"}]}, "disks[0]", "not both"),
    ({"disks": [{"image": "--all"}]}, "disks[0].image", "must match"),
    ({"disks": [{"image": "a\nb"}]}, "disks[0].image", "must match"),
    ({"disks": [{"image": ""}]}, "disks[0].image", "must match"),
    ({"disks": [{"size": "1GiB", "format": "vmdk"}]}, "disks[0].format", "'qcow2' or 'raw'"),
    ({"disks": [{"size": "1GiB", "name": "a"}, {"size": "1GiB", "name": "a"}]}, "disks", "two disks have one name"),
    ({"disks": {"size": "1GiB"}}, "disks", "should be a list"),
    ({"nics": [{"mac": "01:00:00:00:00:00"}]}, "nics[0].mac", "unicast"),
    ({"nics": [{"mac": "5254.00aa.bbcc"}]}, "nics[0].mac", "must match"),
    ({"nics": [{"mac": "52:54:00:00:00:00\n"}]}, "nics[0].mac", "must match"),
    ({"nics": [{"ip": "10.0.0.300/24"}]}, "nics[0].ip", "no IP address"),
    ({"nics": [{"ip": "::1/129"}]}, "nics[0].ip", "no IP address"),
    ({"nics": [{"network": "a", "bridge": "b"}]}, "nics[0]", "one of network, bridge, user"),
    ({"nics": [{"bridge": "br0;reboot"}]}, "nics[0].bridge", "must match"),
    ({"nics": [{"mac": "52:54:00:00:00:aa"}, {"mac": "52:54:00:00:00:AA"}]}, "nics", "two cards have one address"),
    ({"serials": [{"log": "log.txt"}]}, "serials[0].log", "must match"),
    ({"gpus": [{"profile": "1g.5gb", "share": 0.5}]}, "gpus[0]", "not both"),
    ({"gpus": [{"share": 2}]}, "gpus[0].share", "less than or equal to 1"),
    ({"gpus": [{"share": float("nan")}]}, "gpus[0].share", "less than or equal to 1"),
    ({"gpus": [{"model": "a\nb"}]}, "gpus[0].model", "must match"),
    ({"labels": {"a b": "c"}}, "labels.a b", "must match"),
    ({"labels": {"a": "b\nc"}}, "labels.a", "must match"),
    ({"labels": {"a": 1}}, "labels.a", "valid string"),
    ({"labels": ["a"]}, "labels", "valid dictionary"),
    ({"options": {"Mock!": {}}}, "options.Mock!", "must match"),
    ({"options": {"mock": 1}}, "options.mock", "valid dictionary"),
    ({"init": {"ssh_keys": ["ssh-rsa AAAA\nroot"]}}, "init.ssh_keys[0]", "must match"),
    ({"init": {"ssh_keys": ["sk-\x07@openssh.com AAAA"]}}, "init.ssh_keys[0]", "must match"),
    ({"init": {"ssh_keys": ['command="x" ssh-rsa AAAA']}}, "init.ssh_keys[0]", "must match"),
    ({"init": {"user_data": 7}}, "init.user_data", "valid string"),
]


class TestWhatIsRefused:
    @pytest.mark.parametrize(("fields", "path", "reason"), MALFORMED)
    def test_says_where_and_why(self, fields: dict[str, Any], path: str, reason: str) -> None:
        found = problems(**fields)
        assert path in found
        assert reason in found[path]

    def test_a_name_is_required(self) -> None:
        with pytest.raises(InvalidSpec) as caught:
            MachineSpec()  # type: ignore[call-arg]
        assert caught.value.problems == (("name", "this field is required"),)

    def test_says_everything_at_once(self) -> None:
        found = problems(name="..", cpus=0, disks=[{"size": "1GiB", "bus": "isa"}], nope=1)
        assert set(found) == {"name", "cpus.count", "disks[0].bus", "nope"}

    def test_says_nothing_that_only_follows(self) -> None:
        cpus = {"count": 0, "topology": {"cores": 2}, "pinning": {7: "0"}}
        found = problems(kind="vms", cpus=cpus, memory={"size": "lots", "hugepages": "2MiB"}, mounts=[])
        assert set(found) == {"kind", "cpus.count", "memory.size"}

    def test_is_json_ready(self) -> None:
        with pytest.raises(InvalidSpec) as caught:
            MachineSpec(name="..")
        document = json.loads(json.dumps(caught.value.as_dict()))
        assert document["code"] == "invalid-spec"
        assert document["problems"][0]["path"] == "name"

    def test_options_fail_at_their_own_path(self) -> None:
        from vhal_mock.options import MockOptions

        spec = MachineSpec(name="web", options={"mock": {"boot_s": -1, "bots": 2}})
        with pytest.raises(InvalidSpec) as caught:
            spec.options_for("mock", MockOptions)
        assert dict(caught.value.problems).keys() == {"options.mock.boot_s", "options.mock.bots"}
        assert caught.value.hint == "did you mean 'boot_s'?"
        assert caught.value.backend == "mock"

    def test_no_value_is_shown(self) -> None:
        for fields in ({"name": f"/{SECRET}"}, {"kind": SECRET}, {"disks": SECRET}, {"labels": {"a": f"{SECRET}\n"}}):
            with pytest.raises(InvalidSpec) as caught:
                MachineSpec(**{"name": "web", **fields})  # type: ignore[arg-type]
            assert SECRET not in str(caught.value)
            assert SECRET not in json.dumps(caught.value.as_dict())
            assert caught.value.__cause__ is None


class TestSecrets:
    def spec(self) -> MachineSpec:
        return MachineSpec(name="web", init=Init(user_data=f"#cloud-config\npassword: {SECRET}\n"))

    def test_can_be_read_on_purpose(self) -> None:
        init = self.spec().init
        assert init is not None
        assert isinstance(init.user_data, SecretStr)
        assert SECRET in init.user_data.get_secret_value()

    def test_is_in_no_rendering(self) -> None:
        spec = self.spec()
        shown = [
            repr(spec),
            str(spec),
            f"{spec}",
            repr(spec.init),
            repr(spec.model_dump()),
            str(spec.model_dump(mode="json")),
            spec.model_dump_json(),
            repr(list(spec)),
            repr(spec.replace(name="db")),
        ]
        assert not [text for text in shown if SECRET in text]

    def test_is_gone_without_secrets(self) -> None:
        kept = self.spec().without_secrets()
        assert kept.init == Init(user_data=None)
        assert MachineSpec(name="web").without_secrets() == MachineSpec(name="web")

    def test_is_in_no_error(self) -> None:
        with pytest.raises(InvalidSpec) as caught:
            MachineSpec(name="web", init={"user_data": [SECRET]}, cpus=0)  # type: ignore[arg-type]
        assert SECRET not in str(caught.value)
        with pytest.raises(InvalidSpec) as caught:
            self.spec().replace(init={"user_data": SECRET, "ssh_keys": [SECRET]})
        assert SECRET not in repr(caught.value)

    def test_is_in_no_log_and_no_info(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.DEBUG), vhal.connect("mock:///a") as a, vhal.connect("mock:///b") as b:
            vm = a.create(self.spec())
            vm.start()
            vm.migrate(b)
            infos = [vm.info(), vm.seen, *(machine.seen for machine in b.machines())]
            with pytest.raises(VhalError) as caught:
                b.create(self.spec())
        assert SECRET not in caplog.text
        assert SECRET not in repr(infos)
        assert all(info.spec is None or info.spec.init == Init() for info in infos)
        assert SECRET not in repr(caught.value) + repr(caught.value.__dict__)


class TestFrozenDict:
    def test_refuses_changes(self) -> None:
        mapping = FrozenDict({"a": 1})
        changes: list[Callable[[], object]] = [
            lambda: mapping.__setitem__("b", 2),
            lambda: mapping.__delitem__("a"),
            lambda: mapping.update(b=2),
            lambda: mapping.pop("a"),
            lambda: mapping.popitem(),
            lambda: mapping.setdefault("b", 2),
            lambda: mapping.clear(),
        ]
        for change in changes:
            with pytest.raises(TypeError, match="frozen model"):
                change()
        with pytest.raises(TypeError, match="frozen model"):
            mapping |= {"b": 2}
        assert mapping == {"a": 1}

    def test_is_equal_to_a_dict_and_hashes(self) -> None:
        assert FrozenDict({"a": 1, "b": 2}) == {"b": 2, "a": 1}
        assert len({FrozenDict({"a": 1, "b": 2}), FrozenDict({"b": 2, "a": 1})}) == 1

    def test_copies(self) -> None:
        mapping = FrozenDict({"a": [1]})
        assert copy.copy(mapping) is mapping
        deep = copy.deepcopy(mapping)
        assert deep == mapping
        assert deep["a"] is not mapping["a"]
        assert type(deep) is type(pickle.loads(pickle.dumps(mapping))) is FrozenDict  # noqa: S301

    def test_a_union_is_an_ordinary_dict(self) -> None:
        assert FrozenDict({"a": 1}) | {"b": 2} == {"a": 1, "b": 2}


class TestStates:
    @pytest.mark.parametrize("call", sorted(TRANSITIONS))
    @pytest.mark.parametrize("state", list(MachineState))
    def test_every_refusal_has_a_remedy(self, call: str, state: MachineState) -> None:
        if not allowed(call, state):
            assert remedy(call, state)

    @pytest.mark.parametrize("call", sorted(TRANSITIONS))
    def test_a_machine_under_way_is_left_alone(self, call: str) -> None:
        under_way = {MachineState.STARTING, MachineState.MIGRATING, MachineState.UNKNOWN}
        assert not under_way & TRANSITIONS[call].keys()

    def test_a_call_ends_in_a_state_of_its_own(self) -> None:
        steady = {MachineState.RUNNING, MachineState.STOPPED, MachineState.PAUSED, MachineState.SAVED, None}
        assert {end for ends in TRANSITIONS.values() for end in ends.values()} <= steady

    def test_activity(self) -> None:
        assert {state.value for state in MachineState if state.active} == {
            "starting", "running", "paused", "stopping", "migrating",
        }  # fmt: skip


def accepts(schema: dict[str, Any], value: Any, root: dict[str, Any]) -> bool:
    """Return whether a value fits a JSON Schema, for the words that ours uses."""
    if "$ref" in schema:
        found: Any = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        return accepts(found, value, root)
    for word in ("anyOf", "oneOf"):
        if word in schema and not any(accepts(one, value, root) for one in schema[word]):
            return False
    kinds: dict[str, Any] = {
        "object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool,
        "null": type(None),
    }  # fmt: skip
    kind = schema.get("type")
    if kind and (not isinstance(value, kinds[kind]) or (isinstance(value, bool) and kind != "boolean")):
        return False
    if "const" in schema and value != schema["const"]:
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    if isinstance(value, str):
        pattern = schema.get("pattern")
        return (pattern is None or bool(re.search(pattern.replace("$", r"\Z"), value))) and (
            len(value) <= schema.get("maxLength", len(value))
        )
    if isinstance(value, (int, float)):
        low, high = schema.get("minimum"), schema.get("maximum")
        above, most = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
        return (
            (low is None or value >= low)
            and (high is None or value <= high)
            and (above is None or value > above)
            and (most is None or value < most)
        )
    if isinstance(value, list):
        return all(accepts(schema.get("items", {}), item, root) for item in value)
    if isinstance(value, dict):
        if not set(schema.get("required", ())) <= set(value):
            return False
        for key, item in value.items():
            patterns = schema.get("patternProperties", {})
            fitting = [rule for pattern, rule in patterns.items() if re.search(pattern, key)]
            rule = schema.get("properties", {}).get(key, fitting[0] if fitting else schema.get("additionalProperties"))
            if rule is False or (isinstance(rule, dict) and not accepts(rule, item, root)):
                return False
    return True


class TestJsonSchema:
    def fits(self, document: Any) -> bool:
        schema = machine_json_schema()
        return accepts(schema, document, schema)

    def test_is_a_closed_object_in_json(self) -> None:
        schema = machine_json_schema()
        assert schema["$schema"].endswith("2020-12/schema")
        assert schema["required"] == ["name"]
        assert schema["additionalProperties"] is False
        assert set(schema["properties"]) == set(MachineSpec.model_fields)
        assert json.loads(json.dumps(schema)) == schema

    def test_every_reference_resolves(self) -> None:
        schema = machine_json_schema()
        text = json.dumps(schema)
        for target in set(re.findall(r'"\$ref": "#/\$defs/(\w+)"', text)):
            assert target in schema["$defs"]
        for target in re.findall(r'"\$ref": "([^"]*)"', text):
            assert target.startswith("#/$defs/")

    @pytest.mark.parametrize(
        "document",
        [
            {"name": "web"},
            {"name": "web", "cpus": 2, "memory": "2GiB"},
            {"name": "web", "cpus": {"count": 2, "pinning": {"0": "0-3"}}, "memory": {"size": 1 << 30}},
            {"name": "web", "kind": "container", "boot": {"source": "image", "image": "alpine"}},
            {"name": "web", "boot": {"source": "kernel", "kernel": "/boot/k", "initrd": None}},
            {"name": "web", "disks": [{"size": "10 GiB", "name": "root"}], "nics": [{"mac": None, "user": True}]},
            {"name": "web", "init": {"user_data": "#cloud-config", "meta_data": {"a": [1]}, "ssh_keys": []}},
            {"name": "web", "labels": {"a": "b"}, "options": {"mock": {"boot_s": 1}}, "gpus": [{"share": 0.5}]},
        ],
    )
    def test_accepts_what_the_model_accepts(self, document: dict[str, Any]) -> None:
        spec = MachineSpec.model_validate(document)
        assert self.fits(document)
        assert self.fits(spec.model_dump(mode="json"))

    @pytest.mark.parametrize(
        "document",
        [
            {},
            [],
            {"name": "a/b"},
            {"name": "web", "memroy": "2GiB"},
            {"name": "web", "cpus": 0},
            {"name": "web", "memory": "lots"},
            {"name": "web", "memory": -1},
            {"name": "web", "disks": [{"size": "1GiB", "format": "vmdk"}]},
            {"name": "web", "boot": {"source": "floppy"}},
            {"name": "web", "labels": {"a": 1}},
        ],
    )
    def test_refuses_what_the_model_refuses(self, document: dict[str, Any]) -> None:
        assert not self.fits(document)


def test_other_models_survive_json() -> None:
    with vhal.connect("mock:///a") as a:
        info = a.info()
        machine = a.create(MachineSpec(name="web", labels={"x": "y"})).info()
    assert HostInfo.model_validate_json(info.model_dump_json()) == info
    assert MachineInfo.model_validate_json(machine.model_dump_json()) == machine


def test_trusted_is_what_the_constructor_makes() -> None:
    fields: dict[str, Any] = {
        "id": "1",
        "name": "web",
        "kind": MachineKind.VM,
        "state": MachineState.RUNNING,
        "cpus": 1,
        "memory": Bytes("1GiB"),
    }
    made, checked = MachineInfo.trusted(**fields), MachineInfo(**fields)
    assert made == checked
    assert made.model_dump() == checked.model_dump()
    assert made.replace(name="db").name == "db"
    assert hash(made) == hash(checked)
    with pytest.raises(ValueError, match="frozen"):
        made.name = "db"


def test_trusted_models_have_nothing_in_common_that_changes() -> None:
    fields: dict[str, Any] = {"id": "1", "kind": MachineKind.VM, "state": MachineState.RUNNING, "cpus": 1}
    made, other = (MachineInfo.trusted(**fields, name=name, memory=Bytes("1GiB")) for name in ("a", "b"))
    assert list(made.model_dump()) == [*fields, "name", "memory", "labels", "managed", "epoch", "spec"]
    changed = made.model_copy(update={"epoch": 2, "extra": 1})
    assert "extra" in changed.model_fields_set
    assert other.model_fields_set == set(MachineInfo.model_fields)


def test_user_data_is_left_out_of_json_and_never_read_back_as_a_mask() -> None:
    spec = MachineSpec(name="web", init=Init(user_data="#cloud-config"))
    again = MachineSpec.model_validate_json(spec.model_dump_json())
    assert again == spec.without_secrets()
    assert again.init is not None
    assert again.init.user_data is None


class TestAlike:
    """Specs that differ in their names only are validated once; nobody can tell."""

    @pytest.mark.parametrize("fields", [
        {},
        {"cpus": 2},
        {"cpus": 2, "memory": "1GiB"},
        {"memory": 1 << 30},
        {"memory": Bytes("1GiB"), "kind": "container"},
        {"kind": MachineKind.CONTAINER, "cpus": 3},
    ])  # fmt: skip
    def test_is_what_the_validator_makes(self, fields: dict[str, Any]) -> None:
        for name in ("first", "second"):
            made, long = MachineSpec(name=name, **fields), MachineSpec.model_validate({"name": name, **fields})
            assert made == long
            assert made.model_fields_set == long.model_fields_set == {"name", *fields}
            assert made.model_dump_json() == long.model_dump_json()
            assert list(made.__dict__) == list(long.__dict__)
            assert pickle.loads(pickle.dumps(made)) == copy.deepcopy(made) == made  # noqa: S301
            assert made.replace(name="third").name == "third"

    @pytest.mark.parametrize("cpus", [True, 1.0, 0, "1", None])
    def test_an_equal_value_of_another_type_is_no_other_spelling(self, cpus: Any) -> None:
        assert MachineSpec(name="a", cpus=1).cpus.count == 1
        with pytest.raises(InvalidSpec, match="cpus"):
            MachineSpec(name="b", cpus=cpus)

    @pytest.mark.parametrize("name", ["", "a b", "..", "a..b", "-a", "a" * 64, "a\n", 3, None])
    def test_each_name_is_checked(self, name: Any) -> None:
        MachineSpec(name="a", cpus=1)
        with pytest.raises(InvalidSpec) as caught:
            MachineSpec(name=name, cpus=1)
        assert [path for path, _ in caught.value.problems] == ["name"]

    def test_every_problem_is_named(self) -> None:
        with pytest.raises(InvalidSpec) as caught:
            MachineSpec(name="a b", cpus=0, memroy="1GiB")  # type: ignore[call-arg]
        assert {path for path, _ in caught.value.problems} == {"name", "cpus.count", "memroy"}

    def test_one_without_a_name_is_refused(self) -> None:
        with pytest.raises(InvalidSpec, match="name: this field is required"):
            MachineSpec(cpus=1)  # type: ignore[call-arg]

    def test_a_kind_of_spec_with_rules_of_its_own_keeps_them(self) -> None:
        class Small(MachineSpec):
            @field_validator("cpus")
            @classmethod
            def _few(cls, cpus: Cpus) -> Cpus:
                if cpus.count > 1:
                    raise ValueError("one is enough")
                return cpus

        MachineSpec(name="a", cpus=2)
        with pytest.raises(InvalidSpec, match="one is enough"):
            Small(name="a", cpus=2)  # type: ignore[arg-type]
        assert type(Small(name="a", cpus=1)) is Small  # type: ignore[arg-type]
