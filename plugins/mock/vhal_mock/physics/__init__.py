"""How long a machine takes to move, and how long it stands still: a model that a simulator steps through.

``precopy`` is a VM's memory, ``stopcopy`` a container's, ``blockcopy`` a disk that isn't shared; each gives one
:class:`Step` after the other, and is told how long it took. ``dirtying`` is what the guest writes, ``costs`` what it
takes besides. Links, clocks and machines are the caller's. docs/explanation/physics.md compares it with real QEMU.
"""

from __future__ import annotations

from vhal_mock.physics.blockcopy import BlockCopy
from vhal_mock.physics.costs import Costs
from vhal_mock.physics.dirtying import Dirtying
from vhal_mock.physics.precopy import DOWNTIME_LIMIT_S, PreCopy
from vhal_mock.physics.step import Step
from vhal_mock.physics.stopcopy import StopAndCopy

__all__ = ["DOWNTIME_LIMIT_S", "BlockCopy", "Costs", "Dirtying", "PreCopy", "Step", "StopAndCopy"]
