"""What every command is made of: the options that may stand anywhere, and groups that import late.

No command is defined here; the table of them is in :mod:`vhal.cli.app`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast

import click
from click.shell_completion import CompletionItem

from vhal.cli import complete
from vhal.cli.context import Session

pass_session = click.make_pass_decorator(Session, ensure=True)


class Entry(NamedTuple):
    """A command that isn't imported yet."""

    target: str
    """``module:attribute``."""
    help: str
    """The first line of its help."""


def _remember(context: click.Context, param: click.Parameter, value: Any) -> None:
    session = context.find_root().ensure_object(Session)
    if param.multiple:
        value = (*getattr(session, str(param.name)), *value)
    if value:
        setattr(session, str(param.name), value)


def shared() -> list[click.Parameter]:
    """Return the options that may stand before and after the command: ``vhal --json list``, ``vhal list --json``."""

    def option(*names: str, **settings: Any) -> click.Parameter:
        return click.Option(names, expose_value=False, callback=_remember, **settings)

    return [
        option(
            "-H",
            "--host",
            "where",
            metavar="HOST",
            shell_complete=complete.hosts,
            help="URL or name of the host; else VHAL_HOST, else what the named hosts say.",
        ),
        option("--json", "json", is_flag=True, help="Print one JSON document."),
        option("-q", "--quiet", "quiet", is_flag=True, help="Print data and errors only."),
        option("--no-plugin", "no_plugin", metavar="NAME", multiple=True, help="Leave out a plugin; repeatable."),
    ]


class Command(click.Command):
    """A command that takes the shared options."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.params += shared()


class LazyGroup(click.Group):
    """A group that takes the shared options, and imports a command when it is wanted.

    Args:
        sections: Heading in the help → name → entry.
    """

    def __init__(self, *args: Any, sections: Mapping[str, Mapping[str, Entry]], **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.params += shared()
        self.sections = sections
        self.entries = {name: entry for entries in sections.values() for name, entry in entries.items()}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = self.entries.get(cmd_name)
        if entry is None:
            return None
        module, _, attribute = entry.target.partition(":")
        return cast(click.Command, getattr(importlib.import_module(module), attribute))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, entries in self.headed(ctx).items():
            with formatter.section(title):
                formatter.write_dl([(name, entry.help) for name, entry in entries.items()])

    def headed(self, ctx: click.Context) -> Mapping[str, Mapping[str, Entry]]:
        """Return what the help shows: heading → name → entry."""
        return self.sections

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        names = [
            CompletionItem(name, help=entry.help)
            for entries in self.headed(ctx).values()
            for name, entry in entries.items()
            if name.startswith(incomplete)
        ]
        # Past Group's own, which would import every command to ask for its help.
        return names + click.Command.shell_complete(self, ctx, incomplete)


def verb(name: str, **settings: Any) -> Callable[[Callable[..., None]], Command]:
    """Make a command of a function."""
    return click.command(name, cls=Command, **settings)
