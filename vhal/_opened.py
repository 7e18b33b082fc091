"""Tells a test kit what is opened in this process, so that it can say what was left open.

Nobody listens outside of tests; then it costs a look at a name. Who listens is :mod:`vhal.testing.leaks`.
"""

from __future__ import annotations

from collections.abc import Callable

listener: Callable[[object], None] | None = None
"""Called with each host, operation, stream, console and program that begins, and each machine that is made, in the
thread that does it."""


def tell(thing: object) -> None:
    """Tell the listener, if there is one."""
    heard = listener  # looked at once: another thread may end the listening meanwhile
    if heard is not None:
        heard(thing)
