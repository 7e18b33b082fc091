"""Runs the command line in this process, where the simulated world is."""

from __future__ import annotations

import json
from typing import Any

from click.testing import CliRunner, Result

from vhal.cli.app import app


class Cli:
    """``cli("list", "--json")``: runs it, and checks the exit code."""

    def __call__(self, *words: str, code: int = 0, input: str | bytes | None = None) -> Result:
        result = CliRunner().invoke(app, words, prog_name="vhal", input=input)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, f"exit code {result.exit_code}: {result.stdout}{result.stderr}"
        return result

    def items(self, *words: str, code: int = 0) -> list[dict[str, Any]]:
        """Run it with ``--json`` and return the document's items."""
        document = json.loads(self(*words, "--json", code=code).stdout)
        assert set(document) == {"api", "items"}
        assert document["api"] == "vhal/v1"
        return list(document["items"])

    def error(self, *words: str, code: int) -> dict[str, Any]:
        """Run it with ``--json`` and return the one error."""
        result = self(*words, "--json", code=code)
        assert result.stdout == ""
        return dict(json.loads(result.stderr))

    def complete(self, *words: str) -> list[str]:
        """Return what a shell offers after these words, the last of which isn't finished."""
        env = {"_VHAL_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
        result = CliRunner(env=env).invoke(app, [], prog_name="vhal")
        assert result.stderr == ""
        return [line.removeprefix("plain,") for line in result.stdout.splitlines() if line]
