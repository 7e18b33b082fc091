"""How a request to the engine may fail.

::

    Failure
    ├── ApiError       the engine answered, and said no
    └── Unreachable    it can't be reached, doesn't answer, or broke off
        └── Denied     we aren't let in
"""

from __future__ import annotations


class Failure(Exception):
    """A request to the engine failed."""


class ApiError(Failure):
    """The engine answered with something else than success.

    Attributes:
        status: The HTTP status. 200 where the engine reported an error after it had begun to answer, or answered with
            something that isn't what was asked for.
        message: The engine's words.
        cause: The innermost of the engine's errors (``"no such container"``), or ``""`` if it named none.
        method: The HTTP method of the request.
        path: The path of the request, without its query.
    """

    def __init__(self, status: int, message: str, cause: str, method: str, path: str) -> None:
        super().__init__(status, message, cause, method, path)
        self.status = status
        self.message = message
        self.cause = cause
        self.method = method
        self.path = path

    def __str__(self) -> str:
        asked = f"{self.method} {self.path}: " if self.method else ""
        return f"{self.message} ({asked}{self.status})"


class Unreachable(Failure):
    """The engine can't be reached, didn't answer in time, or broke off.

    Attributes:
        sent: Whether the request may have reached the engine: then nobody knows whether it was carried out.
        remedy: What to do, where it isn't about the engine; or ``""``.
    """

    def __init__(self, message: str, *, sent: bool = False, remedy: str = "") -> None:
        super().__init__(message)
        self.sent = sent
        self.remedy = remedy


class Denied(Unreachable):
    """The engine is there, but we aren't let in: the socket's permissions, or ssh."""
