"""What is on a host that was to be empty, after all."""

from __future__ import annotations

from tests.fleet.stand import Stand, world
from vhal.fleet.moves.applied import MoveEvent
from vhal.fleet.moves.apply import apply
from vhal.journal import Journal


def test_what_comes_to_a_host_while_it_is_emptied_is_told(journal: Journal) -> None:
    """It was on its way when the plan was made, so the plan doesn't know it."""
    with Stand(world({"a": {"web": 8}, "b": {"late": 8}, "c": {}})) as fleet:
        plan = fleet.plan(("web", "c"), emptied=("a",), kind="drain")

        def arrive(event: MoveEvent) -> None:
            if event.kind == "ended":
                fleet.host("b").machine("late").migrate(fleet.host("a"))

        applied = apply(plan, fleet, journal=journal, on_event=arrive)
    assert (len(applied.arrived), applied.left) == (1, ("late is on a",))


def test_an_emptied_host_that_does_not_answer_is_not_said_to_be_empty(journal: Journal) -> None:
    with Stand(world({"a": {"web": 8}, "b": {}})) as fleet:

        def die(event: MoveEvent) -> None:
            if event.kind == "ended":
                fleet.world.host("a").trouble.crash()

        applied = apply(fleet.plan(("web", "b"), emptied=("a",), kind="drain"), fleet, journal=journal, on_event=die)
    assert applied.left == ("it isn't known whether a is empty: host 'a' is down",)
