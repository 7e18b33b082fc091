"""The command line ``vhal``: the SDK's calls as commands, for people (tables) and programs (``--json``).

Here is only the entry point, which imports nothing before it knows that click is there. It is no API: programs in
Python use :func:`vhal.connect`. The table of commands is in :mod:`vhal.cli.app`; every other module is one noun.
"""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line of this process, and exit."""
    try:
        from vhal.cli.app import app
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        sys.stderr.write("error: the command line needs click, which isn't installed\nhint: pip install 'vhal[cli]'\n")
        sys.exit(1)
    sys.exit(app.main(prog_name="vhal"))
