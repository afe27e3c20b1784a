"""A reader of the published snapshot: `python poller.py SNAPSHOT STOP MANNER`.

It looks every 10 ms, in one of four manners, until the file STOP is there, and prints how many
looks it had, how many versions it saw, and what was wrong with any of them, as JSON.

fresh     a new connection to the snapshot for every look
kept      one connection, which must go on seeing what it saw first
attached  a new session for every look, which attaches the snapshot beside other things
sessions  five sessions, each with the snapshot attached at another time and with DuckDB's caches of
          files on and trusted; each must go on seeing what it saw first
"""

import json
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import duckdb

ROWS = 2_000
TABLES = {"version", "lines", "days"}
SESSIONS, LOOKS = 5, 20
"""How many sessions there are at a time, and after how many looks the oldest is replaced."""
ONE = {"threads": 1}
LOOK = """
select (select max(v) from version), l.*, d.*, (select list(table_name) from duckdb_tables()
    where database_name = current_database())
from (select count(*), min(v), max(v), sum(amount) from lines) as l,
    (select min(v), max(v), sum(amount) from days) as d
"""
CACHES = ("set enable_external_file_cache = true",
          "set validate_external_file_cache = 'NO_VALIDATION'",
          "set parquet_metadata_cache = true", "set enable_http_metadata_cache = true")  # fmt: skip


def look(con: duckdb.DuckDBPyConnection) -> int:
    """The version that all marts are of.

    Raises:
        AssertionError: they are of different ones, or do not agree.
    """
    version, lines, *versions, total, low, high, of_days, tables = con.execute(LOOK).fetchall()[0]
    assert set(tables) == TABLES, f"tables {tables}"
    assert {*versions, low, high} == {version}, f"a mix: {version}, {versions}, {low}, {high}"
    assert (lines, total) == (ROWS, of_days), f"{lines} lines of {total}, and days of {of_days}"
    return int(version)


def session(path: Path, *settings: str) -> duckdb.DuckDBPyConnection:
    """A session of its own, with the snapshot attached."""
    con = duckdb.connect(config=ONE)
    for each in settings:
        con.execute(each)
    con.execute(f"attach '{path}' as marts (read_only)")
    con.execute("use marts")
    return con


def again(con: duckdb.DuckDBPyConnection, first: int) -> int:
    """The version, which is still the first one."""
    version = look(con)
    assert version == first, f"a connection moved on from {first} to {version}"
    return version


def fresh(path: Path) -> Callable[[], int]:
    def see() -> int:
        with duckdb.connect(path, read_only=True, config=ONE) as con:
            return look(con)

    return see


def kept(path: Path) -> Callable[[], int]:
    con = duckdb.connect(path, read_only=True, config=ONE)
    first = look(con)
    return lambda: again(con, first)


def attached(path: Path) -> Callable[[], int]:
    def see() -> int:
        with session(path) as con:
            return look(con)

    return see


def sessions(path: Path) -> Callable[[], int]:
    held: deque[tuple[duckdb.DuckDBPyConnection, int]] = deque()
    looks = 0

    def see() -> int:
        nonlocal looks
        if looks % LOOKS == 0:
            if len(held) == SESSIONS:
                held.popleft()[0].close()
            con = session(path, *CACHES)
            held.append((con, look(con)))
        looks += 1
        return [again(con, first) for con, first in held][-1]

    return see


MANNERS = {"fresh": fresh, "kept": kept, "attached": attached, "sessions": sessions}


def main(path: Path, stop: Path, manner: str) -> None:
    """Look until told to stop."""
    see = MANNERS[manner](path)
    looks, seen, faults = 0, set(), []
    print("ready", flush=True)
    while not stop.exists():
        try:
            seen.add(see())
        except Exception as error:
            faults.append(f"{type(error).__name__}: {error}".splitlines()[0])
        looks += 1
        time.sleep(0.01)
    told = {"looks": looks, "versions": len(seen), "faults": len(faults), "what": faults[:3]}
    print(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
