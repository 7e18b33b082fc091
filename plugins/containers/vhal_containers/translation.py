"""The engine's failures as ours.

The engine's words decide: it answers nearly everything with status 500. They come through unchanged in ``native``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from vhal.errors import (
    AccessDenied,
    AlreadyExists,
    Busy,
    EngineError,
    HostUnreachable,
    ImageRejected,
    InsufficientResources,
    InvalidSpec,
    InvalidState,
    NotFound,
    Unsupported,
    VhalError,
)
from vhal_containers.api import ApiError, Denied, Unreachable

_UNREACHABLE = "is the engine running there? (systemctl start podman.socket, or --user for one's own)"
_DENIED = "use a user who may open the engine's socket, or containers:///user for one's own engine"
_GONE = "look at what is there (podman ps --all); it may have been removed or moved away meanwhile"
_LOG = "the engine's words and its log on that host (journalctl -u podman) say more"
_ULIMITS = "lower process.ulimits: the engine isn't allowed to give more than it has itself"

_NOT_FOUND = 404
_CONFLICT = 409


@dataclass(frozen=True, slots=True)
class _Rule:
    words: re.Pattern[str]
    becomes: type[VhalError]
    hint: str


_RULES = tuple(
    _Rule(re.compile(words, re.IGNORECASE), becomes, hint)
    for words, becomes, hint in (
        (r"does not match any of the supported image formats", ImageRejected,
         "give an archive as 'podman save' or 'docker save' writes it"),
        (r"no space left|disk quota exceeded", InsufficientResources, "make room on the engine's disk"),
        # The engine doesn't say why, but there is nothing else to hinder it.
        (r"storing layer .* to file", InsufficientResources,
         "make room where the engine keeps its temporary files (/var/tmp)"),
        (r"cannot allocate memory|memory limit (too low|allowed)|oom-killed", InsufficientResources,
         "give it more memory"),
        (
            r"already allocated",
            AlreadyExists,
            "another machine has that address: choose another one; if no container has that id, podman was killed just"
            " after it gave it the address, and keeps it until that host restarts",
        ),
        (r"address already in use|port is already", AlreadyExists, "something else listens there: choose another port"),
        (r"not in any subnet|belong to any of this network's subnets", InvalidSpec,
         "choose an address within the network's subnet"),
        (r"already in use|already exists", AlreadyExists, "choose another name, or delete what has it"),
        (r"being used|in use by|volume is in use|has active endpoints", Busy, "a container uses it: delete that first"),
        (r"setting rlimit|rlimits", Unsupported, _ULIMITS),
        (r"unresolvable CDI", NotFound, "the host has no such device: correct its name in gpus"),
        (
            r"(executable file|command).* not found|exec: .*no such file or directory|attempted to invoke a command",
            NotFound,
            "the image has no such program: correct process.command, or the image",
        ),
        (r"no command or entrypoint", InvalidSpec, "the image says nothing of what to run: give process.command"),
        (r"unable to find user|no matching entries in passwd|unable to find group", NotFound,
         "the image has no such user: correct process.user, or give a number"),
        (r"user specified IP address is supported", Unsupported,
         "give no address, or choose a network that was made with a subnet (docker network create --subnet)"),
        (r"image not known|failed to find image", NotFound, "pull or load the image there, or correct its name"),
        (r"network( \S+)? not found|unable to find network", NotFound, "make the network there, or choose another one"),
        (r"no such (container|volume|network|pod|image)", NotFound, _GONE),
        (r"container state improper|is not running|is not paused|already paused|cannot remove a (running|paused)",
         InvalidState, "look at the machine's state; it may have changed meanwhile"),
        (r"no such file or directory|source path does not exist", NotFound,
         "make what the engine names on that host, or correct its path"),
        (r"(default )?OCI runtime .* not found|runtime not found", NotFound,
         "leave options.containers.runtime out, or name a runtime of that engine"),
        (r"permission denied|operation not permitted|not authorized", AccessDenied, _LOG),
        (r"invalid argument|invalid config", InvalidSpec, "correct what the engine names"),
    )
)  # fmt: skip


def translate(error: Exception, engine: str = "podman") -> VhalError | None:
    """Return the error of an engine of that name as one of ours, with itself as ``native``; None if it isn't one."""
    if isinstance(error, Denied):
        return AccessDenied(str(error), hint=error.remedy or _DENIED, backend="containers", native=error)
    if isinstance(error, Unreachable):
        return HostUnreachable(str(error), hint=error.remedy or _UNREACHABLE, backend="containers", native=error)
    if not isinstance(error, ApiError):
        return None
    kind, hint = _kind(error)
    # Commands, units and sockets are called after their engine.
    hint = hint if engine in hint else hint.replace("podman", engine)
    return kind(f"{engine}: {error.message}", hint=hint, backend="containers", native=error)


def _kind(error: ApiError) -> tuple[type[VhalError], str]:
    if error.path.endswith(("/images/pull", "/images/create")):
        return NotFound, "correct the image's name, log the engine in (podman login), or load the image there"
    words = f"{error.cause}\n{error.message}"
    for rule in _RULES:
        if rule.words.search(words):
            return rule.becomes, rule.hint
    if error.path.endswith("/images/load"):
        return ImageRejected, "give an archive as 'podman save' writes it"
    if error.status == _NOT_FOUND:
        return NotFound, _GONE
    if error.status == _CONFLICT:
        return Busy, "something else is under way there: try again"
    return EngineError, _LOG
