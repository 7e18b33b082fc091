"""Commands that plugins bring: found like backends, listed without being imported, and isolated when they are broken.

What such a command gets is :class:`vhal.driver.command.Shell`; here is only how it is found.
"""

from __future__ import annotations

import os

import click

from vhal.cli.command import Entry, shared
from vhal.cli.context import Session
from vhal.errors import PluginError, VhalError
from vhal.installed import Plugin, allowed, imported, installed

GROUP = "vhal.commands"
"""The entry-point group: the entry's name is the command's, and it names a click command or group."""


def entries(context: click.Context) -> dict[str, Entry]:
    """Return the commands that plugins bring, without running any of their code."""
    return {name: Entry(claims[0].module, f"Comes with {claims[0].distribution}.") for name, claims in _found(context)}


def load(context: click.Context, name: str) -> click.Command | None:
    """Return a plugin's command, with the shared options; None if there is none of that name.

    Raises:
        vhal.errors.PluginError: It can't be loaded, or two plugins claim it.
    """
    claims = dict(_found(context)).get(name)
    if claims is None:
        return None
    if len(claims) > 1:
        who = " and ".join(sorted(f"{claim.distribution} {claim.version}" for claim in claims))
        raise PluginError(f"command {name!r} is claimed by {who}", hint="uninstall one")
    origin = claims[0]
    try:
        command = imported(origin)
    except (Exception, SystemExit) as error:
        if os.environ.get("VHAL_STRICT_PLUGINS") or isinstance(error, VhalError):
            raise
        raise PluginError(
            f"command {name!r} of {origin} can't be loaded: {type(error).__name__}: {error}",
            hint="reinstall or remove that distribution; VHAL_STRICT_PLUGINS=1 shows where it fails",
            native=error,
        ) from error
    if not isinstance(command, click.Command):
        raise PluginError(
            f"command {name!r} of {origin} is a {type(command).__name__}, not a click command",
            hint="this is a defect of the plugin; report it",
        )
    _share(command)
    return command


def _found(context: click.Context) -> list[tuple[str, list[Plugin]]]:
    session = context.find_root().ensure_object(Session)
    permitted = allowed()
    return [
        (name, claims)
        for name, claims in sorted(installed(GROUP).items())
        if name not in session.no_plugin and (permitted is None or name in permitted)
    ]


def _share(command: click.Command) -> None:
    """Let the shared options stand behind the command, too. Idempotent."""
    own = {name for param in command.params for name in param.opts}
    command.params += [param for param in shared() if not own & set(param.opts)]
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            _share(inner)
