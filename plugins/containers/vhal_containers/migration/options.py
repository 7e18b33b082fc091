"""What only this backend understands of a migration: the model behind ``options["containers"]`` of a policy."""

from __future__ import annotations

from typing import Literal

from vhal.spec import Model


class ContainersMigrationOptions(Model):
    """``MigrationPolicy.options["containers"]``."""

    hold: Literal["auto", "required", "never"] = "auto"
    """Whether the machine's traffic is held at the destination until its sockets are there; without that, its open
    connections may be reset. Auto: where it can be done. Required: where it can't, the machine doesn't move."""
    pre_dump: bool = False
    """Whether memory is to be copied while the machine runs, and only what changed since when it stands still. podman's
    API can't do that yet, nor can every kernel; the preflight says what stands against it."""
