"""The examples of the README and of docs/sources.md are put into a project, loaded and built."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from copies import project_copy
from homes import PROJECT, Home

pytestmark = pytest.mark.xdist_group("runs")

EXAMPLE = re.compile(r"^```(?:yaml|sql)\n(?:#|--) (models/[\w/.]+)[^\n]*\n(.*?)^```", re.M | re.S)
LEDGER = "models/ops/ops_row_ledger.sql"


def examples() -> list[tuple[str, str]]:
    """(file, text) of each example that begins with its file's name, in order."""
    pages = (PROJECT / "README.md", PROJECT / "docs/sources.md")
    return [found for page in pages for found in EXAMPLE.findall(page.read_text())]


def in_shop(shop: Path, *statements: str) -> None:
    """Write to the shop's database."""
    with closing(sqlite3.connect(shop)) as db:
        for statement in statements:
            db.execute(statement)
        db.commit()


def test_the_examples_load_and_build(home: Home, tmp_path: Path) -> None:
    added = "('loyalty', 'redemptions'),"
    project = project_copy(
        tmp_path / "project",
        {LEDGER: (added, f"{added} ('shop', 'orders'), ('shop', 'exchange_rates'),")},
        few_tests=True,
    )
    found = examples()
    assert [path.rpartition("/")[2] for path, _ in found] == [
        "_shop__sources.yml", "stg_shop__orders.sql",
        "_shop__sources.yml", "stg_shop__exchange_rates.sql", "_shop__models.yml",
    ]  # fmt: skip
    for path, text in found:
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        with (project / path).open("a") as file:
            file.write(text)

    shop = tmp_path / "shop.sqlite"
    home = Home(home.path, project, {**home.env, "SHOP_URL": f"sqlite:///{shop}"})
    in_shop(
        shop,
        "create table orders (order_id integer primary key, amount numeric, updated_at text)",
        "insert into orders values (1, 1.25, '2017-01-01 10:00:00'),"
        " (2, -1, '2017-01-01 10:01:00'), (3, 7, '2017-01-01 10:02:00')",
        "create table exchange_rates (currency text, rate numeric)",
        "insert into exchange_rates values ('EUR', 1.06), ('GBP', 1.23), ('OLD', 0)",
    )
    run(home)
    assert staged(home) == ([(1, "1.25"), (3, "7.00")], [("EUR", "1.060000"), ("GBP", "1.230000")])

    in_shop(
        shop,
        "update orders set amount = 2.5, updated_at = '2017-01-02 09:00:00' where order_id = 1",
        "insert into orders values (4, 4, '2017-01-02 09:00:00')",
        "delete from exchange_rates where currency = 'GBP'",
        "update exchange_rates set rate = 1.05 where currency = 'EUR'",
        "update exchange_rates set rate = 0.5 where currency = 'OLD'",
    )
    run(home)
    assert staged(home) == (
        [(1, "2.50"), (3, "7.00"), (4, "4.00")],
        [("EUR", "1.050000"), ("OLD", "0.500000")],
    )
    assert home.query(
        "select table_name, rows_accepted, rows_dead, rows_staged, rows_superseded, is_balanced "
        "from ops.ops_row_ledger where source_name = 'shop' order by 1"
    ) == [("exchange_rates", 4, 1, 2, 2, True), ("orders", 4, 1, 3, 1, True)]


def run(home: Home) -> None:
    """Load the shop and build."""
    for words in (("load", "shop"), ("build",)):
        done = home.millrace(*words)
        assert done.code == 0, done.text
        assert "warn" not in done.text


def staged(home: Home) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    """What staging holds of the shop's two tables."""
    return (
        home.query("select order_id, amount::varchar from staging.stg_shop__orders order by 1"),
        home.query(
            "select currency, rate::varchar from staging.stg_shop__exchange_rates order by 1"
        ),
    )
