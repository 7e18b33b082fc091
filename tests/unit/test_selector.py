"""Selectors: what they choose, and that their text says all of it."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vhal.errors import InvalidSpec
from vhal.fleet.rules import Apart
from vhal.fleet.selector import Selector, Term, selected

KEYS = st.sampled_from(["team", "tier", "host", "example.org/x", "1"])
VALUES = st.sampled_from(["", "blue", "b*", "?lue", "front end", "ä"])
TERMS = st.builds(Term, KEYS, st.none() | VALUES, st.booleans())
WORDS = st.dictionaries(KEYS, VALUES, max_size=4)


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("", True),
        ("team", True),
        ("!team", False),
        ("tier", False),
        ("!tier", True),
        ("team=blue", True),
        ("team=b*", True),
        ("team=?", False),
        ("team!=red", True),
        ("tier!=web", True),
        ("team=blue,state=running", True),
        (" team = blue ", None),
        ("team=blue, state=running", True),
        ("team=blue,state=stopped", False),
        ("team==blue", None),
        ("!team=blue", None),
        ("=blue", None),
        ("team=a=b", None),
    ],
)
def test_choosing(text: str, chosen: bool | None) -> None:
    words = {"team": "blue", "state": "running"}
    if chosen is None:
        with pytest.raises(ValueError, match="is no condition"):
            Selector(text)
    else:
        assert Selector(text).matches(words) is chosen


@given(st.lists(TERMS, max_size=4), WORDS)
def test_all_conditions_hold_or_it_is_not_chosen(terms: list[Term], words: dict[str, str]) -> None:
    def holds(term: Term) -> bool:
        here = term.key in words and (term.value is None or fnmatchcase(words[term.key], term.value))
        return here if term.wanted else not here

    text = ",".join(map(str, terms))
    assert Selector(text).matches(words) is all(map(holds, terms))


@given(st.lists(TERMS, max_size=4))
def test_its_text_is_the_selector(terms: list[Term]) -> None:
    selector = Selector(",".join(map(str, terms)))
    assert Selector(str(selector)) == selector
    rule = Apart(machines=selector)
    assert Apart.model_validate_json(rule.model_dump_json()).machines == selector


@given(st.text(max_size=12))
def test_any_text_is_a_selector_or_an_error_with_a_hint(text: str) -> None:
    try:
        selector = selected(text)
    except InvalidSpec as error:
        told = error
    else:
        assert Selector(str(selector)) == selector
        return
    assert told.hint
    assert told.problems[0][0] == "selector"
