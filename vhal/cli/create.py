"""``vhal create``: a spec from a file, from flags, or from a file with flags on top.

What the fields mean is in :mod:`vhal.spec`; here they are only gathered.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import click

import vhal
from vhal.cli.command import pass_session, verb
from vhal.cli.context import Session, Usage
from vhal.cli.machine import tell
from vhal.cli.params import Fields, Pair, nested, options, timeout
from vhal.cli.power import limit
from vhal.cli.progress import follow
from vhal.errors import InvalidSpec

if TYPE_CHECKING:
    from vhal.spec.load import Format


@verb("create")
@click.argument("name", metavar="[NAME]", required=False)
@click.option("--name", "named", metavar="NAME", help="The same as the argument.")
@click.option("-f", "--file", metavar="FILE", help="A spec in TOML, JSON or YAML; - for stdin. Flags override it.")
@click.option(
    "--format",
    type=click.Choice(["toml", "json", "yaml"]),
    default="toml",
    show_default=True,
    help="How stdin is written.",
)
@click.option("--kind", type=click.Choice(["vm", "container"]), help="Virtual machine (the default) or container.")
@click.option("--cpus", type=int, help="Virtual processors.")
@click.option("--memory", metavar="SIZE", help="Memory: 2GiB.")
@click.option("--disk", "disks", type=Fields(), multiple=True, help="size=10GiB[,format=raw] or path=/…; repeatable.")
@click.option("--nic", "nics", type=Fields(), multiple=True, help="bridge=br0, network=NAME or user; repeatable.")
@click.option("--image", help="Boot an image, as containers do.")
@click.option("--kernel", metavar="PATH", help="Boot a Linux kernel that lies on the host.")
@click.option("--initrd", metavar="PATH", help="Its initial RAM disk.")
@click.option("--cmdline", metavar="TEXT", help="Its command line.")
@click.option("--label", "labels", type=Pair(), multiple=True, help="A label to find it by; repeatable.")
@options
@click.option("--start", is_flag=True, help="Start it, too.")
@click.option("--wait", is_flag=True, help="Start it, and return when its guest is up.")
@timeout
@pass_session
def create(
    session: Session,
    /,
    name: str | None,
    named: str | None,
    file: str | None,
    format: str,
    start: bool,
    wait: bool,
    timeout: float | None,
    **flags: Any,
) -> None:
    """Make a machine from a spec file, flags, or both.

    --disk and --nic take the place of the file's disks and cards; labels and options are added to the file's.
    """
    if name and named and name != named:
        raise Usage(f"two names are given: {name!r} and {named!r}", "give one")
    base = read(file, cast("Format", format)) if file else None
    spec = gather(base, name or named, **flags)
    host = session.host()
    vm = follow(session, vhal.begin(host.create, spec, timeout_s=timeout))
    if start or wait:
        session.note(f"{vm.name} is made on {host.name}")
        follow(session, vhal.begin(vm.start, timeout_s=timeout))
    if wait:
        follow(session, vhal.begin(vm.wait, **limit(timeout)))
    tell(session, vm)
    if session.registry().backend(host.backend).ephemeral:
        session.note(f"machines of {host.backend} end with this process; in a script or a test they live on")


def gather(
    base: vhal.MachineSpec | None,
    name: str | None,
    *,
    disks: Sequence[dict[str, Any]] = (),
    nics: Sequence[dict[str, Any]] = (),
    labels: Sequence[tuple[str, str]] = (),
    settings: Sequence[tuple[str, str, Any]] = (),
    image: str | None = None,
    kernel: str | None = None,
    initrd: str | None = None,
    cmdline: str | None = None,
    **plain: Any,
) -> vhal.MachineSpec:
    """Return ``base`` with what the flags say on top, or a spec of the flags alone."""
    if base is None and not name:
        raise Usage("the machine has no name", "give NAME, or a spec with -f")
    boot = {"kernel": kernel, "initrd": initrd, "cmdline": cmdline}
    changes = {
        "name": name,
        "disks": disks,
        "nics": nics,
        "labels": {**(base.labels if base else {}), **dict(labels)},
        "options": nested(settings, base.options if base else None),
        "boot": _boot(base, image, {field: value for field, value in boot.items() if value is not None}),
        **plain,
    }
    # What wasn't given is None or empty; a 0 or an empty text was given, and is the spec's to judge.
    changes = {field: value for field, value in changes.items() if value is not None and value not in ((), [], {})}
    return base.replace(**changes) if base else vhal.MachineSpec(**changes)


def _boot(base: vhal.MachineSpec | None, image: str | None, kernel: dict[str, str]) -> dict[str, Any] | None:
    if image and kernel:
        raise Usage("a machine boots an image or a kernel, not both", "leave one out")
    if image:
        return {"source": "image", "image": image}
    if not kernel:
        return None
    old = base.boot.model_dump() if base and isinstance(base.boot, vhal.BootKernel) else {}
    if "kernel" not in {**old, **kernel}:
        raise Usage("--initrd and --cmdline are a kernel's", "give --kernel")
    return {"source": "kernel", **old, **kernel}


def read(file: str, format: Format) -> vhal.MachineSpec:
    """Return the spec in a file, or on stdin for ``-``, which is written in ``format``."""
    if file != "-":
        return vhal.load_spec(file)
    from vhal.spec.load import parse_spec

    try:
        text = sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise InvalidSpec(f"stdin: not UTF-8 text ({error.reason} at byte {error.start})") from None
    return parse_spec(text, format, source="stdin")
