"""The same operations on the mock and on a real engine: what can be seen, heard and caught must be the same.

A difference is a defect of one of the two, or a limit of the engine's that :mod:`tests.parity.limits` states.
"""

from tests.parity.limits import tells
from tests.parity.pair import Pair
from tests.parity.sequences import SEEDS, SEQUENCES, drawn

__all__ = ["SEEDS", "SEQUENCES", "Pair", "drawn", "tells"]
