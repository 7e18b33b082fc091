"""The counter guest: a Linux that boots in seconds, counts, and can be asked for its count.

It is Debian's kernel for clouds with a root file system in memory, which holds the modules a guest
needs, busybox, and `counter.c` as its only program. On the serial line it says `ready`, then
`count 1`, `count 2` and so on, five times a second. On TCP port 7000 it answers each line with
`count N`. The ACPI power button turns it off. It opens the guest agent's channel, if it has one, and
says nothing on it.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .cpio import Initramfs
from .errors import LabError

__all__ = ["PORT", "CounterGuest", "cache_folder", "compile_static", "kernel_cmdline", "module_order"]

PORT = 7000
"""Where the guest answers."""

_KERNEL = "linux-image-cloud-amd64"
_BUSYBOX = "busybox-static"
_MODULES = ("virtio_pci", "virtio_blk", "virtio_net", "virtio_balloon", "virtio_console", "button", "evdev")
_HERE = Path(__file__).parent
_SOURCES = tuple(_HERE / name for name in ("counter.c", "cpio.py", "guest.py"))


def cache_folder() -> Path:
    """Return where built guests are kept for the next time."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "vhal-testbed"


def kernel_cmdline(*, ip: str | None = None, dirty_mib: int = 0, dirty_mib_s: int = 0, extra: str = "") -> str:
    """Return the kernel command line for a counter guest.

    `ip` is an address with its prefix length for the first network card, as in `10.99.0.50/24`.
    The guest writes to `dirty_mib_s` MiB a second of an area of `dirty_mib` MiB, round and round, and
    says `lost a write` where it finds an older content than it wrote. Both must be given for it to
    write at all.
    """
    # A panic ends the guest instead of leaving it there, and the timer check would fail now and
    # then because emulation on a busy machine is late.
    words = ["console=ttyS0", "quiet", "panic=-1", "no_timer_check", "mitigations=off"]
    if ip is not None:
        words.append(f"vhal.ip={ip}")
    if dirty_mib and dirty_mib_s:
        words += [f"vhal.dirty_mib={dirty_mib}", f"vhal.dirty_mib_s={dirty_mib_s}"]
    if extra:
        words.append(extra)
    return " ".join(words)


def module_order(wanted: tuple[str, ...], available: dict[str, bytes]) -> list[str]:
    """Return the modules to load, each one after those it needs.

    `available` has the content of each module by its name. A wanted one that is missing is left
    out: the kernel has it built in.
    """
    order: list[str] = []

    def visit(name: str) -> None:
        if name in order or name not in available:
            return
        found = re.search(rb"\0depends=([^\0]*)\0", available[name])
        for needed in (found[1].decode() if found else "").split(","):
            visit(needed.replace("-", "_"))
        order.append(name)

    for name in wanted:
        visit(name)
    return order


def _run(command: list[str], *, cwd: Path | None = None) -> str:
    try:
        return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True, timeout=600).stdout
    except FileNotFoundError as error:
        raise LabError(f"missing: {command[0]}; run {_HERE / 'setup.sh'}") from error
    except subprocess.CalledProcessError as error:
        raise LabError(f"{' '.join(command)}: {error.stderr.strip()}; run {_HERE / 'setup.sh'}") from error


def _field(stanza: str, name: str, pattern: str) -> str:
    found = re.search(rf"^{name}: .*?{pattern}", stanza, re.M)
    if found is None:
        raise LabError(f"apt does not know enough; run {_HERE / 'setup.sh'}")
    return found[1]


@functools.cache
def _packages() -> tuple[str, str, str]:
    """Return the kernel's package and version, and the version of busybox, as apt has them now."""
    stanzas = {
        _field(stanza, "Package", r"(\S+)"): stanza
        for stanza in _run(["apt-cache", "show", "--no-all-versions", _KERNEL, _BUSYBOX]).strip().split("\n\n")
    }
    # The first one is empty but for what it depends on: the newest kernel, by its full name.
    return (
        _field(stanzas[_KERNEL], "Depends", r"(linux-image-\S+)"),
        _field(stanzas[_KERNEL], "Depends", r"linux-image-\S+ \(= ([^)]+)\)"),
        _field(stanzas[_BUSYBOX], "Version", r"(\S+)"),
    )


def _unpack(package: str, version: str, folder: Path) -> Path:
    """Download a package and return the folder with its files. Nothing is installed."""
    folder.mkdir()
    # Apt's own download user may not write to a private folder.
    _run(
        ["apt-get", "download", "--option=APT::Sandbox::User=root", f"{package}={version}"],
        cwd=folder,
    )
    (archive,) = folder.glob("*.deb")
    _run(["dpkg-deb", "--extract", str(archive), str(folder / "files")])
    return folder / "files"


def compile_static(source: Path, folder: Path) -> bytes:
    """Compile a C program that needs no libraries, by way of `folder`, and return it. Raises `LabError`."""
    program = folder / source.stem
    _run(["gcc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-static", "-s", "-o", str(program), str(source)])
    return program.read_bytes()


def _initramfs(kernel: Path, busybox: bytes, program: bytes) -> bytes:
    modules = {path.stem.replace("-", "_"): path.read_bytes() for path in (kernel / "lib" / "modules").rglob("*.ko")}
    root = Initramfs()
    for name in ("bin", "dev", "modules"):
        root.add_folder(name)
    root.add_character_device("dev/console", 5, 1)
    root.add_file("init", program, executable=True)
    root.add_file("bin/busybox", busybox, executable=True)
    root.add_link("bin/sh", "busybox")
    for number, name in enumerate(module_order(_MODULES, modules)):
        root.add_file(f"modules/{number:02}-{name}.ko", modules[name])
    return root.data()


@dataclass(frozen=True)
class CounterGuest:
    """The built guest: what a host needs to boot it. 128 MiB of memory are enough."""

    kernel: Path
    initrd: Path

    @classmethod
    def build(cls, cache: Path | None = None) -> CounterGuest:
        """Build the guest, or take the one built before from the same packages and sources.

        Safe against others who build at the same time. Raises `LabError` when a tool or a package
        cannot be had.
        """
        cache = cache or cache_folder()
        package, version, busybox_version = _packages()
        digest = hashlib.sha256(f"{package} {version} {busybox_version}".encode())
        for source in _SOURCES:
            digest.update(source.read_bytes())
        final = cache / digest.hexdigest()[:16]
        if not final.is_dir():
            cache.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix="building-", dir=cache) as scratch:
                work = Path(scratch)
                kernel = _unpack(package, version, work / "kernel")
                busybox = _unpack(_BUSYBOX, busybox_version, work / "busybox")
                built = work / "built"
                built.mkdir()
                (image,) = (kernel / "boot").glob("vmlinuz-*")
                shutil.copyfile(image, built / "vmlinuz")
                (built / "initrd").write_bytes(
                    _initramfs(
                        kernel, (busybox / "bin" / "busybox").read_bytes(), compile_static(_HERE / "counter.c", work)
                    )
                )
                try:
                    built.rename(final)
                except OSError:
                    # Someone else was faster, with the same content.
                    if not final.is_dir():
                        raise
        return cls(final / "vmlinuz", final / "initrd")
