"""Every error a user of vhal can meet, in one tree.

::

    VhalError                       code                  may I retry?
    ├── InvalidSpec                 invalid-spec          no: correct the named path
    ├── InvalidUrl                  invalid-url           no
    ├── InvalidConfig               invalid-config        no
    ├── InvalidState                invalid-state         no: bring the machine to a fitting state
    ├── NotFound                    not-found             no
    ├── AlreadyExists               already-exists        no
    ├── Unsupported                 unsupported           no: see the blockers' remedies
    ├── InsufficientResources       insufficient          later, or elsewhere
    │   └── PlacementRefused        placement-refused     later: read why of each host
    ├── ImageRejected               image-rejected        no
    ├── AccessDenied                access-denied         no
    ├── Busy                        busy                  yes
    ├── OperationTimeout            timeout               yes
    ├── OperationAborted            aborted               yes
    ├── HostUnreachable             host-unreachable      yes
    ├── CommandFailed               command-failed        no: read what the program wrote
    ├── EngineError                 engine-error          no
    ├── PluginError                 plugin-error          no
    ├── NotRecorded                 not-recorded          no: make the recorded calls, or record anew
    ├── JournalError                journal-error         no: see the hint
    ├── PlanOutdated                plan-outdated         no: plan anew
    ├── NotFenced                   not-fenced            no: fence the host first
    └── MigrationError              migration-error       no
        ├── MigrationRefused        migration-refused     no: nothing was touched
        ├── MigrationFailed         migration-failed      yes: the source has the machine
        └── MigrationInDoubt        migration-in-doubt    no: look at both hosts first

An error carries what happened (``message``), what to do (``hint``), where (``host``, ``machine``) and, when the
engine said something, its own words (``native``). Here are the errors only; which native error becomes which of
these is decided by each backend's :meth:`vhal.driver.Driver.translate`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from vhal.driver.answer import Blocker
    from vhal.fleet.placement.explanation import Explanation


class VhalError(Exception):
    """Something vhal was asked to do did not happen.

    Attributes:
        message: What happened, one sentence.
        hint: What to do about it, or None.
        backend: Name of the backend concerned, or None.
        host: Name or URL of the host concerned, or None.
        machine: Name or id of the machine concerned, or None.
        native: The engine's own exception, or None. It is also the ``__cause__``.
    """

    code: ClassVar[str] = "error"
    """Stable id of the kind of error; a heading of ``docs/reference/errors.md``."""
    retryable: ClassVar[bool] = False
    """Whether the same call may succeed later with nothing changed by the caller."""
    exit_code: int = 1
    """What the command line exits with."""

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        backend: str | None = None,
        host: str | None = None,
        machine: str | None = None,
        native: BaseException | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.backend = backend
        self.host = host
        self.machine = machine
        self.native = native
        if native is not None:
            self.__cause__ = native

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        # Errors cross process borders (pytest-xdist, multiprocessing); a native exception may not be picklable.
        state = {**self.__dict__, "native": None}
        return (_rebuild, (type(self), self.message, state))

    def as_dict(self) -> dict[str, Any]:
        """Return what a program needs to act on: JSON-ready, without secrets."""
        return {
            "code": self.code,
            "message": self.message,
            "hint": self.hint,
            "retryable": self.retryable,
            "backend": self.backend,
            "host": self.host,
            "machine": self.machine,
            "native": str(self.native) if self.native is not None else None,
        }


def _rebuild(cls: type[VhalError], message: str, state: dict[str, Any]) -> VhalError:
    error = cls.__new__(cls, message)
    Exception.__init__(error, message)
    error.__dict__.update(state)
    return error


class InvalidSpec(VhalError):
    """A spec, a policy or an argument is malformed; ``problems`` name each path and reason."""

    code = "invalid-spec"
    exit_code = 2

    def __init__(self, message: str, *, problems: Sequence[tuple[str, str]] = (), **facts: Any) -> None:
        super().__init__(message, **facts)
        self.problems: tuple[tuple[str, str], ...] = tuple(problems)

    def as_dict(self) -> dict[str, Any]:
        """Return the error with its problems, JSON-ready."""
        problems = [{"path": path, "reason": reason} for path, reason in self.problems]
        return {**super().as_dict(), "problems": problems}


class InvalidUrl(VhalError):
    """A connection URL is malformed, or asks for something a URL may not ask for."""

    code = "invalid-url"
    exit_code = 2


class InvalidConfig(VhalError):
    """A configuration file is malformed or can't be trusted."""

    code = "invalid-config"
    exit_code = 2


class InvalidState(VhalError):
    """The machine's state doesn't allow the call; nothing was changed."""

    code = "invalid-state"
    exit_code = 4


class NotFound(VhalError):
    """What the call names isn't there."""

    code = "not-found"
    exit_code = 3


class AlreadyExists(VhalError):
    """The name, id or file is taken; what has it was left alone."""

    code = "already-exists"
    exit_code = 4


class Unsupported(VhalError):
    """It can't be done here; ``blockers`` say why and what would help. Raised before any effect."""

    code = "unsupported"
    exit_code = 5

    def __init__(self, message: str, *, blockers: Sequence[Blocker] = (), **facts: Any) -> None:
        super().__init__(message, **facts)
        self.blockers: tuple[Blocker, ...] = tuple(blockers)

    def as_dict(self) -> dict[str, Any]:
        """Return the error with its blockers, JSON-ready."""
        return {**super().as_dict(), "blockers": [b.as_dict() for b in self.blockers]}


class InsufficientResources(VhalError):
    """The host has no room: processors, memory, disk or devices."""

    code = "insufficient"
    retryable = True
    exit_code = 4


class PlacementRefused(InsufficientResources):
    """No host of the fleet can take the machine; ``explanation`` says of each why not. Nothing was made."""

    code = "placement-refused"

    def __init__(self, message: str, *, explanation: Explanation | None = None, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.explanation = explanation

    def as_dict(self) -> dict[str, Any]:
        """Return the error with what was said of each host, JSON-ready."""
        told = None if self.explanation is None else self.explanation.model_dump(mode="json")
        return {**super().as_dict(), "explanation": told}


class ImageRejected(VhalError):
    """An image or an archive isn't what it is declared to be, or reaches outside itself."""

    code = "image-rejected"
    exit_code = 2


class AccessDenied(VhalError):
    """The engine knows the caller, or not, and says no."""

    code = "access-denied"
    exit_code = 6


class Busy(VhalError):
    """Another operation holds the machine."""

    code = "busy"
    retryable = True
    exit_code = 4


class OperationTimeout(VhalError):
    """The deadline passed. What was begun was undone, unless the message says otherwise."""

    code = "timeout"
    retryable = True
    exit_code = 7


class OperationAborted(VhalError):
    """Somebody asked the operation to stop, and it stopped."""

    code = "aborted"
    retryable = True
    exit_code = 1


class HostUnreachable(VhalError):
    """The host doesn't answer, or the connection died."""

    code = "host-unreachable"
    retryable = True
    exit_code = 6


class CommandFailed(VhalError):
    """A program in a machine ended with another code than 0, and ``check`` was asked for.

    ``exit_code`` is what it ended with, and ``errors`` is the end of what it wrote to its errors.
    """

    code = "command-failed"

    def __init__(self, message: str, *, exit_code: int = 1, errors: bytes = b"", **facts: Any) -> None:
        super().__init__(message, **facts)
        self.exit_code = exit_code
        self.errors = errors

    def as_dict(self) -> dict[str, Any]:
        """Return the error with the program's code and words, JSON-ready."""
        return {
            **super().as_dict(),
            "exit_code": self.exit_code,
            "errors": self.errors.decode(errors="replace"),
        }


class EngineError(VhalError):
    """The engine failed in a way that has no better name here; ``native`` has its words."""

    code = "engine-error"


class PluginError(VhalError):
    """A backend can't be found, can't be loaded, or broke the contract; the message names it."""

    code = "plugin-error"
    exit_code = 6


class NotRecorded(VhalError):
    """A recorded session has no such call at this place; the message has the nearest, and what differs."""

    code = "not-recorded"


class JournalError(VhalError):
    """The record of what is in flight can't be read or written; nothing was begun."""

    code = "journal-error"
    exit_code = 2


class PlanOutdated(VhalError):
    """The fleet isn't what the plan was made for; ``differences`` say how, a line each. No move was made."""

    code = "plan-outdated"
    exit_code = 4

    def __init__(self, message: str, *, differences: Sequence[str] = (), **facts: Any) -> None:
        super().__init__(message, **facts)
        self.differences: tuple[str, ...] = tuple(differences)

    def as_dict(self) -> dict[str, Any]:
        """Return the error with its differences, JSON-ready."""
        return {**super().as_dict(), "differences": list(self.differences)}


class NotFenced(VhalError):
    """A host that may still run its machines was to be taken for dead; nothing was started elsewhere."""

    code = "not-fenced"
    exit_code = 5


class MigrationError(VhalError):
    """A machine was not moved."""

    code = "migration-error"


class MigrationRefused(MigrationError, Unsupported):
    """The preflight found reasons against it; nothing was touched on either host."""

    code = "migration-refused"
    exit_code = 5


class MigrationFailed(MigrationError):
    """It was begun and undone: the machine is on the source, the destination has nothing of it."""

    code = "migration-failed"
    retryable = True


class MigrationInDoubt(MigrationError):
    """A host couldn't be asked how it ended; nothing more was done. Look at both hosts before acting."""

    code = "migration-in-doubt"
    exit_code = 8
