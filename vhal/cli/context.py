"""What one run of the command line knows: which host is meant, how to print, which backends to leave out.

It finds hosts and machines by what the user said; what is done with them is in the commands' modules.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from vhal.errors import HostUnreachable, NotFound, VhalError

if TYPE_CHECKING:
    from pathlib import Path

    from vhal.driver.page import Page
    from vhal.host import Host
    from vhal.machine import Machine
    from vhal.registry import Registry


class Usage(click.UsageError):
    """The command line doesn't say enough, or says too much."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class Session:
    """The shared options of one run, and what follows from them."""

    def __init__(self) -> None:
        self.where: str | None = None
        """What ``-H`` said."""
        self.json = False
        self.quiet = False
        self.no_plugin: tuple[str, ...] = ()

    @property
    def silent(self) -> bool:
        """Whether to print nothing but data and errors: programs read stderr too."""
        return self.quiet or self.json

    def registry(self) -> Registry:
        """Return the registry without what ``--no-plugin`` leaves out."""
        from vhal.registry import registry

        for name in self.no_plugin:
            registry.block(name)
        return registry

    def connect(self, where: str) -> Host:
        """Open a host. The caller closes it, or hands it to :meth:`keep`. Safe from any thread."""
        import vhal

        self.hush()
        self.registry()
        return vhal.connect(where)

    def hush(self) -> None:
        """Let the SDK's warnings be heard by nobody who wants to hear nothing.

        Python prints them on stderr, between what a program reads there.
        """
        import logging

        if self.silent:
            logging.getLogger("vhal").addHandler(logging.NullHandler())

    def keep(self, host: Host) -> Host:
        """Close ``host`` when the command has ended."""
        click.get_current_context().call_on_close(host.close)
        return host

    def host(self, where: str | None = None) -> Host:
        """Return the one host that is meant: ``where``, else ``-H``, ``VHAL_HOST``, the default."""
        from vhal.config import default_host

        chosen = where if where is not None else self.where or default_host()
        if not chosen:
            raise _no_host()
        return self.keep(self.connect(chosen))

    def places(self) -> list[str]:
        """Return the hosts to look at: the one of ``-H`` or ``VHAL_HOST``, else the named ones, else the default."""
        import os

        from vhal.config import default_host, hosts

        chosen = self.where or os.environ.get("VHAL_HOST")
        if chosen:
            return [chosen]
        named = sorted(hosts())
        if named:
            return named
        default = default_host()
        if default is None:
            raise _no_host()
        return [default]

    def machine(self, name: str) -> Machine:
        """Return the machine called ``name``, wherever it is."""
        places = self.places()
        if len(places) == 1:
            return self.keep(self.connect(places[0])).machine(name)

        def locate(place: str) -> Machine | None:
            host = self.connect(place)
            try:
                return host.machine(name)
            except NotFound:
                host.close()
                return None

        from vhal.fleet.members.ask import ask

        answers = ask(places, locate).values()
        dead = [answer for answer in answers if isinstance(answer, VhalError)]
        found: dict[tuple[str, str], Machine] = {}
        for answer in answers:
            if answer is not None and not isinstance(answer, VhalError):
                self.keep(answer.host)
                found.setdefault((answer.host.uuid, answer.id), answer)
        return self._only(name, list(found.values()), places, dead)

    def _only(self, name: str, found: list[Machine], places: list[str], dead: list[VhalError]) -> Machine:
        if len(found) > 1:
            on = ", ".join(machine.host.name for machine in found)
            raise Usage(f"several hosts have a machine {name!r}: {on}", f"say which: -H {found[0].host.name}")
        if not found and dead:
            raise HostUnreachable(
                f"machine {name!r} isn't on the hosts that answer; {'; '.join(error.message for error in dead)}",
                hint="'vhal hosts' shows what is wrong with each",
                machine=name,
            )
        if not found:
            raise NotFound(
                f"there is no machine {name!r} on {', '.join(places)}", hint="'vhal list' lists them", machine=name
            )
        self.warn(dead)
        return found[0]

    # what plugins' commands print with: vhal.driver.command

    def document(self, items: Iterable[Any]) -> None:
        """Print the one JSON document of a command."""
        from vhal.cli.output import document

        document(items)

    def table(self, headers: Sequence[str], rows: Iterable[Sequence[object]], right: Collection[str] = ()) -> None:
        """Print rows under headers."""
        from vhal.cli.output import table

        table(headers, rows, right)

    def page(self, page: Page, path: Path) -> None:
        """Write a page to a file."""
        from vhal.errors import AccessDenied
        from vhal.fleet.show.html import render

        try:
            path.write_text(render(page), encoding="utf-8")
        except OSError as error:
            raise AccessDenied(f"{path}: can't be written: {error.strerror}", hint="look at its folder") from error

    def say(self, text: str) -> None:
        """Print a line of data."""
        from vhal.cli.output import clean

        click.echo(clean(text))

    def note(self, text: str) -> None:
        """Tell people on stderr what happened, unless they want to hear nothing."""
        if not self.silent:
            from vhal.cli.output import clean

            click.echo(clean(text), err=True)

    def warn(self, errors: list[VhalError]) -> None:
        """Tell people what didn't work while the rest did."""
        for error in errors:
            self.note(f"warning: {error}")


def _no_host() -> Usage:
    from vhal.config import paths

    return Usage("no host is given", f"give -H URL, set VHAL_HOST, or name hosts in {paths()[0]}")
