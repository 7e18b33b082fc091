"""Paths and queries of requests. Whatever a name holds, it stays one part of its path."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from urllib.parse import quote, urlencode

from vhal_containers.api.errors import ApiError

Value = str | int | bool | Sequence[str] | Mapping[str, Sequence[str]] | None
Parameters = Mapping[str, Value]


def path(*parts: str) -> str:
    """Return the path with these parts, each percent-encoded: ``path("containers", "a/b")`` is ``/containers/a%2Fb``.

    A part of nothing but dots is encoded too, because ``..`` would be taken for the folder above.

    Raises:
        ApiError: 404, as the engine would answer: a part is empty, or holds what isn't text. Nothing was asked.
    """
    try:
        whole = "".join(f"/{_encoded(part)}" for part in parts)
    except UnicodeEncodeError:
        raise ApiError(404, "a name holds what isn't text", "no such object", "", "") from None
    if not all(parts):
        raise ApiError(404, "an empty name names nothing", "no such object", "", whole)
    return whole


def query(parameters: Parameters) -> str:
    """Return parameters as a query: None is left out, a list is repeated, a mapping (filters) is written as JSON."""
    pairs: list[tuple[str, str]] = []
    for key, value in parameters.items():
        if value is None:
            continue
        if isinstance(value, bool):
            pairs.append((key, "true" if value else "false"))
        elif isinstance(value, str | int):
            pairs.append((key, str(value)))
        elif isinstance(value, Mapping):
            pairs.append((key, json.dumps({name: list(words) for name, words in value.items()})))
        else:
            pairs.extend((key, item) for item in value)
    return urlencode(pairs, quote_via=quote, safe="")


def _encoded(part: str) -> str:
    return quote(part, safe="") if part.strip(".") else part.replace(".", "%2E")
