"""``vhal fleet metrics``: a fleet's figures for Prometheus, once or served."""

from __future__ import annotations

import signal
import threading

import click

from vhal.cli.command import pass_session, verb
from vhal.cli.context import Session, Usage
from vhal.cli.fleet import opened, which

LISTEN = "127.0.0.1:9177"


@verb("metrics")
@which
@click.option(
    "--listen",
    metavar="ADDRESS:PORT",
    default=LISTEN,
    show_default=True,
    help="Where to serve them. There is no password: beyond loopback everybody can read them.",
)
@click.option("--once", is_flag=True, help="Print them, and serve nothing.")
@click.option("--machines", is_flag=True, help="Tell of each machine, too.")
@pass_session
def metrics(session: Session, file: str | None, urls: tuple[str, ...], listen: str, once: bool, machines: bool) -> None:
    """Serve the fleet's figures to Prometheus, until interrupted.

    Hosts are looked at whenever somebody reads. Of a host that doesn't answer only that is told. Moves are those of
    plans in this user's journal.
    """
    from vhal.fleet.figures.metrics import FleetMetrics, MoveMetrics, require, served

    require()
    host, port = address(listen)
    from prometheus_client import CollectorRegistry, generate_latest

    from vhal.journal import Journal, default_path

    # One that isn't there yet may come while they are served; to print them once it isn't made.
    journal = None if once and not default_path().exists() else Journal()
    if journal is not None:
        click.get_current_context().call_on_close(journal.close)
    registry = CollectorRegistry()
    MoveMetrics(registry, journal)
    registry.register(FleetMetrics(opened(session, file, urls), machines=machines))
    if once:
        click.echo(generate_latest(registry).decode(), nl=False)
        return
    with served(registry, host, port) as chosen:
        session.note(f"serving http://{told(host)}:{chosen}/metrics")
        _interrupted()


def address(text: str) -> tuple[str, int]:
    """Return where to listen: an address and a port.

    Raises:
        vhal.cli.context.Usage: The text is none.
    """
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise Usage(f"{text!r} is no address to listen on", f"give ADDRESS:PORT, as {LISTEN}")
    return host.removeprefix("[").removesuffix("]"), int(port)


def told(host: str) -> str:
    """Return an address as it is in a URL."""
    return f"[{host}]" if ":" in host else host


def _interrupted() -> None:
    """Wait for Ctrl-C, or to be asked to end."""
    asked = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked.set())
    asked.wait()
