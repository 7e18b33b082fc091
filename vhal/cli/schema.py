"""``vhal schema``: the JSON Schema of a spec, for editors and other programs."""

from __future__ import annotations

import json

import click

from vhal.cli.command import verb


@verb("schema")
def schema() -> None:
    """Print the JSON Schema of a machine's spec.

    It is JSON as it is; --json changes nothing.
    """
    from vhal.spec import machine_json_schema

    click.echo(json.dumps(machine_json_schema(), indent=2))
