"""``vhal backends``: what is installed, from metadata alone; with ``--load``, what each says about itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from vhal.cli.command import pass_session, verb
from vhal.cli.context import Session
from vhal.cli.output import document, table
from vhal.errors import VhalError

if TYPE_CHECKING:
    from vhal.installed import Plugin
    from vhal.registry import Registry


@verb("backends")
@click.option("--load", is_flag=True, help="Load each one, and show its summary and examples of its URLs.")
@pass_session
def backends(session: Session, load: bool) -> None:
    """List the installed backends.

    Runs none of their code, unless --load is given.
    """
    registry = session.registry()
    items = [{**_item(plugin), **(_loaded(registry, plugin.name) if load else {})} for plugin in registry.plugins()]
    if session.json:
        document(items)
    elif load:
        table(["NAME", "VERSION", "SUMMARY", "URLS"], [_loaded_row(item) for item in items])
    else:
        table(["NAME", "VERSION", "DISTRIBUTION", "MODULE", "LOCATION"], [_row(item) for item in items])


def _item(plugin: Plugin) -> dict[str, Any]:
    return {
        "name": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "module": plugin.module,
        "location": plugin.location,
    }


def _loaded(registry: Registry, name: str) -> dict[str, Any]:
    try:
        backend = registry.backend(name)
    except VhalError as error:
        return {"summary": None, "spi": None, "examples": [], "schemes": [], "error": error.as_dict()}
    return {
        "summary": backend.summary,
        "spi": list(backend.spi),
        "examples": list(backend.examples),
        "schemes": [name if transport is None else f"{name}+{transport}" for transport in backend.transports],
        "error": None,
    }


def _row(item: dict[str, Any]) -> tuple[str, ...]:
    return item["name"], item["version"], item["distribution"], item["module"], item["location"]


def _loaded_row(item: dict[str, Any]) -> tuple[str, ...]:
    summary = item["summary"] or f"can't be loaded: {item['error']['message']}"
    return item["name"], item["version"], summary, " ".join(item["examples"])
