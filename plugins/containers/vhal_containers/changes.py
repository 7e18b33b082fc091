"""Which files a checkpoint of podman's would come back without.

Into a checkpoint podman puts the files that are new, and of those of the image that were changed only such as its host
happens to have too, at the same path. Without the others a machine would go on with files of another time.
Seen in podman 4.3.1.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from vhal_containers.api import ApiError, Libpod
from vhal_containers.api.document import document, documents, number, part, text
from vhal_containers.api.path import path
from vhal_containers.engine import NOT_FOUND, Engine
from vhal_containers.engine_process import EngineProcess

_CHANGED = 0
_SHOWN = 5


def forgotten(engine: Libpod, podman_id: str) -> list[str]:
    """Return the paths of the image's files that a container has changed. It may run, or be frozen."""
    changes = documents(engine.connection.get(path("containers", podman_id, "changes"), {"diffType": "container"}))
    # A folder counts as changed when something in it was; that is told by what is in it.
    folders = {text(change, "Path").rpartition("/")[0] for change in changes}
    touched = [text(change, "Path") for change in changes if number(change, "Kind") == _CHANGED]
    return [name for name in touched if name not in folders and _is_file(engine, podman_id, name)]


@dataclass(frozen=True, slots=True)
class Layers:
    """The folders in which a container's files lie, where they are on this machine.

    An engine that has just frozen a container tidies up after it, and answers nothing about it for a tenth of a second.
    """

    own: Path
    image: tuple[Path, ...]

    @classmethod
    def of(cls, engine: Engine, podman_id: str) -> Layers | None:
        """Return them, or None where they aren't to be seen."""
        process = EngineProcess.behind(engine.address)
        if process is None:
            return None
        found = document(engine.api.connection.get(path("containers", podman_id, "json")))
        driver = part(found, "GraphDriver")
        data = part(driver, "Data")
        own, image = text(data, "UpperDir"), text(data, "LowerDir")
        if text(driver, "Name") != "overlay" or not own.startswith("/") or not image.startswith("/"):
            return None
        layers = cls(
            process.root / own.lstrip("/"), tuple(process.root / layer.lstrip("/") for layer in image.split(":"))
        )
        return layers if all(os.access(folder, os.R_OK | os.X_OK) for folder in (layers.own, *layers.image)) else None

    def forgotten(self) -> list[str]:
        """Return the paths of the image's files that the container has changed.

        Raises:
            OSError: The folders can't be seen any more.
        """
        lost: list[str] = []
        for folder, _, files in os.walk(self.own, onerror=_raise):
            for name in files:
                found = Path(folder, name)
                at = found.relative_to(self.own)
                # A device of this kind stands for a file that was deleted, which a checkpoint does tell.
                if not stat.S_ISCHR(found.lstat().st_mode) and any(os.path.lexists(layer / at) for layer in self.image):
                    lost.append(f"/{at}")
        return sorted(lost)


def _raise(error: OSError) -> None:
    raise error


def shown(names: list[str]) -> str:
    """Return the first few of them for a sentence."""
    return ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")


def _is_file(engine: Libpod, podman_id: str, name: str) -> bool:
    try:
        return not engine.containers.file_facts(podman_id, name).is_folder
    except ApiError as error:
        if error.status == NOT_FOUND:
            return False
        raise
