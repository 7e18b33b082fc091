"""Several hosts asked at once, so that a dead one costs the others nothing.

It doesn't decide what a missing answer means: whoever asks does.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

from vhal.errors import HostUnreachable, VhalError

P = TypeVar("P", bound=Hashable)
T = TypeVar("T")

PATIENCE_S = 20.0
"""How long a host may take to answer before it counts as unreachable."""


def ask(places: Sequence[P], question: Callable[[P], T], patience_s: float = PATIENCE_S) -> dict[P, T | VhalError]:
    """Put a question to every host; return each one's answer or error, in the order of ``places``.

    Args:
        places: URLs, names, or what stands for a host and has its name as its text.
        question: Called with each place, in a thread of its own.
        patience_s: How long to wait for all of them.
    """
    answers: queue.SimpleQueue[tuple[P, T | Exception]] = queue.SimpleQueue()

    def run(place: P) -> None:
        try:
            answers.put((place, question(place)))
        except Exception as error:  # noqa: BLE001 - raised again below, in the thread that asked
            answers.put((place, error))

    for place in places:
        # A daemon, for an engine that hangs must not keep the process.
        threading.Thread(target=run, args=(place,), daemon=True).start()
    deadline = time.monotonic() + patience_s
    found: dict[P, T | VhalError] = {}
    while len(found) < len(places):
        try:
            place, answer = answers.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            break
        if isinstance(answer, Exception) and not isinstance(answer, VhalError):
            raise answer
        found[place] = answer
    return {place: found.get(place, _silent(place, patience_s)) for place in places}


def _silent(place: object, patience_s: float) -> VhalError:
    return HostUnreachable(f"{place} gave no answer within {patience_s:g} s", hint="is it up?", host=str(place))
