"""What a plugin's command gets from the command line: the shared options, hosts, and how things are printed.

A plugin brings commands by an entry point in the group ``vhal.commands``: the entry's name is the command's, and it
names a click command or group. This is its ``ctx.obj`` (``@click.pass_obj``); the options ``-H``, ``--json``, ``-q``
and ``--no-plugin`` are added to it. Backends, another kind of plugin, are :mod:`vhal.driver.backend`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from vhal.driver.page import Page
    from vhal.host import Host


class Shell(Protocol):
    """The command line, as a plugin's command sees it."""

    @property
    def json(self) -> bool:
        """Whether a program reads: print one document and nothing else."""

    def connect(self, where: str) -> Host:
        """Open a host; whoever calls closes it. What ``--no-plugin`` leaves out is left out."""

    def document(self, items: Iterable[Any]) -> None:
        """Print the one JSON document of a command: ``{"api": …, "items": […]}``."""

    def table(self, headers: Sequence[str], rows: Iterable[Sequence[object]], right: Collection[str] = ()) -> None:
        """Print rows under headers, without control characters; columns whose header is in ``right`` end evenly."""

    def say(self, text: str) -> None:
        """Print a line of data for people, without control characters."""

    def note(self, text: str) -> None:
        """Tell people on stderr what happened, unless they want to hear nothing."""

    def page(self, page: Page, path: Path) -> None:
        """Write a page for people to a file, as HTML. Whether its folder is there is asked before, by the caller.

        Raises:
            vhal.errors.AccessDenied: It can't be written.
        """
