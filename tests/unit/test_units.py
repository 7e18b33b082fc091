"""Sizes and names: what reads, what doesn't, and that no byte gets lost on the way."""

from __future__ import annotations

import copy
import pickle
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from vhal.spec.units import Bytes, HostPath, LabelKey, LabelValue, Name

FACTORS = {
    "B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40, "PiB": 2**50,
}  # fmt: skip


class TestBytes:
    @pytest.mark.parametrize(
        ("text", "size"),
        [
            ("0", 0),
            ("17", 17),
            ("17B", 17),
            ("2GiB", 2 << 30),
            (" 2 GiB ", 2 << 30),
            ("1.5KiB", 1536),
            ("0.001kB", 1),
            ("512MB", 512_000_000),
            ("8191PiB", 8191 << 50),
        ],
    )
    def test_reads(self, text: str, size: int) -> None:
        assert Bytes(text) == size

    @pytest.mark.parametrize(
        "text",
        [
            "", " ", "GiB", "2gib", "2G", "-1", "-1GiB", "1e9", "0x10", "1,5GiB", "1.GiB", ".5GiB", "2GiB2", "2 GiB x",
            "8192PiB", "9" * 21, "\u0662GiB", "2\u00a0Gi B", "nan", "inf",
        ],
    )  # fmt: skip
    def test_refuses(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"is no size|size is between"):
            Bytes(text)

    def test_a_size_is_whole(self) -> None:
        with pytest.raises(ValueError, match="not a whole number of bytes"):
            Bytes("0.3B")

    @pytest.mark.parametrize("number", [-1, 1 << 63])
    def test_has_bounds(self, number: int) -> None:
        with pytest.raises(ValueError, match="between 0 and"):
            Bytes(number)

    @given(st.integers(0, 8191), st.sampled_from(sorted(FACTORS)))
    def test_whole_numbers_are_exact(self, number: int, unit: str) -> None:
        assert Bytes(f"{number}{unit}") == number * FACTORS[unit]

    @given(st.decimals(0, 8000, places=9), st.sampled_from(sorted(FACTORS)))
    def test_fractions_are_exact_or_refused(self, number: Decimal, unit: str) -> None:
        exact = number * FACTORS[unit]
        if exact == int(exact):
            assert Bytes(f"{number:f}{unit}") == int(exact)
        else:
            with pytest.raises(ValueError, match="whole"):
                Bytes(f"{number:f}{unit}")

    @given(st.integers(0, (1 << 63) - 1))
    def test_its_repr_is_itself(self, number: int) -> None:
        assert eval(repr(Bytes(number))) == number  # noqa: S307 - that is what a repr is for

    @given(st.integers(0, 1023), st.sampled_from(["KiB", "MiB", "GiB", "TiB", "PiB"]))
    def test_what_is_printed_reads_back(self, number: int, unit: str) -> None:
        size = Bytes(number * FACTORS[unit])
        assert Bytes(str(size)) == size

    @given(st.integers(1024, (1 << 63) - 1))
    def test_what_is_printed_is_near(self, number: int) -> None:
        text, _, unit = str(Bytes(number)).partition(" ")
        assert abs(Decimal(text) * FACTORS[unit] - number) <= Decimal("0.0051") * FACTORS[unit]

    def test_prints_with_its_unit(self) -> None:
        assert [str(Bytes(n)) for n in (0, 1023, 1024, 1536, 2 << 30)] == ["0 B", "1023 B", "1 KiB", "1.5 KiB", "2 GiB"]
        assert repr(Bytes("2GiB")) == "Bytes('2 GiB')"

    def test_copies_and_pickles_as_itself(self) -> None:
        size = Bytes("2GiB")
        for other in (copy.copy(size), copy.deepcopy(size), pickle.loads(pickle.dumps(size))):  # noqa: S301
            assert type(other) is Bytes
            assert other == size

    @pytest.mark.parametrize("value", [True, 1.5, None, [], {}, b"2GiB"])
    def test_a_model_takes_only_numbers_and_text(self, value: object) -> None:
        with pytest.raises(ValidationError, match="number of bytes or a text"):
            TypeAdapter(Bytes).validate_python(value)


class TestPlainText:
    @pytest.mark.parametrize("name", ["a", "web-1", "A.b_c", "0", "x" * 63, "a.b"])
    def test_good_names(self, name: str) -> None:
        assert TypeAdapter(Name).validate_python(name) == name

    @pytest.mark.parametrize(
        "name",
        [
            "", ".", "..", "a..b", "-a", "_a", ".a", "a/b", "/a", "a\n", "a\nb", "\na", "a b", "a\tb", "a\x00", "<a>",
            "a&b", "a'b", 'a"b', "a;b", "$(a)", "`a`", "a\\b", "ä", "x" * 64, "a\u2028", "a%2e", "\u0661",
        ],
    )  # fmt: skip
    def test_bad_names(self, name: str) -> None:
        with pytest.raises(ValidationError):
            TypeAdapter(Name).validate_python(name)

    @pytest.mark.parametrize("path", ["/", "/a", "/a b/c.qcow2", "/a...b", "/ä"])
    def test_good_paths(self, path: str) -> None:
        assert TypeAdapter(HostPath).validate_python(path) == path

    @pytest.mark.parametrize(
        "path", ["", "a", "./a", "..", "/..", "/a/../b", "/a/..", "file:///a", "/a\n", "/a\x00b", "/" + "a" * 4096]
    )
    def test_bad_paths(self, path: str) -> None:
        with pytest.raises(ValidationError):
            TypeAdapter(HostPath).validate_python(path)

    @pytest.mark.parametrize("key", ["a", "example.org/team", "0_-./"])
    def test_good_label_keys(self, key: str) -> None:
        assert TypeAdapter(LabelKey).validate_python(key) == key

    @pytest.mark.parametrize("key", ["", "/a", "a b", "a=b", "a\n", "x" * 129])
    def test_bad_label_keys(self, key: str) -> None:
        with pytest.raises(ValidationError):
            TypeAdapter(LabelKey).validate_python(key)

    @pytest.mark.parametrize("value", ["a\nb", "\x00", "\x7f", "x" * 1025])
    def test_bad_label_values(self, value: str) -> None:
        with pytest.raises(ValidationError):
            TypeAdapter(LabelValue).validate_python(value)


@pytest.mark.parametrize(("text", "meant"), [("2G", "2GiB"), ("2g", "2GiB"), ("1.5t", "1.5TiB"), ("512mib", "512MiB")])
def test_a_unit_as_people_type_it_gets_a_hint(text: str, meant: str) -> None:
    with pytest.raises(ValueError, match=f"did you mean '{meant}'"):
        Bytes(text)
