from __future__ import annotations

from urllib.parse import parse_qs, unquote

import httpcore2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from vhal_containers.api.errors import ApiError
from vhal_containers.api.path import path, query

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
NASTY = [
    "..",
    ".",
    "...",
    "../../x",
    "/",
    "a/b",
    "%2e%2e",
    "%2F",
    "a?b=c",
    "a#b",
    "a b",
    "a\r\nHost: x",
    "\0",
    "ä",
    "//x",
]


@given(NAMES | st.sampled_from(NASTY))
def test_a_name_stays_one_part_of_the_path_and_is_the_same_at_the_other_end(name: str) -> None:
    written = path("containers", name, "json")
    sent = httpcore2.URL(f"http://engine/v4.0.0/libpod{written}").target.decode()
    assert sent == f"/v4.0.0/libpod{written}"
    parts = sent.split("/")
    assert parts[:4] == ["", "v4.0.0", "libpod", "containers"]
    assert len(parts) == 6
    assert parts[4] not in (".", "..")
    assert unquote(parts[4]) == name


@pytest.mark.parametrize("name", ["", "\ud800"])
def test_what_can_name_nothing_is_answered_as_the_engine_would(name: str) -> None:
    with pytest.raises(ApiError) as caught:
        path("containers", name, "json")
    assert caught.value.status == 404


@given(st.dictionaries(st.text("abc", min_size=1), NAMES, max_size=4))
def test_a_value_is_the_same_at_the_other_end(values: dict[str, str]) -> None:
    assert parse_qs(query(values), keep_blank_values=True) == {key: [value] for key, value in values.items()}


def test_values_of_other_kinds() -> None:
    parameters = {"a": True, "b": False, "c": 7, "d": None, "e": ["x", "y z"], "f": {"label": ["k=v"]}}
    assert query(parameters) == "a=true&b=false&c=7&e=x&e=y%20z&f=%7B%22label%22%3A%20%5B%22k%3Dv%22%5D%7D"
