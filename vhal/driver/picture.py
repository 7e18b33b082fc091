"""The file that a picture or a page goes to: whether it can be, said before there is anything to draw."""

from __future__ import annotations

from pathlib import Path

from vhal.errors import InvalidSpec, NotFound, Unsupported

KINDS = (".png", ".svg")


def check(path: Path) -> None:
    """Return if a picture can be drawn and its name says how.

    Raises:
        vhal.errors.InvalidSpec: Its name ends neither in .png nor in .svg.
        vhal.errors.NotFound: Its folder isn't there.
        vhal.errors.Unsupported: Matplotlib isn't installed.
    """
    if path.suffix.lower() not in KINDS:
        raise InvalidSpec(f"{path}: a plot is a PNG or an SVG", hint="end its name in .png or .svg")
    check_folder(path)
    from importlib.util import find_spec

    if find_spec("matplotlib") is None:
        raise Unsupported("drawing needs matplotlib, which isn't installed", hint="pip install 'vhal[plot]'")


def check_folder(path: Path) -> None:
    """Return if the folder of a file is there.

    Raises:
        vhal.errors.NotFound: It isn't.
    """
    if not path.absolute().parent.is_dir():
        raise NotFound(f"there is no folder {path.parent}", hint="make it, or write the file elsewhere")
