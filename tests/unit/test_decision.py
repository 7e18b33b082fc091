"""Who has the machine? The whole table, against the rules that must never be broken."""

from __future__ import annotations

from itertools import product

import pytest

from vhal.migration.decision import Sight, Verdict, decide, sight
from vhal.spec.state import MachineState

S = MachineState
OFFERED = (S.RUNNING, S.PAUSED, S.STOPPED)
CASES = list(product(OFFERED, Sight, Sight, (True, False)))


@pytest.mark.parametrize(("offered", "source", "destination", "claimed"), CASES)
def test_what_must_never_be(offered: S, source: Sight, destination: Sight, claimed: bool) -> None:
    verdict = decide(offered, source, destination, claimed=claimed)
    if Sight.UNSEEN in (source, destination):
        assert verdict is Verdict.IN_DOUBT, "nothing may be concluded from a host that doesn't answer"
        return
    if source is Sight.RUNNING:
        assert verdict is not Verdict.COMMITTED, "the source would be killed, or two would run"
    if destination is Sight.RUNNING:
        assert verdict is not Verdict.ROLL_BACK, "a running machine would be cancelled"
    if source is destination is Sight.RUNNING:
        assert verdict is Verdict.IN_DOUBT
    if verdict is Verdict.COMMITTED:
        assert destination is not Sight.ABSENT, "there is nothing to take over"
        if offered is not S.STOPPED:
            assert destination in (Sight.RUNNING, Sight.HELD), "what was in memory must be in memory"
        elif destination is not Sight.RUNNING:
            assert source is not Sight.HELD, "someone started it here meanwhile: release would kill it"
    if verdict is Verdict.ROLL_BACK:
        assert source is not Sight.ABSENT, "there is nothing to go back to"
        if offered is not S.STOPPED:
            assert source in (Sight.RUNNING, Sight.HELD), "what was in memory must be in memory"
    if verdict is Verdict.ENDED:
        assert (source, destination) == (Sight.INACTIVE, Sight.ABSENT), "there must be one copy, which doesn't run"
    if verdict is Verdict.LOST:
        assert Sight.RUNNING not in (source, destination)


@pytest.mark.parametrize(("offered", "source", "destination"), list(product(OFFERED, Sight, Sight)))
def test_a_claim_never_turns_a_clear_picture(offered: S, source: Sight, destination: Sight) -> None:
    """What the engine says only matters where both could go on."""
    with_claim = decide(offered, source, destination, claimed=True)
    without = decide(offered, source, destination, claimed=False)
    if with_claim is not without:
        assert (with_claim, without) == (Verdict.COMMITTED, Verdict.ROLL_BACK)
        assert source is destination
        assert source in (Sight.HELD, Sight.INACTIVE)


@pytest.mark.parametrize(
    ("offered", "source", "destination", "claimed", "verdict"),
    [
        (S.RUNNING, Sight.HELD, Sight.RUNNING, True, Verdict.COMMITTED),
        (S.RUNNING, Sight.ABSENT, Sight.RUNNING, False, Verdict.COMMITTED),
        (S.RUNNING, Sight.RUNNING, Sight.HELD, True, Verdict.ROLL_BACK),
        (S.RUNNING, Sight.RUNNING, Sight.ABSENT, True, Verdict.ROLL_BACK),
        (S.RUNNING, Sight.HELD, Sight.HELD, True, Verdict.COMMITTED),
        (S.RUNNING, Sight.HELD, Sight.HELD, False, Verdict.ROLL_BACK),
        (S.RUNNING, Sight.HELD, Sight.ABSENT, True, Verdict.ROLL_BACK),
        (S.RUNNING, Sight.INACTIVE, Sight.ABSENT, False, Verdict.ENDED),
        (S.PAUSED, Sight.INACTIVE, Sight.ABSENT, True, Verdict.ENDED),
        (S.RUNNING, Sight.INACTIVE, Sight.INACTIVE, True, Verdict.LOST),
        (S.RUNNING, Sight.ABSENT, Sight.ABSENT, True, Verdict.LOST),
        (S.PAUSED, Sight.HELD, Sight.HELD, True, Verdict.COMMITTED),
        (S.STOPPED, Sight.INACTIVE, Sight.INACTIVE, True, Verdict.COMMITTED),
        (S.STOPPED, Sight.INACTIVE, Sight.INACTIVE, False, Verdict.ROLL_BACK),
        (S.STOPPED, Sight.INACTIVE, Sight.ABSENT, True, Verdict.ROLL_BACK),
        (S.STOPPED, Sight.ABSENT, Sight.INACTIVE, False, Verdict.COMMITTED),
        (S.STOPPED, Sight.ABSENT, Sight.ABSENT, True, Verdict.LOST),
        (S.STOPPED, Sight.HELD, Sight.INACTIVE, True, Verdict.ROLL_BACK),
        (S.STOPPED, Sight.RUNNING, Sight.INACTIVE, True, Verdict.ROLL_BACK),
    ],
)
def test_the_cases_that_happen(offered: S, source: Sight, destination: Sight, claimed: bool, verdict: Verdict) -> None:
    assert decide(offered, source, destination, claimed=claimed) is verdict


@pytest.mark.parametrize(
    ("state", "seen"),
    [
        (None, Sight.ABSENT),
        (S.RUNNING, Sight.RUNNING),
        (S.STOPPING, Sight.RUNNING),
        (S.PAUSED, Sight.HELD),
        (S.STARTING, Sight.HELD),
        (S.MIGRATING, Sight.HELD),
        (S.STOPPED, Sight.INACTIVE),
        (S.SAVED, Sight.HELD),
        (S.CRASHED, Sight.INACTIVE),
        (S.UNKNOWN, Sight.UNSEEN),
    ],
)
def test_what_a_state_amounts_to(state: S | None, seen: Sight) -> None:
    assert sight(state) is seen


def test_every_state_amounts_to_something() -> None:
    assert all(isinstance(sight(state), Sight) for state in MachineState)
