"""The other readers: any dlt resource, REST, SQLAlchemy, an object store."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
import resources_for_tests
from projects import Project, source, table
from services import postgres
from test_ingest_faults import served

from ingest.errors import DeclarationError, SourceError
from ingest.readers.places import _regex

LINES = {"id": "bigint", "updated_at": "timestamp", "name": "varchar"}
MODULE = "resources_for_tests"


def _dlt(function: str, *tables: dict[str, Any], **ingest: Any) -> dict[str, Any]:
    return source("shop", *tables, kind="dlt", function=f"{MODULE}:{function}", **ingest)


def test_a_dlt_source(project: Project) -> None:
    project.env["TOKEN"] = "canary of the token"
    node = _dlt(
        "shop",
        table("lines", LINES, primary_key="id", cursor="updated_at", lag="1 hour"),
        table("arrow", {"id": "bigint", "price": "decimal(10,2)", "day": "date"}),
        table("twice", {"id": "bigint"}, resource="doubled"),
        arguments={"since": "{cursor}", "token": "env:TOKEN"},
    )
    resources_for_tests.asked.clear()
    result = project.load(node)
    assert not result.errors
    assert [row[:4] for row in project.raw("shop.lines")] == [
        (1, datetime(2017, 1, 1, 10), "a", "[1,2]"),
        (2, datetime(2017, 1, 1, 11), "b", None),
        (3, None, "c", "[]"),
    ]
    assert project.raw("shop.arrow") == [
        (1, Decimal("1.25"), date(2017, 1, 1)),
        (2, Decimal("2.50"), None),
    ]
    assert project.raw("shop.twice") == [(2,), (4,), (6,)]
    assert not project.load().loads
    assert resources_for_tests.asked[0] is None
    assert "2017-01-01 10:00:00" in resources_for_tests.asked
    project.check_books("shop")


@pytest.mark.parametrize("cursor", ["offset", "order", "end"])
def test_a_cursor_may_be_called_like_a_word_of_sql(project: Project, cursor: str) -> None:
    resources_for_tests.numbered[:] = [{cursor: 1}]
    made = table("lines", {cursor: "bigint"}, primary_key=cursor, cursor=cursor, resource=None)
    node = _dlt("count", made)
    assert not project.load(node).errors
    resources_for_tests.numbered.append({cursor: 2})
    assert not project.load().errors
    assert project.raw("shop.lines") == [(1,), (2,)]


def test_any_function_and_any_item(project: Project) -> None:
    columns = {"id": "bigint", "price": "decimal(10,2)", "at": "timestamp", "data": "blob"}
    node = _dlt("plain", table("lines", columns, max_dead=1, arguments={"count": 3}))
    assert not project.load(node).errors
    rows = project.raw("shop.lines")
    assert [row[0] for row in rows] == [0, 1, 2]
    assert rows[0][1:4] == (Decimal("0.10"), datetime(2017, 1, 1, 10), b"\x00\xff")
    dead = {str(payload) for _, payload, _ in project.dead("shop.lines")}
    assert dead >= {"no object", "7", "None"}
    assert len(dead) == 5
    assert not project.load().loads
    project.check_books("shop")


def test_pages_of_pandas(project: Project) -> None:
    node = _dlt("pandas", table("lines", {"id": "bigint", "price": "double"}))
    assert not project.load(node).errors
    assert project.raw("shop.lines") == [(1, 1.5), (2, 2.5)]


@pytest.mark.parametrize(
    ("function", "table_name", "says"),
    [
        (f"{MODULE}:shopp", "lines", "no function"),
        ("no_such_module:shop", "lines", "no function"),
        (f"{MODULE}:shop", "linez", "it has lines, arrow, doubled"),
        (f"{MODULE}:fails", "lines", "TypeError: no such thing"),
        (f"{MODULE}:nothing", "lines", "TypeError"),
        (f"{MODULE}:ROWS", "lines", "TypeError"),
    ],
)
def test_functions_that_cannot_be_read(
    project: Project, function: str, table_name: str, says: str
) -> None:
    node = source("shop", table(table_name, {"id": "bigint"}), kind="dlt", function=function)
    (error,) = project.load(node).errors
    assert says in str(error)
    assert isinstance(error, DeclarationError | SourceError)
    assert "Traceback" not in str(error)


def test_rest_pages_filters_and_says_the_page(project: Project) -> None:
    items = [{"id": i, "updatedAt": f"2017-01-01T{i:02}:00:00Z"} for i in range(10)]
    seen: list[str] = []

    def answer(path: str, n: int) -> tuple[int, Any]:
        seen.append(path)
        page = int(path.partition("page=")[2][:1] or 0)
        part = items[page * 4 : page * 4 + 4]
        following = f"/items?page={page + 1}" if page * 4 + 4 < len(items) else None
        return 200, {"items": part, "next": following}

    endpoint = {
        "path": "items",
        "data_selector": "items",
        "params": {"since": "{cursor}", "key": "env:KEY"},
    }
    ingest = {"primary_key": "id", "cursor": "updated_at", "lag": "1 hour"}
    columns = {"id": "bigint", "updated_at": "timestamp"}
    project.env["KEY"] = "canary-key"
    with served(answer) as url:
        client = {"base_url": url, "paginator": {"type": "json_link", "next_url_path": "next"}}
        node = source("api", table("items", columns, endpoint=endpoint, **ingest), kind="rest",
                      client=client)  # fmt: skip
        assert not project.load(node).errors
        assert project.raw("api.items", "id, _source")[4] == (4, "/items?page=1")
        assert project.raw("api.items", "id, _source")[3] == (3, "/items?key=***")
        # this API does not heed the filter: all that raw holds is known again all the same
        assert not project.load().loads
        items.append({"id": 10, "updatedAt": "2017-01-01T10:00:00Z"})
        items.append({"id": 11, "updatedAt": "2016-01-01T10:00:00Z"})
        project.load()
        assert not project.load(afresh=True).loads
    assert [row[0] for row in project.raw("api.items")] == list(range(12))
    assert "key=canary-key" in seen[0]
    assert not any("canary" in row[0] for row in project.raw("api.items", "_source"))
    assert "since" not in seen[0]
    assert any("since=2017-01-01T08" in path for path in seen)
    project.check_books("api")


@pytest.mark.parametrize(
    "endpoint", [{"path": 7}, {"path": "a", "paginator": "no such"}, {"pfad": "a"}]
)
def test_rest_that_dlt_does_not_take(project: Project, endpoint: dict[str, Any]) -> None:
    node = source("api", table("a", {"id": "bigint"}, endpoint=endpoint), kind="rest",
                  client={"base_url": "http://127.0.0.1:1"})  # fmt: skip
    (error,) = project.load(node).errors
    assert isinstance(error, DeclarationError)
    assert "models/_s__sources.yml:" in str(error)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres(timezone="Asia/Tokyo") as url:
        yield url


@pytest.mark.parametrize("database", ["postgresql", "sqlite"])
def test_a_database_through_sqlalchemy(
    project: Project, tmp_path: Path, server: str, database: str
) -> None:
    """The way for databases without a scanner; here with two that have one, to compare."""
    start = datetime(2017, 1, 1, tzinfo=UTC)
    columns = {
        "id": "bigint",
        "price": "decimal(10,2)",
        "updated_at": "timestamp",
        "day": "date",
        "data": "blob",
        "note": "varchar",
    }
    ingest = {"primary_key": "id", "cursor": "updated_at", "lag": "1 hour", "table": "Lines"}
    if database == "sqlite":
        path = tmp_path / "shop.sqlite"
        url = f"sqlite+pysqlite:///{path}"
    else:
        url = server.replace("postgresql://", "postgresql+psycopg://")
    node = source("shop", table("lines", columns, **ingest), kind="sql", url=url,
                  backend="sqlalchemy")  # fmt: skip
    shape = (
        "id bigint, price numeric(10,2), updated_at timestamptz, day date, data bytea, note text"
    )
    if database == "sqlite":
        shape = shape.replace("timestamptz", "datetime").replace("bytea", "blob")

    def put(*rows: tuple[Any, ...]) -> None:
        made = [(i, 1.25, when, date(2017, 1, 1), b"\x00\xff", "x") for i, when in rows]
        if database == "sqlite":
            with closing(sqlite3.connect(path)) as con, con:
                con.execute(f'create table if not exists "Lines" ({shape})')
                con.executemany(
                    'insert into "Lines" values (?, ?, ?, ?, ?, ?)',
                    [(r[0], r[1], r[2] and f"{r[2]:%Y-%m-%d %H:%M:%S.%f}", "2017-01-01", *r[4:])
                     for r in made],
                )  # fmt: skip
            return
        with psycopg.connect(server, autocommit=True) as pg, pg.cursor() as cursor:
            cursor.execute(f'create table if not exists "Lines" ({shape})')
            cursor.executemany('insert into "Lines" values (%s, %s, %s, %s, %s, %s)', made)

    put((1, start), (2, start + timedelta(hours=2)), (3, None))
    assert not project.load(node).errors
    assert not project.load().loads
    put((4, start + timedelta(hours=2)), (5, start + timedelta(hours=1)), (6, None), (7, start))
    assert not project.load().errors
    rows = project.raw("shop.lines")
    # 7 is later than its lag; SQLite's times are text, and are read from the bare day on
    assert [row[0] for row in rows] == [1, 2, 3, 4, 5, 6, *([7] if database == "sqlite" else [])]
    assert rows[0] == (
        1, Decimal("1.25"), datetime(2017, 1, 1), date(2017, 1, 1), b"\x00\xff", "x"
    )  # fmt: skip
    project.check_books("shop")
    node["tables"][0]["config"]["meta"]["ingest"]["table"] = "linez"
    (error,) = project.load(node).errors
    assert "no table 'linez'" in str(error)


@pytest.mark.parametrize("url", ["oracle+oracledb://a:canary7%25@b/c", "nosuch://a:canary7%25@b/c"])
def test_a_database_whose_driver_is_not_there(project: Project, url: str) -> None:
    node = source("shop", table("lines", {"id": "bigint"}), kind="sql", url=url)
    (error,) = project.load(node).errors
    assert isinstance(error, DeclarationError)
    assert "canary" not in str(error)


# --- an object store ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    """An S3 on loopback: its address."""
    moto = pytest.importorskip("moto.server", reason="pip install 'millrace[dev]'")
    running = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"{host}:{port}"
    running.stop()


def test_files_of_an_object_store(
    project: Project, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyarrow import fs

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-secret")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    s3 = fs.S3FileSystem(
        endpoint_override=store, scheme="http", region="us-east-1", allow_bucket_creation=True
    )
    s3.create_dir("bucket")

    def put(name: str, data: bytes) -> None:
        with s3.open_output_stream(f"bucket/drop/{name}") as out:
            out.write(data)

    put("2017/a.csv", b"id,note\n1,a\n2\n")
    put("2017/02/b.jsonl", b'{"id": 3}\n')
    put("2017/torn.parquet", b"PAR1")
    put("other/c.csv", b"id,note\n9,x\n")
    where = f"s3://bucket/drop?endpoint_override={store}&scheme=http&region=us-east-1"
    columns = {"id": "bigint", "note": "varchar"}
    node = source("drop", table("rows", columns, files="2017/**/*.*", max_dead=1),
                  kind="files", path=where)  # fmt: skip
    (error,) = project.load(node).errors
    assert "1 file(s) of drop.rows cannot be read: 2017/torn.parquet" in str(error)
    assert project.raw("drop.rows", "id, _source") == [
        (1, "2017/a.csv:2"),
        (3, "2017/02/b.jsonl:1"),
    ]
    assert not project.load().loads
    put("2017/again.csv", b"id,note\n1,a\n2\n")  # the same content under another name
    put("2017/a.csv", b"id,note\n1,a\n2,b\n")  # another content under the same name
    project.load(afresh=True)
    assert [row[0] for row in project.raw("drop.rows")] == [1, 1, 2, 3]
    project.check_books("drop")

    bad = {
        "no bucket": where.replace("bucket", "nowhere"),
        "no store": where.replace(store, "127.0.0.1:1"),
        "no scheme": "s4://bucket/drop",
    }
    for path in bad.values():
        node["config"]["meta"]["ingest"]["path"] = path
        (error,) = project.load(node).errors
        assert "canary" not in str(error)
        assert "object store" in str(error)


@pytest.mark.parametrize(
    ("pattern", "fits", "others"),
    [
        ("*.csv", ["a.csv", ".csv"], ["b/a.csv", "a.csv.gz", "aXcsv"]),
        ("**/*.csv", ["a.csv", "b/a.csv", "b/c/a.csv"], ["a.txt"]),
        ("b/?.csv", ["b/a.csv"], ["b/aa.csv", "b//.csv"]),
        ("b[1]/a(2).csv", ["b[1]/a(2).csv"], ["b1/a2.csv"]),
    ],
)
def test_patterns_of_an_object_store(pattern: str, fits: list[str], others: list[str]) -> None:
    import re

    assert all(re.fullmatch(_regex(pattern), name) for name in fits)
    assert not any(re.fullmatch(_regex(pattern), name) for name in others)
