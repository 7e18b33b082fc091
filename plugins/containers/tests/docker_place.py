"""A host of the container backend on a real docker engine, empty after each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from vhal_containers.api import Docker
from vhal_containers.driver import ContainersDriver

from tests.testbed import ContainerImage, Engine, Lab
from vhal.driver import HostUrl
from vhal.host import connect

from .containers_place import Place

IMAGE = "localhost/counter:1"


@pytest.fixture(scope="session")
def docker_node(counter_rootfs: ContainerImage) -> Iterator[Engine]:
    """A docker that has the image."""
    with Lab(hosts=0, dockers=1) as lab:
        (node,) = lab.dockers
        driver = ContainersDriver.open(HostUrl.parse(node.url))
        with counter_rootfs.rootfs_tar.open("rb") as archive:
            pieces = iter(lambda: archive.read(1 << 16), b"")
            driver.engine.api.images.import_(pieces, IMAGE, changes=['CMD ["/bin/counter"]'])
        driver.close()
        yield node


@pytest.fixture
def place(docker_node: Engine) -> Iterator[Place]:
    driver = ContainersDriver.open(HostUrl.parse(docker_node.url))
    with connect(driver) as host:
        yield Place(docker_node, driver, host)
        api = driver.engine.api
        assert isinstance(api, Docker)
        for container in api.containers.list():
            api.containers.delete(container.id, force=True, volumes=True)
        for volume in api.volumes.list():
            if volume.name != "vhal-host":
                api.volumes.remove(volume.name, force=True)
        for network in api.networks.list():
            if network.name not in ("bridge", "host", "none"):
                api.networks.remove(network.name)
