"""Where the lab that was put up by hand is remembered."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from .errors import LabError

__all__ = ["StateFile"]


def _default() -> Path:
    return Path(os.environ.get("XDG_RUNTIME_DIR") or "/run") / "vhal-testbed.json"


@dataclass(frozen=True)
class StateFile:
    """A file with the folder of the one lab which stays up by itself."""

    path: Path

    @classmethod
    def default(cls) -> StateFile:
        """The one for this user."""
        return cls(_default())

    def read(self) -> Path | None:
        """Return the lab's folder, or `None` when none is remembered.

        Raises `LabError` when the file is not one of ours.
        """
        try:
            folder = json.loads(self.path.read_text())["folder"]
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise LabError(f"{self.path} is not a test bed's state: remove it") from error
        return Path(folder)

    def write(self, folder: Path) -> None:
        """Remember a lab's folder. Raises `LabError` when one is remembered already."""
        draft = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        draft.write_text(json.dumps({"folder": str(folder)}) + "\n")
        try:
            # Unlike a rename, a link does not replace what another `up` has just written, and
            # unlike a file written in place it is never seen half full.
            os.link(draft, self.path)
        except FileExistsError as error:
            raise LabError(f"a lab is up already, says {self.path}") from error
        finally:
            draft.unlink()

    def remove(self) -> None:
        """Forget the lab."""
        self.path.unlink(missing_ok=True)
