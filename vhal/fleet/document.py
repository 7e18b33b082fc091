"""What is kept in a file and read again, perhaps by another version of vhal: a snapshot, a plan.

The file says which format it is of, and one of another format is refused rather than half understood.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import ValidationError, model_validator
from pydantic_core import PydanticCustomError

from vhal.errors import InvalidSpec, NotFound
from vhal.spec.model import Model, invalid
from vhal.spec.save import save


class Document(Model):
    """Data with a format of its own."""

    made_by: ClassVar[str]
    """Which command writes such a file."""

    format: int
    """Version of the files. Each kind of document has a default, which is the one that is read."""

    @model_validator(mode="before")
    @classmethod
    def _is_of_a_format_that_is_known(cls, data: Any) -> Any:
        known = cls.model_fields["format"].default
        given = _format(data, known)
        if given != known:
            facts = {"given": str(given), "known": str(known)}
            raise PydanticCustomError(
                "format", "it is of format {given}, and this vhal reads {known}: make it anew, or update vhal", facts
            )
        return data

    def text(self) -> str:
        """Return it as it is in a file: JSON, with its format and what isn't as it mostly is."""
        said = self.model_dump(mode="json", exclude_defaults=True)
        return json.dumps({"format": self.format, **said}, ensure_ascii=False) + "\n"

    def save(self, path: str | Path) -> None:
        """Write it to a file, as JSON: all of it or nothing, and only its owner can read it.

        Raises:
            vhal.errors.NotFound: There is no such folder.
            vhal.errors.AccessDenied: It can't be written.
        """
        save(path, self.text())

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Return what is in a file.

        Raises:
            vhal.errors.NotFound: There is no such file.
            vhal.errors.InvalidSpec: It can't be read, is something else, or is of another format.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
        except FileNotFoundError:
            raise NotFound(f"there is no file {path}", hint=f"name a file of '{cls.made_by}'") from None
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidSpec(f"{path} can't be read: {error}", hint=f"name a file of '{cls.made_by}'") from None
        return cls.read(text, str(path))

    @classmethod
    def is_of_another_format(cls, text: str) -> bool:
        """Return whether a text says that another version of vhal wrote it; else it is the text that is wrong."""
        known = cls.model_fields["format"].default
        try:
            return bool(_format(json.loads(text), known) != known)
        except ValueError:
            return False

    @classmethod
    def read(cls, text: str, where: str = "the text") -> Self:
        """Return what is in a text.

        Args:
            text: As :meth:`text` returns it.
            where: What an error calls it.

        Raises:
            vhal.errors.InvalidSpec: It is something else, or is of another format.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            found = invalid(where, error, cls)
            # Nobody writes one by hand: that a name is near to another says nothing.
            found.hint = f"name a file of '{cls.made_by}', or make one anew"
            if '"api"' in text[:64]:
                found.hint = f"that is what --json prints; '{cls.made_by}' writes the file"
            raise found from None


def _format(data: Any, known: Any) -> Any:
    """Return which format data say they are of; one that is known if they don't."""
    return data.get("format", known) if isinstance(data, Mapping) else known
