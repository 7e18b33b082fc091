"""``vhal migrate``: the flags are the fields of :class:`vhal.MigrationPolicy`. How a machine moves is the SDK's."""

from __future__ import annotations

from typing import Any

import click

import vhal
from vhal.cli import complete
from vhal.cli.command import pass_session, verb
from vhal.cli.context import Session
from vhal.cli.output import document, table
from vhal.cli.params import Duration, machine_name, nested, options, timeout
from vhal.cli.progress import follow
from vhal.errors import Unsupported


@verb("migrate")
@machine_name
@click.option("--to", metavar="HOST", required=True, shell_complete=complete.hosts, help="URL or name of the new host.")
@click.option("--live/--cold", default=None, help="While it runs (the default), or stop, move and start.")
@click.option("--dry-run", is_flag=True, help="Say what stands against it, and move nothing; exit code 5 if it can't.")
@click.option("--abort-after", type=Duration(), help="Abort it after this long, to see it undone.")
@timeout
@click.option("--bandwidth", metavar="SIZE", help="At most this much a second: 100MiB.")
@click.option("--max-downtime", "max_downtime_s", type=Duration(), help="How long it may stand still: 300ms.")
@click.option("--auto-converge", is_flag=True, default=None, help="Slow a guest down that writes too fast.")
@click.option("--post-copy", is_flag=True, default=None, help="Switch early and fetch the rest; can lose the machine.")
@click.option("--parallel", type=int, help="Connections that carry memory.")
@click.option("--route", type=click.Choice(["auto", "peer-to-peer", "managed"]), help="Who drives the transfer.")
@click.option("--allow-plaintext", is_flag=True, default=None, help="Send memory unencrypted over the network.")
@click.option("--allow-unsafe", is_flag=True, default=None, help="Go on although a disk could be corrupted.")
@options
@pass_session
def migrate(
    session: Session,
    /,
    name: str,
    to: str,
    dry_run: bool,
    abort_after: float | None,
    timeout: float | None,
    settings: tuple[tuple[str, str, Any], ...],
    **policy: Any,
) -> None:
    """Move a machine to another host.

    Ctrl-C aborts and waits until the machine goes on where it was.
    """
    given = {field: value for field, value in policy.items() if value is not None}
    wanted = vhal.MigrationPolicy(options=nested(settings), **given)
    vm = session.machine(name)
    destination = session.host(to)
    if dry_run:
        _preflight(session, vm, destination, wanted)
        return
    operation = vhal.begin(vm.migrate, destination, wanted, timeout_s=timeout)
    result = follow(session, operation, abort_after)
    if session.json:
        document([result.model_dump(mode="json")])
    else:
        click.echo(str(result))


def _preflight(session: Session, vm: vhal.Machine, to: vhal.Host, policy: vhal.MigrationPolicy) -> None:
    answer = vm.preflight(to, policy)
    if session.json:
        document([{"machine": vm.name, "source": vm.host.name, "destination": to.name, **answer.as_dict()}])
    elif answer:
        click.echo(f"{vm.name} can move from {vm.host.name} to {to.name}")
    else:
        rows = [(blocker.code, blocker.level, blocker.message, blocker.remedy) for blocker in answer.blockers]
        table(["BLOCKER", "OF", "REASON", "REMEDY"], rows)
    if not answer:
        click.get_current_context().exit(Unsupported.exit_code)
