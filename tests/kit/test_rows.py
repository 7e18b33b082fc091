"""A test's name is its row's id; the id says the layer, the decorators the tier."""

from __future__ import annotations

import pytest

from vhal.testing import BackendSuite
from vhal.testing.conformance.rows import LAYERS, Row, Tier, recommended, row_of, rows, since


class Suite:
    def test_life_001_it_lives(self) -> None: ...

    @recommended
    def test_exec_002_it_runs(self) -> None: ...

    @since(1, 3)
    def test_conf_001_it_is_new(self) -> None: ...

    def test_my_own(self) -> None: ...


def test_a_row_is_made_from_the_name_of_its_test() -> None:
    assert rows(Suite) == {
        "CONF-001": Row("CONF-001", "test_conf_001_it_is_new", since=(1, 3)),
        "LIFE-001": Row("LIFE-001", "test_life_001_it_lives"),
        "EXEC-002": Row("EXEC-002", "test_exec_002_it_runs", recommended=True),
    }
    row = rows(Suite)["LIFE-001"]
    assert (row.layer, row.sentence, row.anchor) == ("examples", "it lives", "contract.md#life-001")


def test_a_new_row_is_only_recommended_to_an_older_backend() -> None:
    row = rows(Suite)["CONF-001"]
    assert [row.tier(spi) for spi in ((1, 2), (1, 3), (1, 4))] == [Tier.RECOMMENDED, Tier.REQUIRED, Tier.REQUIRED]
    assert rows(Suite)["EXEC-002"].tier((9, 9)) is Tier.RECOMMENDED
    assert rows(Suite)["LIFE-001"].tier((1, 0)) is Tier.REQUIRED


@pytest.mark.parametrize("name", ["test_life_1_x", "test_what_001_x", "test_it", "life_001_x"])
def test_other_names_are_no_rows(name: str) -> None:
    assert row_of(name, None) is None


def test_an_id_is_given_once() -> None:
    class Twice(Suite):
        def test_life_001_it_lives_again(self) -> None: ...

    with pytest.raises(ValueError, match="LIFE-001 is the id of two tests"):
        rows(Twice)


def test_each_standard_test_is_a_row_of_a_layer() -> None:
    tests = [name for name in dir(BackendSuite) if name.startswith("test_")]
    assert [row.test for row in rows(BackendSuite).values()] != []
    assert {row.test for row in rows(BackendSuite).values()} == set(tests)
    assert {row.layer for row in rows(BackendSuite).values()} <= set(LAYERS)
