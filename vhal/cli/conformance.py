"""``vhal conformance``: the suite that proves a backend, on a host, without a file of tests.

The suite is :mod:`vhal.testing.suite`; pytest runs it in a process of its own, without the settings of the project
that it happens to be started in.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import click

from vhal.cli import complete
from vhal.cli.command import pass_session, verb
from vhal.cli.context import Session
from vhal.cli.output import clean, document
from vhal.cli.params import Duration
from vhal.errors import NotFound, PluginError, VhalError

LAYERS = ("examples", "refusals", "stateful", "faults", "migration", "concurrency", "liveness", "roundtrip")
QUIRKS = ("deaf", "no-agent")

_CODES = {0: 0, 2: 130, 4: 2}
"""pytest's exit codes as ours, where they aren't a failure: passed, interrupted, wrongly called (pytest.ExitCode)."""


@verb("conformance")
@click.argument("url", metavar="URL", shell_complete=complete.hosts)
@click.option("--peer", metavar="URL", help="Another host, that machines can move to.")
@click.option("--spec", metavar="FILE", help="The smallest machine that starts; else the backend's own sample.")
@click.option("--layer", "layers", type=click.Choice(LAYERS), multiple=True, help="Run this layer only; repeatable.")
@click.option("--require", metavar="CAP[,CAP]", help="Capabilities or rows that must be there: a skip fails.")
@click.option("--strict", is_flag=True, help="Let rows that are only recommended fail the run.")
@click.option(
    "--quirk",
    "quirks",
    type=click.Choice(QUIRKS),
    multiple=True,
    help="The guest doesn't stop when asked (deaf), or doesn't tell that it is ready (no-agent); repeatable.",
)
@click.option("--timeout", type=Duration(), help="How long a test may take: 2m.")
@click.option("--report", metavar="FILE", help="Write what was found to a JSON file.")
@click.option("--reap", is_flag=True, help="Run nothing: remove machines that runs have left on the hosts.")
@pass_session
def conformance(
    session: Session,
    url: str,
    peer: str | None,
    spec: str | None,
    layers: tuple[str, ...],
    require: str | None,
    strict: bool,
    quirks: tuple[str, ...],
    timeout: float | None,
    report: str | None,
    reap: bool,
) -> None:
    """Prove that a backend keeps the contract, on the host URL.

    It makes machines of its own there, and touches no others. Exit code 0 if every required row holds.
    """
    if reap:
        removed = _reaped(session, url, peer)
        document(removed) if session.json else _tell(removed)
        return
    missing = [name for name in ("pytest", "hypothesis") if find_spec(name) is None]
    if missing:
        raise PluginError(
            f"the conformance kit needs {' and '.join(missing)}",
            hint="pip install 'vhal[testing]'",
        )
    options = [f"--vhal-backend={url}"]
    options += [f"--vhal-{name}={value}" for name, value in (("peer", peer), ("require", require)) if value]
    options += [f"--vhal-spec={Path(spec).absolute()}"] if spec else []
    options += [f"--vhal-layer={layer}" for layer in layers] + [f"--vhal-quirk={quirk}" for quirk in quirks]
    options += ["--vhal-strict"] if strict else []
    options += [f"--vhal-timeout={timeout}"] if timeout else []
    with tempfile.TemporaryDirectory(prefix="vhal-conformance-") as folder:
        file = Path(report or Path(folder, "report.json")).absolute()
        code = _pytest([*options, f"--vhal-report={file}"], folder, quiet=session.silent)
        if session.json:
            document([json.loads(file.read_text())] if file.exists() else [])
    click.get_current_context().exit(code)


def _pytest(options: list[str], folder: str, quiet: bool) -> int:
    """Run the suite; return our exit code. What people read goes to stderr if stdout is for programs."""
    # What Hypothesis keeps between runs goes where it is removed, not where this happens to be started.
    environment = {"HYPOTHESIS_STORAGE_DIRECTORY": folder, **os.environ}
    # -P, -c: neither a module nor a setting is taken from where this happens to be started.
    command = [sys.executable, "-P", "-m", "pytest", "-c/dev/null", f"--rootdir={Path.cwd()}", "-pno:cacheprovider"]
    command += ["--pyargs", "vhal.testing.run", "-rfE", "--tb=short", *(["-q"] if quiet else []), *options]
    ended = subprocess.run(command, stdout=sys.stderr if quiet else None, env=environment, check=False).returncode
    return _CODES.get(ended, VhalError.exit_code)


def _reaped(session: Session, *urls: str | None) -> list[dict[str, str]]:
    """Remove the machines that runs have left; return them."""
    from vhal.testing.harness import KIT_NAME

    removed = []
    for url in filter(None, urls):
        for machine in session.host(url).machines():
            if KIT_NAME.fullmatch(machine.name):
                try:
                    machine.delete(force=True)
                except NotFound:
                    continue
                removed.append({"host": url, "machine": machine.name})
    return removed


def _tell(removed: list[dict[str, str]]) -> None:
    for one in removed:
        click.echo(clean(f"{one['machine']} is removed from {one['host']}"))
    if not removed:
        click.echo("there is nothing that a run has left", err=True)
