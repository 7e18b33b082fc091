"""The project that a plugin's author begins with: files of a backend that works, with a name put in.

``project/`` has the files, each with ``.in`` behind its name; ``@name@``, ``@module@``, ``@class@``, ``@vhal@`` and
``@spi@`` are put in. The command is :mod:`vhal.cli.new_backend`; what the calls of the driver have to do is in
:mod:`vhal.driver`.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath

import vhal
from vhal.driver.version import SPI
from vhal.errors import AccessDenied, AlreadyExists, InvalidSpec, NotFound
from vhal.installed import installed
from vhal.registry import GROUP, INSTALL_HINTS

NAME = re.compile(r"(?=.{1,32}$)[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
"""A scheme of URLs that is also part of a distribution's name."""


def write(name: str, folder: Path) -> list[str]:
    """Write the project of a backend called ``name``; return the paths of its files below ``folder``, sorted.

    All or nothing: the project is made beside ``folder``, and moved there when it is whole.

    Args:
        name: Scheme of the backend's URLs.
        folder: The project's, which must be empty or not be there.

    Raises:
        vhal.errors.InvalidSpec: ``name`` can't be a backend's.
        vhal.errors.AlreadyExists: A backend of that name is known or installed, or the folder has something in it.
        vhal.errors.NotFound: There is no folder to put the project in.
        vhal.errors.AccessDenied: It can't be written there.
    """
    _check_name(name)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise AlreadyExists(f"{folder} is there and isn't an empty folder", hint="choose another with --path")
    made = rendered(name)
    folder = folder.absolute()
    try:
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            for path, text in made.items():
                file = draft / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
            folder.mkdir(exist_ok=True)
            for entry in draft.iterdir():  # not the folder itself: it may be where the user's shell is
                entry.rename(folder / entry.name)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"there is no folder {folder.parent}", hint="make it, or write elsewhere") from None
    except OSError as error:
        raise AccessDenied(
            f"{folder}: can't be written: {error.strerror}", hint="look at the folder above it"
        ) from None
    return sorted(made)


def rendered(name: str) -> dict[str, str]:
    """Return the project's files: path → text."""
    module = name.replace("-", "_")
    major, minor = (int(part) for part in vhal.__version__.split(".")[:2])
    # Before 1.0 a minor version may change what a plugin sees; afterwards only a major one.
    above = f"{major + 1}" if major else f"{major}.{minor + 1}"
    values = {
        "name": name,
        "module": f"vhal_{module}",
        "class": "".join(part.capitalize() for part in name.split("-")),
        "vhal": f"vhal>={major}.{minor},<{above}",
        "spi": ", ".join(map(str, SPI)),
    }
    found = {}
    for path, text in _templates(files(__name__) / "project", PurePosixPath()):
        target = str(path).removesuffix(".in").replace("package/", f"vhal_{module}/")
        found[target] = re.sub("@([a-z]+)@", lambda match: values[match[1]], text)
    return found


def _templates(folder: Traversable, path: PurePosixPath) -> Iterator[tuple[PurePosixPath, str]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _templates(entry, path / entry.name)
        elif entry.name.endswith(".in"):
            yield path / entry.name, entry.read_text(encoding="utf-8")


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise InvalidSpec(
            f"{name!r} can't be a backend's name",
            problems=[("name", f"must match {NAME.pattern}")],
            hint="1 to 32 of a-z, 0-9 and '-', first a letter, as in 'cloud-hypervisor'",
        )
    claims = installed(GROUP).get(name)
    if claims or name in INSTALL_HINTS:
        whose = f"of {claims[0]}" if claims else "of vhal's own"
        raise AlreadyExists(f"there is a backend {name!r} {whose}", hint="choose another name", backend=name)
