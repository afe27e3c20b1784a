"""MySQL and MariaDB through DuckDB's scanner: a real server, real loads."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from urllib.parse import quote

import duckdb
import pytest
from projects import Project, source, table
from services import mariadb

from ingest.readers.addresses import attach_address
from ingest.session import load_extension
from ingest.types import literal

pytestmark = pytest.mark.xdist_group("mariadb")

COLUMNS = {
    "id": "bigint",
    "note": "varchar",
    "price": {"data_type": "decimal(10,2)", "check": "price >= 0"},
    "day": "date",
    "big": "decimal(38,0)",
    "updated_at": "timestamp",
}
DDL = """
    create table sales (id bigint primary key, Note varchar(50), price decimal(10, 2), day date,
        big bigint unsigned, updated_at datetime(6), index (updated_at))
    default character set utf8mb4
"""
NODE = source(
    "shop",
    table("sales", COLUMNS, primary_key="id", cursor="updated_at", lag="1 hour", max_dead=1),
    kind="sql",
    url="env:SHOP_URL",
)


class Shop:
    """The shop's database, written to in its own SQL."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._con = duckdb.connect()
        load_extension(self._con, "mysql_scanner")
        address = literal(attach_address(url, "mysql", ""))
        self._con.execute(f"attach {address} as shop (type mysql)")

    def run(self, *statements: str) -> None:
        """Run statements."""
        for statement in statements:
            self._con.execute("call mysql_execute('shop', ?)", [statement])


@pytest.fixture(scope="module")
def server() -> Iterator[Shop]:
    with mariadb() as url:
        yield Shop(url)


@pytest.fixture
def shop(server: Shop, project: Project) -> Shop:
    """A shop with a table of no rows, and the project's way to it."""
    server.run("drop table if exists sales", DDL)
    project.env["SHOP_URL"] = server.url
    return server


def test_first_load_increments_and_dead_letters(project: Project, shop: Shop) -> None:
    shop.run(
        """insert into sales values
        (1, 'Zürich ''s 🛒', 1.25, '2017-01-01', 18446744073709551615,
            '2017-01-01 10:00:00.123456'),
        (2, null, -1, null, 0, '2017-01-01 11:00:00'),
        (3, '', null, '9999-12-31', null, null)"""
    )
    assert not project.load(NODE).errors
    at = datetime(2017, 1, 1, 10, 0, 0, 123456)
    assert project.raw("shop.sales") == [
        (1, "Zürich 's 🛒", Decimal("1.25"), date(2017, 1, 1), 2**64 - 1, at),
        (3, "", None, date(9999, 12, 31), None, None),
    ]
    ((rules, payload, origin),) = project.dead("shop.sales")
    assert (rules, payload["id"], origin) == (("check:price",), "2", "shop.sales")
    assert not project.load().loads

    shop.run(
        "update sales set price = 2, updated_at = '2017-01-01 11:30:00' where id = 2",
        "insert into sales values (4, 'late', 1, null, 1, '2017-01-01 10:15:00')",
        "insert into sales values (5, 'too late', 1, null, 1, '2017-01-01 09:00:00')",
        "insert into sales values (6, 'undated', 1, null, 1, null)",
    )
    assert not project.load(afresh=True).errors
    assert [row[0] for row in project.raw("shop.sales", "id")] == [1, 2, 3, 4, 6]
    assert not project.load().loads
    project.check_books("shop")


def test_a_long_first_load_goes_in_windows(project: Project, shop: Shop) -> None:
    shop.run(
        "insert into sales select seq, 'x', 1, null, 1, '2017-01-01' + interval seq minute "
        "from seq_1_to_1000"
    )
    columns = {**COLUMNS, "updated_at": "timestamp"}
    sales = table("sales", columns, primary_key="id", cursor="updated_at", window=300)
    result = project.load(source("shop", sales, kind="sql", url="env:SHOP_URL"))
    assert not result.errors
    assert len(result.loads) == 4
    first = datetime(2017, 1, 1)
    assert project.raw("shop.sales", "id, updated_at") == [
        (n, first + timedelta(minutes=n)) for n in range(1, 1001)
    ]
    project.check_books("shop")


def test_a_cursor_of_text_is_no_sql(project: Project, shop: Shop) -> None:
    """To MySQL a backslash is a sign: a quote after one would end the text."""
    drop = "'; drop table sales; -- "
    texts = [f"1 {drop}", "2 x\\", f"3 \\{drop}", f"4 \\\\{drop}"]
    columns = {"id": "bigint", "note": "varchar"}
    lines = table("sales", columns, primary_key="id", cursor="note")
    node = source("shop", lines, kind="sql", url="env:SHOP_URL")
    for number, text in enumerate(texts, 1):
        shop.run(f"insert into sales (id, note) values ({number}, x'{text.encode().hex()}')")
        assert not project.load(node).errors, text
        assert [row[:2] for row in project.raw("shop.sales", "id, note")][number - 1 :] == [
            (number, text)
        ]


def test_the_day_that_is_none_comes_as_null(project: Project, shop: Shop) -> None:
    shop.run(
        "set sql_mode = ''",
        "insert into sales values (1, 'no day', 1, '0000-00-00', 1, '2017-01-01 10:00:00'), "
        "(2, 'good', 1, '2017-01-01', 1, '2017-01-01 10:00:00')",
    )
    assert not project.load(NODE).errors
    assert project.raw("shop.sales", "id, day") == [(1, None), (2, date(2017, 1, 1))]
    project.check_books("shop")


def test_a_wrong_password_is_told_without_it(project: Project, shop: Shop) -> None:
    project.env["SHOP_URL"] = shop.url.replace("secret", "canary")
    (error,) = project.load(NODE).errors
    assert "canary" not in str(error)
    assert "canary" not in "".join(project.lines)


def test_any_password(project: Project, shop: Shop) -> None:
    shop.run("insert into sales (id) values (1)", r"""set password = password('a "b\\c''d=é ;%')""")
    try:
        password = quote("a \"b\\c'd=é ;%", safe="")
        project.env["SHOP_URL"] = shop.url.replace(":secret@", f":{password}@")
        assert not project.load(NODE).errors
        assert project.raw("shop.sales", "id") == [(1,)]
    finally:
        shop.run("set password = password('secret')")


def test_deleted_rows_and_those_that_come_back(project: Project, shop: Shop) -> None:
    key = {"primary_key": ["note", "id"], "cursor": "updated_at", "deletes": "compare",
           "compare_every": "0 days", "max_deleted": 0.5}  # fmt: skip
    at = "1.25, '2017-01-01', 1, '2017-01-01 10:00:00'"
    names = ["O''Hara", "o''hara", "Zürich", r"back\\\\slash", "plain", "last"]
    rows = [f"({index}, '{name}', {at})" for index, name in enumerate(names)]
    shop.run(f"insert into sales values {', '.join(rows)}, (9, 'new', {at.replace('10:', '11:')})")
    project.load(source("shop", table("sales", COLUMNS, **key), kind="sql", url="env:SHOP_URL"))
    shop.run("delete from sales where id in (0, 3)")
    (died,) = project.load().loads
    assert died.accepted == 2
    for row in (rows[0], rows[3]):  # by its key; and, for the backslash, by a read of the table
        shop.run(f"insert into sales values {row}")
        (back,) = project.load().loads
        assert back.accepted == 1
        assert not project.load().loads
    assert len(project.sql("from raw_shop.sales where _deleted")) == 2
    project.check_books("shop")
