"""What a shell offers after Tab: names of machines and hosts. Silent and quick, whatever is wrong.

Command names and options are click's own business; the script a shell loads is in :mod:`vhal.cli.completion`.
"""

from __future__ import annotations

import contextlib
import io

import click

PATIENCE_S = 1.0
"""A person is waiting with a finger on Tab."""


def machines(context: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return names of machines on the hosts that ``-H`` or the environment mean."""
    with contextlib.suppress(Exception), contextlib.redirect_stderr(io.StringIO()):
        from vhal.cli.context import Session
        from vhal.errors import VhalError
        from vhal.fleet.members.ask import ask

        session = context.find_root().ensure_object(Session)

        def names(place: str) -> list[str]:
            with session.connect(place) as host:
                return [machine.name for machine in host.machines()]

        answers = ask(session.places(), names, PATIENCE_S).values()
        found = {name for answer in answers if not isinstance(answer, VhalError) for name in answer}
        return sorted(name for name in found if name.startswith(incomplete))
    return []


def hosts(context: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the names of the named hosts."""
    with contextlib.suppress(Exception):
        from vhal import config

        return sorted(name for name in config.hosts() if name.startswith(incomplete))
    return []
