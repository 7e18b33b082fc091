"""The examples that need two libvirt hosts, or a container host, on the test bed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import vhal
from tests.docs.examples import FENCE, REAL
from tests.docs.generated import DOCS, pages
from tests.testbed import ContainerImage, CounterGuest, Lab


def real_blocks(page: Path) -> list[str]:
    """Return the blocks of a page that are for the test bed, in order."""
    return [match["body"] for match in FENCE.finditer(page.read_text()) if match["body"].startswith(REAL)]


PAGES = [page for page in pages() if real_blocks(page)]


@pytest.fixture(scope="module")
def names() -> Iterator[dict[str, object]]:
    """What the examples take as given."""
    guest, container = CounterGuest.build(), ContainerImage.build()
    with Lab(2, engines=1) as lab:
        disk = lab.shared / "web.qcow2"
        lab.run(["qemu-img", "create", "-q", "-f", "qcow2", str(disk), "64M"])
        first, second = lab.hosts
        engine = lab.engines[0]
        engine.run(["podman", "import", "-q", str(container.rootfs_tar), "localhost/counter:1"])
        yield {
            "URL_ENGINE": engine.url,
            "IMAGE": "localhost/counter:1",
            "URL_A": first.url,
            "URL_B": second.url,
            "DISK": str(disk),
            "KERNEL": str(guest.kernel),
            "INITRD": str(guest.initrd),
        }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_real_blocks_run_on_the_test_bed(page: Path, names: dict[str, object]) -> None:
    namespace = {**names, "vhal": vhal}
    for number, block in enumerate(real_blocks(page), 1):
        exec(compile(block, f"{page}, real block {number}", "exec", dont_inherit=True), namespace)  # noqa: S102
    for host in (namespace.get("a"), namespace.get("b")):
        if isinstance(host, vhal.Host):
            assert host.machines() == []
            host.close()


@pytest.mark.parametrize("page", ["live-migration", "containers"])
def test_the_how_to_has_real_examples(page: str) -> None:
    assert DOCS / "how-to" / f"{page}.md" in PAGES
