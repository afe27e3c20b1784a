"""`millrace rewind` on the sample: all that a run left, back again; forward; and on from there."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import timedelta
from typing import Any

import duckdb
import pytest
from homes import SETTLED_ON, Home
from truths import MARTS, differing, tell

from sample.oracle import Oracle

pytestmark = pytest.mark.xdist_group("thin")

SEED = 7
LATER = 2 if os.environ.get("MILLRACE_TEST_SEEDS") else 1
"""Deliveries after the first; each costs a run."""
DAYS = 3  # between deliveries; in one day no household or product may change
FILES = ("warehouse", "marts", "published")
# the thin drop holds only some of the promotions that the oracle knows
OF_TILLS = ("fct_basket_lines", "fct_baskets", "fct_daily_store_sales", "dim_households")


def everything(home: Home) -> dict[str, tuple[int, str]]:
    """Rows of each table and a sum of their hashes, every column of every table; no journal."""
    found = {}
    with duckdb.connect() as con:
        for name, file in zip(FILES, (home.warehouse, home.marts, home.snapshot), strict=True):
            con.execute(f"attach '{file}' as {name} (read_only)")
        for table in con.execute(
            "select database_name || '.' || schema_name || '.' || table_name from duckdb_tables() "
            "where database_name = any($1) and schema_name not in ('millrace', 'elementary')",
            [list(FILES)],
        ).fetchall():
            found[table[0]] = con.execute(
                "select count(*), sum(md5_number_lower(r::varchar)::hugeint)::varchar "
                f"from {table[0]} as r"
            ).fetchall()[0]
    return found


def runs(home: Home) -> list[tuple[Any, ...]]:
    return home.query("select command, status from millrace.runs order by started_at")


def test_back_forward_and_on_from_there(home: Home) -> None:
    [(first,)] = home.query("select run_id from millrace.runs where command = 'run'")
    states = [everything(home)]
    for _ in range(LATER):
        home.advance(DAYS)
        done = home.millrace("run", "--quick-report")
        assert done.code == 0, done.text
        states.append(everything(home))
    assert len(states[0]) > 50
    for schema in ("raw_pos", "snapshots", "staging"):
        assert any(states[0][t] != states[-1][t] for t in states[0] if f".{schema}." in t), schema
    later = runs(home)

    back = home.millrace("rewind", "--to", first)
    assert back.code == 0, back.text
    assert everything(home) == states[0]
    assert runs(home) == [("run", "success"), (f"rewind --to {first}", "success")]

    listed = home.millrace("rewind")
    assert [line.split()[3] for line in listed.err.splitlines()] == ["run", "run"]
    assert "in use" in listed.err.splitlines()[1]

    forward = home.millrace("rewind", "--to", "latest")
    assert forward.code == 0, forward.text
    assert everything(home) == states[-1]
    assert runs(home)[:-1] == later

    assert home.millrace("rewind", "--to", first).code == 0
    again = home.millrace("run", "--quick-report")
    assert again.code == 0, again.text
    assert "built" in again.text
    loads = (SETTLED_ON, SETTLED_ON + timedelta(days=LATER * DAYS))
    with duckdb.connect() as con:
        con.execute(f"attach '{home.snapshot}' as published (read_only)")
        tell(con, Oracle(SEED, loads))
        for mart in OF_TILLS:
            assert differing(con, MARTS[mart], f"from published.main.{mart}") == [], mart
    marts = {t: rows for t, rows in everything(home).items() if not t.startswith("warehouse")}
    if LATER == 1:  # two deliveries read as one have no versions between them
        kept = {t: rows for t, rows in states[-1].items() if t in marts}
        assert {t for t in marts if marts[t] != kept[t]} == set()


def test_an_unknown_run_is_a_wrong_call(settled: Home) -> None:
    done = settled.millrace("rewind", "--to", "20170101T000000-000000")
    assert done.code == 2
    assert "is kept; there are 20" in done.text


def test_a_number_of_runs_that_is_none_is_a_wrong_call(settled: Home) -> None:
    done = replace(settled, env={**settled.env, "MILLRACE_KEEP_RUNS": "few"}).millrace("rewind")
    assert (done.code, "MILLRACE_KEEP_RUNS" in done.text) == (2, True)
