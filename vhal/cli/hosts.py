"""``vhal hosts`` and ``vhal host show``: what hosts there are, how full they are, what they can do."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

import vhal
from vhal import config
from vhal.cli import complete
from vhal.cli.command import pass_session, verb
from vhal.cli.context import Session
from vhal.cli.output import details, document, table
from vhal.driver.answer import Answer
from vhal.driver.capability import CAPABILITIES
from vhal.errors import VhalError
from vhal.fleet.members.ask import ask

if TYPE_CHECKING:
    from vhal.spec.host import HostInfo


def item(name: str, url: str, answer: HostInfo | VhalError) -> dict[str, Any]:
    """Return a host as it is printed for programs: ``info`` or ``error`` is null."""
    dead = isinstance(answer, VhalError)
    return {
        "name": name,
        "url": url,
        "ok": not dead,
        "info": None if isinstance(answer, VhalError) else answer.model_dump(mode="json"),
        "error": answer.as_dict() if isinstance(answer, VhalError) else None,
    }


@verb("hosts")
@pass_session
def hosts(session: Session) -> None:
    """List the named hosts and how full they are.

    With -H or VHAL_HOST, that one host. A host that doesn't answer is shown with the reason; that is no failure.
    """

    def look(place: str) -> HostInfo:
        with session.connect(place) as host:
            return host.info()

    urls = config.hosts()
    chosen = session.where or os.environ.get("VHAL_HOST")
    answers = ask([chosen] if chosen else sorted(urls), look)
    if session.json:
        document(item(name, urls.get(name, name), answer) for name, answer in answers.items())
        return
    if not answers:
        session.note(f"no host has a name; name some in {config.paths()[0]}")
    table(
        ["NAME", "URL", "STATUS", "CPUS", "MEMORY", "PROBLEM"],
        [_row(name, urls.get(name, name), answer) for name, answer in answers.items()],
    )


def _row(name: str, url: str, answer: HostInfo | VhalError) -> tuple[object, ...]:
    if isinstance(answer, VhalError):
        return name, url, "unreachable" if answer.exit_code == 6 else "problem", "", "", str(answer)
    used, all_ = answer.allocated, answer.capacity
    return name, url, "ok", f"{used.cpus}/{all_.cpus}", f"{used.memory}/{all_.memory}", ""


@verb("show")
@click.argument("name", metavar="[HOST]", required=False, shell_complete=complete.hosts)
@pass_session
def show(session: Session, name: str | None) -> None:
    """Show one host, and what it can do."""
    host = session.host(name)
    info = host.info()
    answers = {key.id: host.can(key) for key in CAPABILITIES.values()}
    if session.json:
        can = {key: answer.as_dict() for key, answer in answers.items()}
        document([{**item(host.name, host.url, info), "capabilities": can}])
        return
    _describe(host, info)
    click.echo()
    table(
        ["CAPABILITY", "HERE", "NOTE"],
        [(key, "yes" if answer else "no", _why(answer)) for key, answer in answers.items()],
    )


def _describe(host: vhal.Host, info: HostInfo) -> None:
    cpus = info.cpus
    details(
        [
            ("name", info.name),
            ("url", host.url),
            ("uuid", info.uuid),
            ("backend", info.backend),
            ("versions", ", ".join(f"{part} {version}" for part, version in sorted(info.versions.items()))),
            ("cpus", f"{cpus.count} ({cpus.sockets} × {cpus.cores} × {cpus.threads}) {cpus.arch} {cpus.model or ''}"),
            ("cpus given", f"{info.allocated.cpus} of {info.capacity.cpus}, {info.free.cpus} free"),
            ("memory", info.memory),
            ("memory given", f"{info.allocated.memory} of {info.capacity.memory}, {info.free.memory} free"),
            ("numa nodes", len(info.numa) or None),
            ("gpus", ", ".join(f"{gpu.vendor} {gpu.model} {gpu.memory}" for gpu in info.gpus)),
        ]
    )


def _why(answer: Answer) -> str:
    return answer.note or "; ".join(f"{blocker.message}: {blocker.remedy}" for blocker in answer.blockers)
