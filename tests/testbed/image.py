"""The container image of the test bed: busybox, and `container_counter.c` as `/bin/counter`.

It is a root file system in a tar, for an engine to import: no registry is asked.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .errors import LabError
from .guest import cache_folder, compile_static

__all__ = ["ContainerImage"]

_BUSYBOX = Path("/bin/busybox")
_HERE = Path(__file__).parent
_PROGRAM = _HERE / "container_counter.c"
_SOURCES = (_PROGRAM, _HERE / "image.py")
_FOLDERS = ("bin", "dev", "etc", "proc", "root", "run", "srv", "sys", "tmp", "var")
_FILES = {"etc/passwd": "root:x:0:0:root:/root:/bin/sh\n", "etc/group": "root:x:0:\n"}


class _RootFilesystem:
    """Writes files of root without times, so that the same content gives the same bytes."""

    def __init__(self, archive: tarfile.TarFile) -> None:
        self._archive = archive

    def add_folder(self, name: str) -> None:
        member = tarfile.TarInfo(name)
        member.type = tarfile.DIRTYPE
        member.mode = 0o1777 if name == "tmp" else 0o755
        self._archive.addfile(member)

    def add_file(self, name: str, data: bytes, *, executable: bool = False) -> None:
        member = tarfile.TarInfo(name)
        member.mode = 0o755 if executable else 0o644
        member.size = len(data)
        self._archive.addfile(member, io.BytesIO(data))

    def add_link(self, name: str, target: str) -> None:
        member = tarfile.TarInfo(name)
        member.type = tarfile.SYMTYPE
        member.linkname = target
        self._archive.addfile(member)


def _applets(busybox: Path) -> list[str]:
    try:
        listed = subprocess.run([str(busybox), "--list"], check=True, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.CalledProcessError) as error:
        raise LabError(f"no busybox: {error}; run {_HERE / 'setup.sh'}") from error
    return sorted(set(listed.stdout.split()) - {"busybox"})


def _write(path: Path, busybox: bytes, applets: list[str], program: bytes) -> None:
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        root = _RootFilesystem(archive)
        for folder in _FOLDERS:
            root.add_folder(folder)
        root.add_file("bin/busybox", busybox, executable=True)
        root.add_file("bin/counter", program, executable=True)
        for applet in applets:
            root.add_link(f"bin/{applet}", "busybox")
        for name, text in _FILES.items():
            root.add_file(name, text.encode())


@dataclass(frozen=True)
class ContainerImage:
    """The built image."""

    rootfs_tar: Path
    """An uncompressed tar of about 3 MB, for `podman import`."""

    @classmethod
    def build(cls, cache: Path | None = None) -> ContainerImage:
        """Build the image, or take the one built before from the same busybox and sources.

        Safe against others who build at the same time. Raises `LabError` when a tool is missing.
        """
        cache = cache or cache_folder()
        applets = _applets(_BUSYBOX)
        busybox = _BUSYBOX.read_bytes()
        digest = hashlib.sha256(busybox)
        for source in _SOURCES:
            digest.update(source.read_bytes())
        final = cache / f"container-{digest.hexdigest()[:16]}.tar"
        if not final.exists():
            cache.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix="building-", dir=cache) as scratch:
                draft = Path(scratch) / "rootfs.tar"
                _write(draft, busybox, applets, compile_static(_PROGRAM, Path(scratch)))
                # Who was faster had the same content.
                draft.replace(final)
        return cls(final)
