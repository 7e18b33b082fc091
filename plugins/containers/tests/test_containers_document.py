from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vhal_containers.api import types
from vhal_containers.api.document import document, moment

KINDS = [kind for kind in vars(types).values() if isinstance(kind, type) and kind.__module__ == types.__name__]
KEYS = st.sampled_from(
    [
        *(
            "Id",
            "Names",
            "State",
            "Config",
            "Labels",
            "Networks",
            "NetworkSettings",
            "Mounts",
            "Created",
            "Env",
            "Actor",
        ),
        *("host", "store", "time", "subnets", "Processes", "Log", "Components", "CPU", "Devices", "HostConfig"),
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(), inner, max_size=5),
    max_leaves=20,
)


@given(st.sampled_from(KINDS), JSON)
def test_whatever_the_engine_says_can_be_read(kind: Any, said: object) -> None:
    extra = ("lan",) if kind is types.Attachment else ()
    kind.read(*extra, document(said))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2026-11-23T03:04:42.377606277Z", datetime(2026, 11, 23, 3, 4, 42, 377606, UTC)),
        ("2026-11-23T03:04:42.5+01:00", datetime(2026, 11, 23, 2, 4, 42, 500000, UTC)),
        ("2026-11-23T03:04:42Z", datetime(2026, 11, 23, 3, 4, 42, 0, UTC)),
        ("0001-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00+02:00", None),
        ("2026-13-23T03:04:42Z", None),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_moments(written: object, meant: datetime | None) -> None:
    assert moment({"at": written}, "at") == meant
