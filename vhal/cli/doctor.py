"""``vhal doctor``: what each backend finds on this machine, and what to do where something is missing.

What a particular host can do is another question: ``vhal host show`` answers it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from vhal.cli.command import pass_session, verb
from vhal.cli.context import Session
from vhal.cli.output import clean, document
from vhal.errors import PluginError, VhalError

if TYPE_CHECKING:
    from vhal.driver.backend import Finding
    from vhal.registry import Registry


@verb("doctor")
@click.argument("names", metavar="[BACKEND]...", nargs=-1)
@pass_session
def doctor(session: Session, names: tuple[str, ...]) -> None:
    """Check what each backend can do here, and what to do about it.

    Exit code 0 if every named backend is all right, or, when none is named, at least one of the installed; else 6.
    """
    registry = session.registry()
    chosen = names or dict.fromkeys(plugin.name for plugin in registry.plugins())
    checked = {name: check(registry, name) for name in chosen}
    fine = {name: all(finding.ok for finding in findings) for name, (findings, _) in checked.items()}
    if session.json:
        document(_item(name, fine[name], *found) for name, found in checked.items())
    else:
        for name, (findings, _) in checked.items():
            _print(name, findings)
    if not (all(fine.values()) if names else any(fine.values())):
        click.get_current_context().exit(PluginError.exit_code)


def check(registry: Registry, name: str) -> tuple[list[Finding], VhalError | None]:
    """Return what one backend finds, or that it can't be loaded and the error."""
    from vhal.driver.backend import Finding

    try:
        backend = registry.backend(name)
    except VhalError as error:
        return [Finding(False, "plugin", error.message, error.hint or "")], error
    try:
        return backend.doctor(), None
    except Exception as error:  # noqa: BLE001 - a backend's defect is a finding too, and the others are still checked
        reason = f"its doctor failed: {type(error).__name__}: {error}"
        return [Finding(False, "plugin", reason, "report it to whoever made the backend")], None


def _item(name: str, fine: bool, findings: list[Finding], error: VhalError | None) -> dict[str, Any]:
    return {
        "backend": name,
        "ok": fine,
        "findings": [finding.as_dict() for finding in findings],
        "error": error.as_dict() if error else None,
    }


def _print(name: str, findings: list[Finding]) -> None:
    click.echo(name)
    for finding in findings:
        click.echo(f"  {'ok     ' if finding.ok else 'problem'}  {clean(f'{finding.subject}: {finding.message}')}")
        if finding.remedy and not finding.ok:
            click.echo(f"           → {clean(finding.remedy)}")
