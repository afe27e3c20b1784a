"""`millrace backfill` in a home of its own: nothing changes where nothing was missed."""

from __future__ import annotations

import duckdb
import pytest
from homes import Home

pytestmark = pytest.mark.xdist_group("thin")
SCHEMAS = ("raw_pos", "staging", "marts")
JANUARY = ("pos.transactions", "--from", "2017-01-01", "--to", "2017-02-01")


def _states(home: Home) -> list[tuple[object, ...]]:
    return home.query("select cursor_to from raw_pos._loads order by load_number")


def test_all_of_january_again_changes_nothing(home: Home) -> None:
    before = home.tables(*SCHEMAS)
    done = home.millrace("backfill", *JANUARY, "--chunk", "14d")
    assert (done.code, done.out) == (0, ""), done.text
    assert "backfill: 0 rows were new" in done.text
    assert {k: v for k, v in home.tables(*SCHEMAS).items() if "._dlt" not in k} == {
        k: v for k, v in before.items() if "._dlt" not in k
    }
    assert home.query("select command, status, exit_code from millrace.runs")[-1] == (
        "backfill pos.transactions --from 2017-01-01 --to 2017-02-01", "success", 0,
    )  # fmt: skip
    assert "every finished load is built" in home.millrace("status").text


def test_rows_that_raw_lost_come_back_and_marts_are_as_before(home: Home) -> None:
    before = home.tables(*SCHEMAS)
    with duckdb.connect(str(home.warehouse)) as con:
        con.execute("delete from raw_pos.transactions where updated_at < '2017-01-02'")
        assert con.execute("select count(*) from raw_pos.transactions").fetchone() != (0,)
    done = home.millrace("backfill", *JANUARY)
    assert done.code == 0, done.text
    assert "millrace run" in done.text
    done = home.millrace("run", "--quick")
    assert done.code == 0, done.text
    after = home.tables(*SCHEMAS)
    for name in ("raw_pos.transactions", "staging.stg_pos__transactions", *after.keys() & {"x"}):
        assert after[name] == before[name], name
    marts = {name for name in before if "." not in name}
    assert len(marts) >= 5
    assert {n: after[n] for n in marts} == {n: before[n] for n in marts}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("pos.transaction", *JANUARY[1:]), "did you mean 'pos.transactions'?"),
        (("promo.coupons", *JANUARY[1:]), "have the files sent again"),
        (
            ("pos.transactions", "--from", "2017-02-01", "--to", "2017-01-01"),
            "does not come before",
        ),
        (("pos.transactions", "--from", "1", "--to", "2017-01-01"), "write it as 2017-01-31"),
    ],
)
def test_wrong_words_are_told(home: Home, words: tuple[str, ...], said: str) -> None:
    done = home.millrace("backfill", *words)
    assert done.code == 2
    assert said in done.text
    assert "Traceback" not in done.text
