"""The asynchronous face: the same hosts and machines, with ``await``.

Engines' libraries block, so every call runs as an :class:`~vhal.operation.Operation` in a thread; this package adds no
behaviour of its own. Cancelling a task aborts its operation and waits until what was begun is undone, so that after a
``CancelledError`` nothing goes on behind your back::

    async with await vhal.aio.connect("mock:///a") as a:
        vm = await a.create(vhal.MachineSpec(name="web"))
        await vm.start()
"""

from __future__ import annotations

from vhal.aio.host import AsyncHost, connect
from vhal.aio.machine import AsyncMachine

__all__ = ["AsyncHost", "AsyncMachine", "connect"]
