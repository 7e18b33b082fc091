"""Writes a file: all of it or nothing, for its owner's eyes only."""

from __future__ import annotations

import os
import stat
import uuid
from pathlib import Path

from vhal.errors import AccessDenied, NotFound


def save(path: str | Path, text: str) -> None:
    """Write a text to a file that only its owner can read.

    Whoever reads it at the same time, and whoever looks after a crash or a power cut, finds the former text or this one
    whole. What is no file, as ``/dev/stdout``, isn't replaced, but written to.

    Raises:
        vhal.errors.NotFound: There is no such folder.
        vhal.errors.AccessDenied: It can't be written.
    """
    path = Path(path)
    whole = Path(os.path.realpath(path))  # a link stays one
    new = whole.with_name(f".{whole.name}.{uuid.uuid4().hex[:8]}")
    try:
        if path.exists() and not stat.S_ISREG(path.stat().st_mode):
            path.write_text(text, encoding="utf-8")
            return
        # With its mode from the beginning: there is no moment at which others can read it.
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(whole)
    except FileNotFoundError:
        raise NotFound(f"there is no folder {whole.parent}", hint="make it, or write elsewhere") from None
    except OSError as error:
        raise AccessDenied(f"{path}: can't be written: {error.strerror}", hint="look at its folder") from None
    finally:
        new.unlink(missing_ok=True)
