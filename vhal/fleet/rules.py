"""What must hold whatever the load: who may not be together, who must be, and who stays where it is.

A rule is about machines that a selector chooses. It says nothing of sizes: that what fits into a host is the
snapshot's business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from vhal.fleet.selector import Selector
from vhal.spec.model import Model

HOST = "host"
"""The domain that every host is by itself; any other domain is a label of hosts: ``rack``, ``zone``."""


class _Rule(Model):
    kind: str
    name: str = ""
    """What to call it when it is told of."""

    @model_serializer(mode="wrap")
    def _with_its_kind(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Also where defaults are left out: without its kind nobody could read it again.
        return {"kind": self.kind, **handler(self)}


class Apart(_Rule):
    """No two of the machines may be in one domain: on one host, or in one rack."""

    kind: Literal["apart"] = "apart"
    machines: Selector
    domain: str = HOST

    if TYPE_CHECKING:

        def __init__(self, *, machines: Selector | str, domain: str = ..., name: str = ...) -> None: ...


class Together(_Rule):
    """All of the machines are in one domain."""

    kind: Literal["together"] = "together"
    machines: Selector
    domain: str = HOST

    if TYPE_CHECKING:

        def __init__(self, *, machines: Selector | str, domain: str = ..., name: str = ...) -> None: ...


class Only(_Rule):
    """The machines may only be on certain hosts."""

    kind: Literal["only"] = "only"
    machines: Selector
    hosts: Selector

    if TYPE_CHECKING:

        def __init__(self, *, machines: Selector | str, hosts: Selector | str, name: str = ...) -> None: ...


class Never(_Rule):
    """The machines may not be on certain hosts."""

    kind: Literal["never"] = "never"
    machines: Selector
    hosts: Selector

    if TYPE_CHECKING:

        def __init__(self, *, machines: Selector | str, hosts: Selector | str, name: str = ...) -> None: ...


class Stay(_Rule):
    """The machines are not moved by a plan, whatever it would gain."""

    kind: Literal["stay"] = "stay"
    machines: Selector

    if TYPE_CHECKING:

        def __init__(self, *, machines: Selector | str, name: str = ...) -> None: ...


AnyRule = Apart | Together | Only | Never | Stay
Rule = Annotated[AnyRule, Field(discriminator="kind")]
"""One of them, as a field of a model."""
