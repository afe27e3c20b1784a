"""The piles of a batch: every row on the pile of its fate, whatever the mixture."""

from pathlib import Path

import duckdb
import pytest

from ingest.piles import Piles, numbered, write

_ROWS = 100_000


@pytest.mark.parametrize(
    ("dead", "held"),
    [
        ("false", None),
        ("false", "false"),
        ("true", None),
        ("false", "true"),
        ("i = 77777", None),
        ("i % 7 = 0", "i % 5 = 0"),
        ("i % 2 = 0", "i % 2 = 1"),
    ],
)
def test_each_row_lies_on_the_pile_of_its_fate(tmp_path: Path, dead: str, held: str | None) -> None:
    with duckdb.connect() as con:
        number = numbered(12, dead, held)
        piles = write(con, f"select i, {number} as _load_number from range({_ROWS}) t(i)", tmp_path)
        first = held or "false"
        wanted = {
            "dead": f"{dead}",
            "reread": f"{first} and not ({dead})",
            "accepted": f"not ({dead}) and not ({first})",
        }
        fates = {"dead": None, "reread": 0, "accepted": 12}
        for name, condition in wanted.items():
            wanted_rows = con.execute(
                f"select i from range({_ROWS}) t(i) where {condition}"
            ).fetchall()
            got = [row for path, count in piles[name] for row in _read(con, path, count)]
            assert sorted(row[0] for row in got) == [row[0] for row in wanted_rows]
            assert all(row[1] == fates[name] for row in got)
        files = {path for pile in piles.values() for path, _ in pile}
        assert files == set(tmp_path.iterdir()), "no file is left that is on no pile"


@pytest.mark.parametrize(
    ("dead", "held", "pile"),
    [("false", None, "accepted"), ("true", None, "dead"), ("false", "true", "reread")],
)
def test_a_batch_of_one_fate_is_written_once(
    tmp_path: Path, dead: str, held: str | None, pile: str
) -> None:
    with duckdb.connect() as con:
        piles = write(con, f"select {numbered(3, dead, held)} as _load_number", tmp_path)
    rest: Piles = {"accepted": [], "dead": [], "reread": []}
    assert piles == {**rest, pile: [(tmp_path / "batch.parquet", 1)]}


def test_an_empty_batch_has_no_piles(tmp_path: Path) -> None:
    with duckdb.connect() as con:
        select = f"select i, {numbered(1, 'false', None)} as _load_number from range(0) t(i)"
        assert write(con, select, tmp_path) == {"accepted": [], "dead": [], "reread": []}


def _read(con: duckdb.DuckDBPyConnection, path: Path, count: int) -> list[tuple[int, int | None]]:
    rows = con.execute("select i, _load_number from read_parquet(?)", [str(path)]).fetchall()
    assert len(rows) == count
    return rows
