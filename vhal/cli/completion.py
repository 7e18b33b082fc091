"""``vhal completion``: the script that makes a shell ask vhal after Tab. What it is told is in ``complete``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from vhal.cli.command import verb


@verb("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a shell's completion script.

    For bash, put this into ~/.bashrc: eval "$(vhal completion bash)"
    """
    from vhal.cli.app import app

    made = get_completion_class(shell)
    if made is None:
        raise click.BadParameter(f"{shell!r} is no shell that click knows")
    click.echo(made(app, {}, "vhal", "_VHAL_COMPLETE").source())
