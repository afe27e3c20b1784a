"""The books balance, each dead letter breaks the rules that it must, and a mended rule heals it."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date
from pathlib import Path

import pytest
from homes import Home, January, project_copy

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
            "models/marts/dim_products.yml": (
                "[National, Private, Unknown]",
                f"[{words}, Unknown]",
            ),
        },
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
