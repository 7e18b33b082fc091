"""A machine's image on its way from engine to engine, as a stream, under the same id."""

from __future__ import annotations

import contextlib
import logging

from vhal.errors import MigrationFailed
from vhal_containers.api import ApiError, Libpod
from vhal_containers.engine import NOT_FOUND
from vhal_containers.identity import PREFIX
from vhal_containers.migration.pace import Pace

log = logging.getLogger("vhal.containers.migration")

FILES_OF = f"{PREFIX}files-of"
"""Label of an image that holds one machine's own files: the machine's id. It was made to move them."""


def ship(source: Libpod, destination: Libpod, image: str, pace: Pace) -> None:
    """Have the destination have an image. Does nothing if it does.

    It comes along with its name, unless the destination has another image of that name, which then keeps it.

    Raises:
        vhal.errors.MigrationFailed: What arrived is another image.
        vhal_containers.api.ApiError: An engine couldn't give or take it.
    """
    if destination.images.exists(image):
        return
    found = source.images.inspect(image)
    free = (name for name in found.names if not destination.images.exists(name))
    pace.expect(found.size)
    with source.images.save(next(free, image)) as archive:
        destination.images.load(pace.through(archive, "image"))
    if not destination.images.exists(image):
        raise MigrationFailed(
            f"the image {image[:12]} became another one on its way",
            hint="pull it on the destination from where the source has it",
            backend="containers",
        )


def remove(engine: Libpod, image: str) -> None:
    """Delete an image, unless something uses it. Does nothing if there is none."""
    with contextlib.suppress(ApiError):
        engine.images.remove(image)


def remove_files_of(engine: Libpod, machine: str) -> None:
    """Delete the images that were made to move a machine's files, unless a container uses them.

    What can't be deleted is waste, and no reason to leave the machine itself half moved.
    """
    try:
        for image in engine.images.list(filters={"label": [f"{FILES_OF}={machine}"]}):
            remove(engine, image.id)
    except ApiError as error:
        log.warning("images of machine %s may be left: %s", machine, error)


def absent(engine: Libpod, image: str) -> bool:
    """Return whether an engine has no such image.

    Raises:
        vhal_containers.api.ApiError: It can't say.
    """
    try:
        engine.images.inspect(image)
    except ApiError as error:
        if error.status == NOT_FOUND:
            return True
        raise
    return False
