"""The books balance, each dead letter breaks the rules that it must, and a mended rule heals it."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date
from pathlib import Path

import duckdb
import pytest
from copies import project_copy
from homes import Home, January

from sample.oracle import TABLES

january_group = pytest.mark.xdist_group("january")
thin_group = pytest.mark.xdist_group("thin")

FIRST = date(2017, 1, 10)


@january_group
def test_every_row_that_was_read_has_a_home(january: January) -> None:
    loads = 0
    for source in ("pos", "promo", "loyalty"):
        for number, table, fetched, reread, read, accepted, dead in january.home.query(
            f"""select load_number, table_name, rows_fetched, rows_reread, rows_read,
                rows_accepted, rows_dead from raw_{source}._loads"""
        ):
            loads += 1
            assert fetched == reread + read
            assert read == accepted + dead
            rows = january.home.query(
                f"""select
                    (select count(*) from raw_{source}.{table} where _load_number = {number}),
                    (select count(*) from raw_{source}._dead_letters
                        where _load_number = {number} and table_name = '{table}')"""
            )
            assert rows == [(accepted, dead)], (source, table, number)
    assert loads >= 12


@january_group
@pytest.mark.parametrize("table", TABLES)
def test_fates_are_the_oracles(january: January, table: str) -> None:
    source, _, name = table.partition(".")
    fates = january.oracle.fates(table)
    expected = Counter(
        tuple(json.loads(rule))
        for (rule,) in fates.filter("fate = 'dead'").project("rule").fetchall()
    )
    found = Counter(
        tuple(sorted(json.loads(rules)))
        for (rules,) in january.home.query(
            f"select broken_rules from raw_{source}._dead_letters where table_name = '{name}'"
        )
    )
    assert found == expected
    good = fates.filter("fate <> 'dead'").aggregate("count(*)").fetchall()[0][0]
    assert january.home.query(f"select count(*) from raw_{source}.{name}") == [(good,)]
    accepted = fates.filter("fate = 'accepted'").aggregate("count(*)").fetchall()[0][0]
    staged = f"staging.stg_{source}__{name}"
    assert january.home.query(f"select count(*) from {staged}") == [(accepted,)]


@january_group
def test_the_sample_brings_many_kinds_of_dead_letters(january: January) -> None:
    listed = january.home.copied(january.home.path.parent / "listed").millrace(
        "dead-letters", "list"
    )
    assert listed.code == 0
    assert len([line for line in listed.err.splitlines() if line[:8].strip().isdigit()]) >= 10
    assert "see them: millrace dead-letters show" in listed.text


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A thin home with its first rows loaded by rules that are too strict, and not yet built."""
    home = Home(tmp_path_factory.mktemp("mended") / "home").start(FIRST, thin=True)
    done = home.millrace("load")
    assert done.code == 0, done.text
    return home


@pytest.fixture(scope="module")
def letters(begun: Home, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The same home elsewhere, for the commands that look and close."""
    return begun.copied(tmp_path_factory.mktemp("letters") / "home")


def some_id(home: Home, table: str) -> str:
    """The id of an open dead letter."""
    return str(
        home.query(
            f"select min(dead_letter_id) from raw_pos._dead_letters where table_name = '{table}' "
            "and dead_letter_id not in (select dead_letter_id from raw_pos._dead_letter_fates)"
        )[0][0]
    )


BOOKS = """select
    (select count(*) from raw_pos._dead_letter_fates), (select count(*) from raw_pos._loads),
    (select count(*) from millrace.runs), (select count(*) from millrace.steps)"""


@thin_group
@pytest.mark.parametrize("command", ["show", "replay", "discard"])
@pytest.mark.parametrize("word", ["a", "pos.", "pos.prodcts", "{id:.7}", "ffffffff"])
def test_a_word_that_names_nothing_closes_nothing(letters: Home, command: str, word: str) -> None:
    before = letters.query(BOOKS)
    given = word.format(id=some_id(letters, "products"))
    reason = ("--reason", "tried") if command == "discard" else ()
    done = letters.millrace("dead-letters", command, given, *reason)
    assert done.code == 2, done.text
    assert given in done.text
    assert "dead letter" in done.text
    assert "Traceback" not in done.text
    assert letters.query(BOOKS) == before


@thin_group
def test_the_same_words_for_every_command(letters: Home) -> None:
    count = letters.query("select count(*) from raw_pos._dead_letters")[0][0]
    for word in ("pos", "pos.products", some_id(letters, "products")[:8]):
        done = letters.millrace("dead-letters", "show", word, "--limit", "2", "--log-json")
        assert done.code == 0, done.text
        lines = [json.loads(line) for line in done.err.splitlines()]
        assert len(lines) == (2 if word.startswith("pos") else 1)
        assert {line["letter"]["source"] for line in lines} == {"pos"}
        assert all(line["run_id"] and line["letter"]["id"] in line["text"] for line in lines)
    listed = letters.millrace("dead-letters", "list", "pos", "--log-json")
    lines = [json.loads(line) for line in listed.err.splitlines()]
    assert sum(line.get("count", 0) for line in lines) == count > 10
    elsewhere = letters.millrace("dead-letters", "list", "--target", "ci")
    assert (elsewhere.code, elsewhere.text) == (0, "no open dead letters")


@thin_group
def test_one_is_discarded_by_its_id_as_a_run(letters: Home) -> None:
    one = some_id(letters, "products")
    # another whose id begins the same
    with duckdb.connect(str(letters.warehouse)) as con:
        con.execute(
            "insert into raw_pos._dead_letters select * replace "
            f"('{one[:12]}' || repeat('0', 20) as dead_letter_id) "
            f"from raw_pos._dead_letters where dead_letter_id = '{one}'"
        )
    close = ("--reason", "a till of the training room")
    both = letters.millrace("dead-letters", "discard", one[:12], *close)
    assert both.code == 2
    assert "2 open dead letters have ids that begin with" in both.text

    done = letters.millrace("dead-letters", "discard", one[:14], *close, "--log-json")
    assert done.code == 0, done.text
    (line,) = [json.loads(line) for line in done.err.splitlines()]
    assert line["text"] == "1 dead letter discarded"
    fates = "select dead_letter_id, reason, _load_number from raw_pos._dead_letter_fates"
    ((closed, reason, number),) = letters.query(fates)
    assert (closed, reason) == (one, close[1])
    assert letters.query(
        "select run_id, command, runs.status, exit_code, step, steps.status, detail "
        "from raw_pos._loads join millrace.runs using (run_id) join millrace.steps using (run_id) "
        f"where load_number = {number}"
    ) == [
        (line["run_id"], f"dead-letters discard {one[:14]}", "success", 0, "discard", "success",
         "1 dead letter discarded")
    ]  # fmt: skip
    again = letters.millrace("dead-letters", "discard", one, *close)
    assert again.code == 2
    assert "no open dead letter" in again.text
    assert len(letters.query(fates)) == 1


@thin_group
def test_a_discard_of_a_table_without_any_says_so(letters: Home) -> None:
    none = letters.millrace("dead-letters", "discard", "pos.households", "--reason", "all of them")
    assert none.code == 2
    assert "nothing was discarded" in none.text
    for reason in ("", " "):
        done = letters.millrace("dead-letters", "discard", "pos.products", "--reason", reason)
        assert done.code == 2
        assert "--reason" in done.text


@thin_group
def test_replay_after_the_rule_is_mended(begun: Home, tmp_path: Path) -> None:
    home = begun
    brands = {
        row[0]
        for row in home.query(
            "select distinct payload ->> '$.brand' from raw_pos._dead_letters "
            "where table_name = 'products'"
        )
    }
    words = ", ".join(f"'{brand}'" for brand in ["National", "Private", *sorted(brands)])
    project = project_copy(
        tmp_path / "project",
        {
            "models/staging/pos/_pos__sources.yml": (
                "accepted_values: [National, Private]",
                f"accepted_values: [{words}]",
            ),
        },
        few_tests=True,
    )
    assert brands
    right = Home(tmp_path / "right", project, home.env)
    (right.path / "sample_data").symlink_to(home.path / "sample_data")
    mended = Home(home.path, project, env=home.env)
    assert mended.millrace("run", "--quick-report").code == 0

    done = mended.millrace("dead-letters", "replay", "pos")
    assert done.code == 0, done.text
    assert "pos.products: " in done.text
    assert "0 still break a rule" in done.text
    assert "still break" in done.text.split("pos.transactions", 1)[1], "those break other rules"
    again = mended.millrace("run", "--quick-report")
    assert again.code == 0, again.text

    loaded = right.millrace("run", "--quick-report")
    assert loaded.code == 0, loaded.text
    assert mended.tables("published") == right.tables("published")
    assert mended.query(
        "select distinct command, status from ops.ops_loads join ops.ops_runs using (run_id) "
        "order by all"
    ) == [("dead-letters replay pos", "success"), ("load", "success")]
    assert mended.query("from ops.ops_loads anti join ops.ops_runs using (run_id)") == []
    assert mended.tables("staging") == right.tables("staging")

    before = mended.tables("raw_pos")
    second = mended.millrace("dead-letters", "replay", "pos")
    assert second.code == 0
    assert " 0 replayed" in second.text
    assert mended.tables("raw_pos") == before

    shown = mended.millrace("dead-letters", "show", "pos.transactions", "--limit", "2")
    assert shown.text.count("breaks") == 2
    gone = mended.millrace(
        "dead-letters", "discard", "pos.transactions", "--reason", "the till was broken"
    )
    assert gone.code == 0
    assert " dead letters discarded" in gone.text
    assert mended.query(
        "select distinct reason from raw_pos._dead_letter_fates where fate = 'discarded'"
    ) == [("the till was broken",)]
    assert "pos." not in mended.millrace("dead-letters", "list").text
