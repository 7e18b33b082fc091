"""What hangs is given up, with a look at where it hangs, and the run goes on.

The call is made in a thread of its own that is waited for, since a signal would only reach the main thread and Python
can't end a thread. So what hangs goes on hanging, in a daemon thread that the process doesn't wait for at its end.
"""

from __future__ import annotations

import contextvars
import sys
import threading
import traceback
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

DEEP = 16
"""How many calls of a thread are shown, the innermost ones."""


class Overdue(AssertionError):
    """A call didn't return in time; the message has the stacks of all threads."""


def within(timeout_s: float, what: str, call: Callable[[], T]) -> T:
    """Return what ``call`` returns, or raise what it raises.

    Raises:
        Overdue: It did neither within ``timeout_s``.
    """
    returned: list[T] = []
    raised: list[BaseException] = []
    context = contextvars.copy_context()

    def make() -> None:
        try:
            returned.append(context.run(call))
        except BaseException as error:  # noqa: BLE001 - pytest's own outcomes are no Exceptions
            raised.append(error)

    thread = threading.Thread(target=make, name=f"vhal-kit {what}", daemon=True)
    thread.start()
    thread.join(timeout_s)
    if raised:
        raise raised.pop()
    if returned:
        return returned[0]
    raise Overdue(f"{what} has not ended within {timeout_s:g} s; it was given up\n\n{stacks(thread)}")


def stacks(first: threading.Thread) -> str:
    """Return where every thread is, ``first`` before the others."""
    frames = sys._current_frames()
    parts = []
    for thread in sorted(threading.enumerate(), key=lambda thread: thread is not first):
        frame = frames.get(thread.ident or 0)
        if frame is not None:
            parts.append(f"thread {thread.name!r}:\n{''.join(traceback.format_stack(frame, DEEP))}")
    return "\n".join(parts)
