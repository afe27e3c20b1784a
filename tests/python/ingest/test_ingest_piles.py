"""The piles of a batch: every row on the pile of its fate, whatever the mixture."""

import shutil
from pathlib import Path

import duckdb
import pytest

from ingest.piles import Piles, numbered, write
from ingest.session import open_session

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


def test_a_batch_is_never_taken_for_the_one_before(tmp_path: Path) -> None:
    folder = tmp_path / "batches"
    with open_session(tmp_path / "scratch") as con:
        assert _mistaken(con, folder) == 0
        con.execute("set enable_external_file_cache = true")
        assert _mistaken(con, folder) > 0, "DuckDB no longer needs FRESH_FILES"


def _mistaken(con: duckdb.DuckDBPyConnection, folder: Path) -> int:
    """Of 20 batches at one path, alternately new and held already, those on the wrong pile."""
    mistaken = 0
    for number in range(1, 21):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        fate, held = ("reread", "true") if number % 2 else ("accepted", "false")
        select = f"select i, {numbered(number, 'false', held)} as _load_number from range(3) t(i)"
        mistaken += not write(con, select, folder)[fate]
    return mistaken


def _read(con: duckdb.DuckDBPyConnection, path: Path, count: int) -> list[tuple[int, int | None]]:
    rows = con.execute("select i, _load_number from read_parquet(?)", [str(path)]).fetchall()
    assert len(rows) == count
    return rows
