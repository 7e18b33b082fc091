"""What is around every single call of a driver: the words of its errors.

Not what is around a change of a machine (its lock, its state): that is :mod:`vhal.layers.guard`, which uses this.
"""

from __future__ import annotations

from types import TracebackType

from vhal.driver.driver import Driver
from vhal.errors import VhalError
from vhal.layers.layer import typed


class Care:
    """Whatever is raised in the block comes out as one of :mod:`vhal.errors`, with its place filled in.

    Concurrency: any number of threads may be in the block, also a thread within itself.

    Args:
        driver: Whose calls are in the block.
        host: What to call its host in errors.
    """

    __slots__ = ("_driver", "_host")

    def __init__(self, driver: Driver, host: str) -> None:
        self._driver, self._host = driver, host

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, VhalError):
            self.ours(error)
        elif isinstance(error, Exception):
            raise self.ours(error) from error

    def ours(self, error: Exception) -> VhalError:
        """Return an error as one of ours, with its place filled in: what to raise where a block would cost too much."""
        ours = typed(self._driver, error)
        if ours is not error:
            ours.__cause__ = error
        ours.backend = ours.backend or self._driver.backend
        ours.host = ours.host or self._host
        return ours
