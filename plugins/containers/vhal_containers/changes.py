"""Which files a checkpoint of podman's would come back without.

Into a checkpoint podman puts the files that are new, and of those of the image that were changed only such as its host
happens to have too, at the same path. Without the others a machine would go on with files of another time.
Seen in podman 4.3.1.
"""

from __future__ import annotations

from vhal_containers.api import ApiError, Libpod
from vhal_containers.api.document import documents, number, text
from vhal_containers.api.path import path
from vhal_containers.engine import NOT_FOUND

_CHANGED = 0
_SHOWN = 5


def forgotten(engine: Libpod, podman_id: str) -> list[str]:
    """Return the paths of the image's files that a container has changed. It may run, or be frozen."""
    changes = documents(engine.connection.get(path("containers", podman_id, "changes"), {"diffType": "container"}))
    # A folder counts as changed when something in it was; that is told by what is in it.
    folders = {text(change, "Path").rpartition("/")[0] for change in changes}
    touched = [text(change, "Path") for change in changes if number(change, "Kind") == _CHANGED]
    return [name for name in touched if name not in folders and _is_file(engine, podman_id, name)]


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
