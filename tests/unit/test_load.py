"""Spec files: three formats, good and bad, and hostile."""

from __future__ import annotations

import builtins
import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from vhal.errors import InvalidSpec, NotFound
from vhal.spec.load import Format, load_spec, parse_spec

GOOD: dict[str, str] = {
    "web.toml": 'name = "web"\ncpus = 2\nmemory = "2GiB"\n[[disks]]\nsize = "10GiB"\n[labels]\nteam = "a"\n',
    "web.json": '{"name": "web", "cpus": 2, "memory": "2GiB", "disks": [{"size": "10GiB"}], "labels": {"team": "a"}}',
    "web.yaml": "name: web\ncpus: 2\nmemory: 2GiB\ndisks:\n- size: 10GiB\nlabels: {team: a}\n",
    "web.yml": "{name: web, cpus: 2, memory: 2GiB, disks: [{size: 10GiB}], labels: {team: a}}",
    "WEB.JSON": '{"name": "web", "cpus": 2, "memory": "2GiB", "disks": [{"size": "10GiB"}], "labels": {"team": "a"}}',
}

DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@pytest.mark.parametrize("name", GOOD)
def test_reads_every_format(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_text(GOOD[name])
    spec = load_spec(file)
    assert load_spec(str(file)) == spec
    assert (spec.name, spec.cpus.count, str(spec.memory.size), spec.labels) == ("web", 2, "2 GiB", {"team": "a"})
    assert str(spec.disks[0].size) == "10 GiB"


def refused(path: Path) -> str:
    with pytest.raises(InvalidSpec) as caught:
        load_spec(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


class TestFiles:
    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(NotFound, match="there is no file") as caught:
            load_spec(tmp_path / "web.toml")
        assert caught.value.hint

    @pytest.mark.parametrize("name", ["web", "web.ini", "web.toml.bak"])
    def test_unknown_ending(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).touch()
        assert ".toml, .json or .yaml" in refused(tmp_path / name)

    def test_too_large(self, tmp_path: Path) -> None:
        file = tmp_path / "web.toml"
        with file.open("wb") as out:
            out.truncate((4 << 20) + 1)
        assert "larger than 4 MiB" in refused(file)

    def test_not_utf8(self, tmp_path: Path) -> None:
        file = tmp_path / "web.toml"
        file.write_bytes(b'name = "\xff"')
        assert "not UTF-8 text (invalid start byte at byte 8)" in refused(file)

    def test_a_folder(self, tmp_path: Path) -> None:
        file = tmp_path / "web.toml"
        file.mkdir()
        assert "can't be read: Is a directory" in refused(file)

    def test_a_bad_spec_is_named_by_its_file(self, tmp_path: Path) -> None:
        file = tmp_path / "web.toml"
        file.write_text('name = "web"\n[[disks]]\nsize = "lots"\n')
        assert "disks[0].size: 'lots' is no size" in refused(file)


def parse_error(text: str, format: Format) -> str:
    with pytest.raises(InvalidSpec) as caught:
        parse_spec(text, format, source="the file")
    assert str(caught.value).startswith("the file")
    return str(caught.value)


class TestSyntax:
    @pytest.mark.parametrize(
        ("text", "format", "where"),
        [
            ('name = "web"\ncpus = = 2\n', "toml", "line 2"),
            ('name = "web"\nname = "db"\n', "toml", "line 2"),
            ('{"name": "web",\n "cpus" 2}', "json", "line 2"),
            ("", "json", "line 1"),
            ("name: web\ncpus: {2\n", "yaml", "line 3"),
            ("name: web\n\tcpus: 2\n", "yaml", "line 2"),
            ("name: *nobody\n", "yaml", "line 1"),
            ("a: 1\n---\nb: 2\n", "yaml", "line 2"),
        ],
    )
    def test_says_the_line(self, text: str, format: Format, where: str) -> None:
        message = parse_error(text, format)
        assert f"not well-formed {format.upper()}" in message
        assert where in message

    @pytest.mark.parametrize(
        ("text", "format", "kind"),
        [("[]", "json", "list"), ("7", "json", "int"), ("", "yaml", "NoneType"), ("- a", "yaml", "list")],
    )
    def test_the_top_is_a_table(self, text: str, format: Format, kind: str) -> None:
        assert f"not a {kind}" in parse_error(text, format)

    def test_toml_of_nothing_lacks_a_name(self) -> None:
        assert "name: this field is required" in parse_error("", "toml")

    @pytest.mark.parametrize("format", ["toml", "json", "yaml"])
    def test_no_line_of_the_file_is_quoted(self, format: Format) -> None:
        text = {
            "toml": 'user_data = "s3cret" "x"\n',
            "json": '{"user_data": "s3cret" "x"}',
            "yaml": "init:\n  user_data: {password: s3cret\n  a: ]\n",
        }[format]
        assert "s3cret" not in parse_error(text, format)

    def test_yaml_without_pyyaml_says_how_to_get_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "yaml", None)
        assert "pip install 'vhal[yaml]'" in parse_error("name: web", "yaml")


class TestHostile:
    @pytest.mark.parametrize("text", ["!!python/object/apply:os.system [id]", "!!python/name:os.system", "!x y"])
    def test_yaml_runs_no_code(self, text: str) -> None:
        assert "could not determine a constructor" in parse_error(f"name: {text}", "yaml")

    @pytest.mark.parametrize(
        "text", ["!!bool x", "!!int ''", "!!float x", "!!timestamp x", "2001-99-99", "1" * 5000, "!!binary ä"]
    )
    def test_yaml_values_that_break_its_reader(self, text: str) -> None:
        assert "not well-formed YAML" in parse_error(f"name: {text}", "yaml")

    @pytest.mark.parametrize("format", ["toml", "json"])
    def test_a_number_of_thousands_of_digits(self, format: Format) -> None:
        text = {"toml": f"cpus = {'1' * 5000}", "json": f'{{"cpus": {"1" * 5000}}}'}[format]
        assert f"not well-formed {format.upper()}" in parse_error(text, format)

    @pytest.mark.parametrize("where", ["init: {meta_data: *i}", "options: {mock: {x: *i}}", "nope: *i"])
    def test_an_alias_bomb_is_harmless(self, where: str) -> None:
        lines = ["name: web", "labels:", "  a: &a [x,x,x,x,x,x,x,x,x,x]"]
        for last, this in zip("abcdefgh", "bcdefghi", strict=True):
            lines.append(f"  {this}: &{this} [{','.join([f'*{last}'] * 10)}]")
        assert "more than 100,000 values" in parse_error("\n".join([*lines, where]), "yaml")

    def test_a_list_that_holds_itself(self) -> None:
        assert "nested deeper" in parse_error("name: web\noptions: {mock: {x: &x [*x]}}", "yaml")

    @pytest.mark.parametrize("depth", [70, 5_000, 200_000])
    @pytest.mark.parametrize("format", ["toml", "json", "yaml"])
    def test_deep_nesting(self, format: Format, depth: int) -> None:
        if format == "yaml" and depth > 5_000:
            depth = 20_000
        brackets = "[" * depth + "]" * depth
        text = {"toml": f"labels = {brackets}", "json": f'{{"labels": {brackets}}}', "yaml": f"labels: {brackets}"}
        assert "nested deeper" in parse_error(text[format], format)

    def test_includes_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*args: object) -> None:
            raise AssertionError(args)

        monkeypatch.setattr(builtins, "open", refuse)
        parse_spec('{"name": "web", "labels": {"include": "/etc/passwd", "x": "${HOME}"}}', "json")

    @given(st.text(max_size=200), st.sampled_from(["toml", "json"]))
    def test_any_text_is_a_spec_or_invalid(self, text: str, format: Format) -> None:
        with suppress(InvalidSpec):
            parse_spec(text, format)

    @given(st.text(alphabet="{}[]:,-&*!|>?'\"#%@` \nabc01.~\t", max_size=60))
    def test_any_yaml_is_a_spec_or_invalid(self, text: str) -> None:
        with suppress(InvalidSpec):
            parse_spec(text, "yaml")

    @given(DOCUMENTS)
    def test_any_document_is_a_spec_or_invalid(self, document: Any) -> None:
        with suppress(InvalidSpec):
            parse_spec(json.dumps(document), "json")
        with suppress(InvalidSpec):
            parse_spec(yaml.safe_dump(document), "yaml")


def test_a_json_key_given_twice_is_refused() -> None:
    with pytest.raises(InvalidSpec, match="'memory' is given twice"):
        parse_spec('{"name": "web", "memory": "1GiB", "memory": "2GiB"}', "json")
