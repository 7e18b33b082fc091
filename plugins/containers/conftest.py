"""Two real podman engines, and an image for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from vhal_containers.api import Connection, Libpod

from tests.testbed import ContainerImage, Lab

IMAGE = "localhost/counter:1"


@dataclass
class Engines:
    """Two engines that have the image, under the same id."""

    lab: Lab
    a: Libpod
    b: Libpod
    image: str

    def clear(self) -> None:
        for engine in (self.a, self.b):
            for container in engine.containers.list():
                engine.containers.delete(container.id, force=True, volumes=True)
            for volume in engine.volumes.list():
                engine.volumes.remove(volume.name, force=True)
            for network in engine.networks.list():
                if network.name != "podman":
                    engine.networks.remove(network.name, force=True)

    def container(self, name: str, *command: str, **document: object) -> str:
        """Make a container of the image on the first engine, without a network, and return its id."""
        asked = {"name": name, "image": self.image, "netns": {"nsmode": "none"}, "command": list(command), **document}
        return self.a.containers.create(asked)

    def running(self, name: str, *command: str, **document: object) -> str:
        made = self.container(name, *command, **document)
        self.a.containers.start(made)
        return made


@pytest.fixture(scope="session")
def engine_lab() -> Iterator[Lab]:
    with Lab(hosts=0, engines=2) as lab:
        yield lab


@pytest.fixture(scope="session")
def counter_rootfs() -> ContainerImage:
    return ContainerImage.build()


@pytest.fixture(scope="session")
def shared_engines(engine_lab: Lab, counter_rootfs: ContainerImage) -> Iterator[Engines]:
    first, second = (Libpod(Connection(engine.socket)) for engine in engine_lab.engines)
    with counter_rootfs.rootfs_tar.open("rb") as archive:
        first.images.import_(iter(lambda: archive.read(1 << 16), b""), IMAGE, changes=['CMD ["/bin/counter"]'])
    with first.images.save(IMAGE) as saved:
        assert second.images.load(saved) == (IMAGE,)
    yield Engines(engine_lab, first, second, IMAGE)
    first.connection.close()
    second.connection.close()


@pytest.fixture
def engines(shared_engines: Engines) -> Iterator[Engines]:
    yield shared_engines
    shared_engines.clear()
