"""An archive in the format which Linux unpacks as its first root file system (cpio, "newc")."""

from __future__ import annotations

import stat

__all__ = ["Initramfs"]

_MAGIC = b"070701"
_TRAILER = "TRAILER!!!"


class Initramfs:
    """Collects files in order and gives the archive.

    All files belong to root and carry no time, so that the same content gives the same bytes.
    A folder must be added before what is in it.
    """

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._files = 0

    def add_folder(self, name: str) -> None:
        """Add a folder."""
        self._add(name, stat.S_IFDIR | 0o755, b"")

    def add_file(self, name: str, data: bytes, *, executable: bool = False) -> None:
        """Add a file with its content."""
        self._add(name, stat.S_IFREG | (0o755 if executable else 0o644), data)

    def add_link(self, name: str, target: str) -> None:
        """Add a symbolic link."""
        self._add(name, stat.S_IFLNK | 0o777, target.encode())

    def add_character_device(self, name: str, major: int, minor: int) -> None:
        """Add a character device, for root only."""
        self._add(name, stat.S_IFCHR | 0o600, b"", device=(major, minor))

    def data(self) -> bytes:
        """Return the archive with everything added so far."""
        trailer = self._member(_TRAILER, 0, 0, b"", (0, 0))
        archive = b"".join(self._parts) + trailer
        # Loaders hand over whole blocks.
        return archive + bytes(-len(archive) % 512)

    def _add(self, name: str, mode: int, data: bytes, *, device: tuple[int, int] = (0, 0)) -> None:
        if not name or name.startswith("/"):
            raise ValueError(f"a name in an archive is relative, not {name!r}")
        self._files += 1
        self._parts.append(self._member(name, self._files, mode, data, device))

    @staticmethod
    def _member(name: str, number: int, mode: int, data: bytes, device: tuple[int, int]) -> bytes:
        path = name.encode() + b"\0"
        links = 2 if stat.S_ISDIR(mode) else 1
        # number, mode, uid, gid, links, mtime, size, two for the device the file is on, two for
        # the device it is, length of the name, checksum
        fields = (number, mode, 0, 0, links, 0, len(data), 0, 0, *device, len(path), 0)
        head = _MAGIC + b"".join(b"%08x" % field for field in fields) + path
        return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)
