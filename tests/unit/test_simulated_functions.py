"""What a simulation decorates runs within it: functions of every kind, and classes."""

from __future__ import annotations

import asyncio
import unittest
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest

import vhal
import vhal.aio
from vhal.errors import NotFound
from vhal.testing import simulated

ALPHA = "libvirt+tls://alpha.example.org/system"


def name_of(where: str = "mock:///") -> str:
    with vhal.connect(where) as host:
        return host.info().name


@simulated
def plain(suffix: str, *, loud: bool = False) -> str:
    """Say where ALPHA leads."""
    return name_of(ALPHA) + suffix + "!" * loud


@simulated(hosts=["alpha"])
async def awaited() -> str:
    await asyncio.sleep(0)
    async with await vhal.aio.connect(ALPHA) as host:
        return (await host.info()).name


@pytest.fixture
@simulated(hosts=["alpha", "beta"])
def beta() -> Iterator[vhal.Host]:
    with vhal.connect("libvirt+tls://beta/system") as host:
        yield host


def test_a_function() -> None:
    assert plain("?", loud=True) == "alpha.example.org?!"
    assert (plain.__name__, plain.__doc__) == ("plain", "Say where ALPHA leads.")


def test_a_coroutine() -> None:
    assert asyncio.iscoroutinefunction(awaited)
    assert asyncio.run(awaited()) == "alpha"
    assert name_of() == "a"


@pytest.mark.asyncio
@simulated(hosts=["alpha"])
async def test_a_coroutine_of_pytest(tmp_path: object) -> None:
    assert tmp_path
    assert await asyncio.to_thread(name_of, ALPHA) == "alpha"


def test_a_fixture_holds_it_while_its_test_runs(beta: vhal.Host) -> None:
    assert beta.info().name == "beta"
    assert name_of(ALPHA) == "alpha"


@simulated
def test_the_world_of_the_fixtures_is_taken(vhal_fleet: dict[str, vhal.Host]) -> None:
    with vhal.connect("mock:///c") as c:
        assert c.uuid == vhal_fleet["c"].uuid
    assert name_of(ALPHA) == "alpha.example.org"


@pytest.mark.vhal(hosts=["alpha", "beta"])
@simulated
def test_so_are_the_hosts_of_the_marker(vhal_host: vhal.Host) -> None:
    with vhal.connect(ALPHA) as alpha:
        assert alpha.uuid == vhal_host.uuid


def test_generators() -> None:
    @simulated(hosts=["x"])
    def values() -> Iterator[str]:
        try:
            yield name_of()
        finally:
            ended.append(name_of())

    @simulated(hosts=["y"])
    async def async_values() -> AsyncIterator[str]:
        try:
            yield name_of()
        finally:
            ended.append(name_of())

    ended: list[str] = []
    with contextmanager(values)() as first:
        assert first == name_of() == "x"
    assert name_of() == "a"

    async def main() -> None:
        async with asynccontextmanager(async_values)() as second:
            assert second == name_of() == "y"
        assert name_of() == "a"

    asyncio.run(main())
    assert ended == ["x", "y"]


def test_what_fails_in_it_leaves_nothing() -> None:
    @simulated(hosts=["x"])
    def failing() -> None:
        vhal.connect("mock:///nowhere")

    with pytest.raises(NotFound):
        failing()
    assert name_of() == "a"


@simulated(hosts=["x"])
class TestClass:
    where = "nowhere"

    def setup_method(self) -> None:
        self.where = name_of()

    def helper(self) -> str:
        return name_of()

    def test_method(self) -> None:
        assert self.where == self.helper() == "x"

    @staticmethod
    def test_static() -> None:
        assert name_of() == "x"

    @classmethod
    def test_of_the_class(cls) -> None:
        assert name_of() == "x"

    def teardown_method(self, method: object) -> None:
        assert method
        assert name_of() == "x"


def test_a_class_outside_of_pytest() -> None:
    assert TestClass().helper() == "a"
    TestClass.test_static()
    TestClass.test_of_the_class()


def test_a_method() -> None:
    class Deployment:
        @simulated(hosts=["x"])
        def run(self) -> str:
            return name_of()

        @simulated(hosts=["y"])
        @staticmethod
        def check() -> str:
            return name_of()

    assert (Deployment().run(), Deployment.check(), name_of()) == ("x", "y", "a")


def test_a_preparation_that_fails_leaves_nothing() -> None:
    @simulated(hosts=["x"])
    class Broken:
        def setup_method(self) -> None:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Broken().setup_method()
    assert name_of() == "a"


@simulated(hosts=["x"])
class TestOfUnittest(unittest.TestCase):
    def setUp(self) -> None:
        self.where = name_of()

    def test_method(self) -> None:
        self.assertEqual((self.where, name_of()), ("x", "x"))  # noqa: PT009 - that is what is tested

    def tearDown(self) -> None:
        assert name_of() == "x"


@simulated(hosts=["x"])
class TestOfAsyncUnittest(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self) -> None:
        self.where = name_of()

    async def test_method(self) -> None:
        async with await vhal.aio.connect("mock:///") as host:
            assert (self.where, (await host.info()).name) == ("x", "x")
