"""Which changes of hosts to make together: a linear program that tells what things are worth, and in whole numbers.

The program is the master of a column generation (Desaulniers, Desrosiers and Solomon, Column Generation, 2005): least
memory, such that of each kind as many machines arrive as leave, no more move than may, the score is reached, and each
host makes one change. As long as that is impossible, what is missing is bought at a price that nothing else has. HiGHS
solves it (Huangfu and Hall, Parallelizing the dual revised simplex method, 2018).
"""

from __future__ import annotations

from dataclasses import dataclass

import highspy
import numpy as np
from numpy.typing import NDArray

from vhal.fleet.balance.columns import Columns
from vhal.fleet.balance.problem import Floats, Ints

Indices = NDArray[np.int32]
"""As HiGHS takes them."""

NODES = 50
"""Of the search in whole numbers, at most: it mostly ends at the first."""
GAP = 0.01
"""What the choice in whole numbers may be dearer than the best of them: by that share."""
DEAR = 1e5
"""GiB that it costs to exceed the allowance by itself, and to have no change for a host."""


@dataclass(frozen=True)
class Worth:
    """What the linear program's solution says a change of it would be worth, in GiB."""

    least: float
    """GiB that the linear program moves."""
    kind: Floats
    """Kind → of one more."""
    move: float
    """Of one move more that may be made."""
    allowance: float
    """Of once more what is allowed."""
    host: Floats
    """Host → what its change may cost."""

    def costs(self, columns: Columns) -> Floats:
        """Return change → by how much it makes the solution dearer if it is made; less than 0 if cheaper."""
        cost: Floats = columns.memory + self.move * columns.moves - columns.change @ self.kind
        return cost + self.allowance * columns.taken - self.host[columns.host]


class _Silent(highspy.Highs):
    """A solver that prints nothing, not even who it is: HiGHS 1.16 does as soon as it may call back."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def enableCallbacks(self) -> None:  # noqa: N802 - highspy's, which calls it once it is made
        self.setOptionValue("output_flag", False)
        super().enableCallbacks()  # type: ignore[no-untyped-call]


class Master:
    """The program, to which columns are added.

    Args:
        hosts: How many hosts there are.
        kinds: How many kinds of machines.
        moves: How many machines may move.
    """

    def __init__(self, hosts: int, kinds: int, moves: float) -> None:
        self._kinds, self._bought = kinds, 1 + hosts
        self._solver = _Silent()
        self._solver.setOptionValue("parallel", "off")
        infinity = highspy.kHighsInf
        lower = np.concatenate([np.zeros(kinds), [-infinity, -infinity], np.ones(hosts)])
        upper = np.concatenate([np.zeros(kinds), [min(moves, 1e9), 1.0], np.ones(hosts)])
        none = np.empty(0, np.int32)
        self._solver.addRows(len(lower), lower, upper, 0, np.zeros(len(lower), np.int32), none, none.astype(float))
        rows = np.arange(kinds + 1, kinds + 2 + hosts, dtype=np.int32)
        value = np.concatenate([[-1.0], np.ones(hosts)])
        self._append(np.full(len(rows), DEAR), np.arange(len(rows), dtype=np.int32), rows, value)

    def add(self, columns: Columns) -> None:
        """Add changes."""
        starts, rows, values = self._entries(columns)
        self._append(columns.memory, starts, rows, values)

    def _append(self, costs: Floats, starts: Indices, rows: Indices, values: Floats) -> None:
        count = len(costs)
        most = np.full(count, highspy.kHighsInf)
        self._solver.addCols(count, costs, np.zeros(count), most, len(rows), starts, rows, values)

    def _entries(self, columns: Columns) -> tuple[Indices, Indices, Floats]:
        """Return where each column begins, and its rows and values."""
        count = len(columns.host)
        facts = np.column_stack([columns.change, columns.moves, columns.taken])
        which, row = np.nonzero(facts)
        value = np.concatenate([facts[which, row], np.ones(count)])
        which = np.concatenate([which, np.arange(count)])
        row = np.concatenate([row, self._kinds + 2 + columns.host])
        order = np.lexsort((row, which))
        starts = np.searchsorted(which[order], np.arange(count))
        return starts.astype(np.int32), row[order].astype(np.int32), value[order]

    def solve(self) -> Worth:
        """Solve it with fractions of changes, and return what things are worth."""
        self._solver.run()
        dual = np.array(self._solver.getSolution().row_dual)
        kinds = self._kinds
        return Worth(
            least=self._solver.getInfo().objective_function_value,
            kind=dual[:kinds],
            move=max(0.0, -float(dual[kinds])),
            allowance=max(0.0, -float(dual[kinds + 1])),
            host=dual[kinds + 2 :],
        )

    def shares(self) -> Floats:
        """Return change → how much of it the solution makes, of those added, in their order."""
        return np.array(self._solver.getSolution().col_value)[self._bought :]

    def choose(self) -> Ints | None:
        """Return which of the changes to make, whole ones; None if none were found that reach the score."""
        solver, count, bought = self._solver, self._solver.getNumCol(), self._bought
        nothing = np.zeros(bought)
        solver.changeColsBounds(bought, np.arange(bought, dtype=np.int32), nothing, nothing)
        integer = np.full(count - bought, int(highspy.HighsVarType.kInteger), np.uint8)
        solver.changeColsIntegrality(len(integer), np.arange(bought, count, dtype=np.int32), integer)
        solver.setOptionValue("mip_max_nodes", NODES)
        solver.setOptionValue("mip_rel_gap", GAP)
        solver.run()
        found = solver.getInfo().primal_solution_status == int(highspy.SolutionStatus.kSolutionStatusFeasible)
        return np.flatnonzero(self.shares() > 0.5) if found else None
