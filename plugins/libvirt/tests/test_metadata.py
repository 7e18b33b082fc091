"""What vhal remembers in a machine comes back as it went in, and damage to it does no harm."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from vhal_libvirt import metadata
from vhal_libvirt.document import dump, parse
from vhal_libvirt.metadata import Record

from vhal.spec import FrozenDict, Init, MachineSpec

keys = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_./-]{0,20}", fullmatch=True)
values = st.text(
    st.characters(min_codepoint=0x20, blacklist_characters="\x7f", blacklist_categories=("Cs", "Cn", "Cc"))
)


@given(
    st.builds(
        Record,
        epoch=st.integers(0, 10**6),
        labels=st.dictionaries(keys, values, max_size=5).map(FrozenDict),
        spec=st.none() | st.just('{"name": "<&>\'\\""}'),
        volumes=st.lists(st.from_regex(r"/[a-z/ ]{1,20}[a-z]", fullmatch=True), max_size=3).map(tuple),
        id=st.none() | st.uuids().map(str),
    )
)
def test_round_trip(record: Record) -> None:
    domain = parse("<domain><metadata><other xmlns='urn:other'/></metadata></domain>")
    metadata.put(domain, record)
    metadata.put(domain, record)
    again = parse(dump(domain))
    assert metadata.read(metadata.find(again)) == record
    assert len(again.findall("metadata/*")) == 2


def test_read_without_namespace_as_libvirt_hands_it_out() -> None:
    text = '<machine epoch="3"><label key="a">b</label><volume>/v</volume></machine>'
    assert metadata.read(parse(text)) == Record(3, FrozenDict({"a": "b"}), None, ("/v",))


def test_a_clone_has_no_part_in_what_was_made_for_the_original() -> None:
    record = Record(3, FrozenDict({"a": "b"}), "{}", ("/v",), "1")
    assert record.read_from("1") == record
    assert record.moved().read_from("1").volumes == ("/v",)
    for other in (record, Record(3, record.labels, "{}", ("/v",))):
        clone = other.read_from("2")
        assert (clone.volumes, clone.managed, clone.labels) == ((), False, {"a": "b"})


@pytest.mark.parametrize("text", ["<machine/>", '<machine epoch="x"><label/><volume/><else/></machine>'])
def test_damage_counts_as_absence(text: str) -> None:
    assert metadata.read(parse(text)) == Record()


@pytest.mark.parametrize("spec", ["", "{", "[]", '{"name": "a", "unknown": 1}', '{"devices": [{"kind": "gone"}]}'])
def test_a_spec_that_cant_be_read_is_none(spec: str) -> None:
    record = Record(spec=spec)
    assert record.managed
    assert metadata.spec_of(record) is None


def test_secrets_are_not_kept() -> None:
    spec = MachineSpec(name="a", init=Init(user_data="password: hunter2"))
    text = dump(metadata.element(metadata.record_of(spec, (), "1")))
    assert "hunter2" not in text
    assert metadata.spec_of(metadata.read(parse(text))) == spec.without_secrets()


def test_no_entity_is_resolved() -> None:
    text = '<!DOCTYPE m [<!ENTITY x SYSTEM "file:///etc/passwd">]><machine><label key="a">&x;</label></machine>'
    assert "root:" not in str(metadata.read(parse(text)))


def test_no_bomb_goes_off() -> None:
    bomb = (
        '<!DOCTYPE m [<!ENTITY a "'
        + "x" * 1000
        + '">'
        + "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 50}">' for n in range(6))
        + "]><machine><label key='a'>&g;</label></machine>"
    )
    try:
        labels = metadata.read(parse(bomb)).labels
    except etree.XMLSyntaxError:
        return
    assert len(str(labels)) < 10_000
