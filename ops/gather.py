"""Read what the start page tells from the warehouse and the published marts.

Everything may be missing: before the first load there is no warehouse, before the first publish
there are no marts. A fact that cannot be had is empty, never an error.
"""

from contextlib import closing, suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb

from ops.facts import Book, DeadLetters, Delivery, Facts, Mart, Result, Run, Step
from ops.publish import SNAPSHOT, release

RUNS_SHOWN = 48


def gather(
    warehouse: Path, published: Path, *, target: str = "dev", now: datetime | None = None
) -> Facts:
    """Read the facts of a target from its warehouse and its published folder, changing nothing.

    `now` is naive UTC and defaults to the clock's.

    Raises:
        duckdb.IOException: another process is writing the warehouse.
    """
    snapshot = published / SNAPSHOT
    found: dict[str, Any] = {
        "now": now or datetime.now(UTC).replace(tzinfo=None),
        "target": target,
        "snapshot": str(snapshot),
    }
    release()
    if warehouse.exists():
        with closing(_open(warehouse)) as connection:
            found |= _of_warehouse(connection)
    if snapshot.exists():
        state = snapshot.stat()
        at = datetime.fromtimestamp(state.st_mtime, UTC).replace(tzinfo=None)
        found |= {"published_at": at, "published_bytes": state.st_size}
        with closing(_open(snapshot)) as connection:
            found |= {"marts": _marts(connection), "daily_sales": _daily_sales(connection)}
    found["pages"] = sorted(
        page.name for page in (published / "site").glob("*.html") if page.name != "index.html"
    )
    return Facts(**found)


def _open(database: Path) -> duckdb.DuckDBPyConnection:
    try:
        return duckdb.connect(database, read_only=True)
    except duckdb.ConnectionException:  # this process has it open for writing, and shares it
        return duckdb.connect(database)


def _of_warehouse(connection: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    runs = [
        Run(*row)
        for row in _rows(
            connection,
            "select run_id, command, target, started_at, finished_at, status, exit_code"
            f" from millrace.runs order by started_at desc limit {RUNS_SHOWN}",
        )
    ]
    steps = [
        Step(name, status, seconds, detail or "")
        for name, status, seconds, detail in _rows(
            connection,
            "select step, status, epoch(finished_at - started_at), detail"
            " from millrace.steps where run_id = ? order by started_at",
            [runs[0].run_id if runs else ""],
        )
    ]
    results = [
        Result(*row)
        for row in _rows(
            connection,
            "select resource_type, node_name, status, coalesce(execution_seconds, 0),"
            " coalesce(failures, 0), coalesce(message, '') from millrace.node_results"
            " where node_name is not null and finished_at >= coalesce((select max(r.started_at)"
            "   from millrace.runs as r join millrace.steps as s on r.run_id = s.run_id"
            "   where s.step = 'build' and s.status in ('success', 'failed')), '-infinity')"
            " qualify row_number() over (partition by unique_id order by finished_at desc) = 1"
            " order by resource_type, node_name",
        )
    ]
    freshness = dict(
        _rows(
            connection,
            "select unique_id, max_by(status, finished_at) from millrace.node_results"
            " where resource_type = 'source' group by all",
        )
    )
    books, deliveries, dead, letters = [], [], [], 0
    for schema, tables in _raw_schemas(connection):
        source = schema.removeprefix("raw_")
        for row in _rows(connection, _BOOKS.format(schema=schema)):
            fresh = (
                status
                for unique_id, status in freshness.items()
                if str(unique_id).endswith(f".{source}.{row[0]}")
            )
            books.append(Book(source, *(*row, next(fresh, ""))))
        deliveries += [
            Delivery(run, at, source, rows)
            for run, at, rows in _rows(connection, _DELIVERIES.format(schema=schema))
        ]
        settled = _SETTLED.format(schema=schema) if "_dead_letter_fates" in tables else ""
        dead += [
            DeadLetters(source, *row)
            for row in _rows(connection, _DEAD_LETTERS.format(schema=schema, settled=settled))
        ]
        letters += sum(
            rows
            for (rows,) in _rows(
                connection, f'select count(*) from "{schema}"._dead_letters {settled}'
            )
        )
    deliveries.sort(key=lambda delivery: delivery.at)
    return {
        "runs": runs,
        "steps": steps,
        "results": results,
        "books": books,
        "deliveries": deliveries,
        "open_letters": letters,
        "dead_letters": sorted(dead, key=lambda d: -d.rows),
    }


_FINISHED = (
    '(select * from "{schema}"._loads where _dlt_load_id in'
    ' (select load_id from "{schema}"._dlt_loads where status = 0))'
)
_BOOKS = (
    "select table_name, count(*), sum(rows_read)::bigint, sum(rows_accepted)::bigint,"
    f" sum(rows_dead)::bigint, max(load_number), max(extracted_at) from {_FINISHED}"
    " group by all order by 1"
)
_DELIVERIES = (
    "select run_id, min(extracted_at), sum(rows_accepted)::bigint from"
    f" {_FINISHED} group by all having sum(rows_accepted) > 0"
)
_DEAD_LETTERS = """
    select table_name, rule, count(*), min(_extracted_at),
        max_by(coalesce(_source, ''), _extracted_at),
        max_by(coalesce(left(payload, 400), ''), _extracted_at)
    from (
        select *, unnest(coalesce(
            try_cast(try_cast(broken_rules as json) as varchar[]), [broken_rules])) as rule
        from "{schema}"._dead_letters
        {settled}
    )
    group by all
"""
_SETTLED = 'where dead_letter_id not in (select dead_letter_id from "{schema}"._dead_letter_fates)'


def _raw_schemas(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, list[str]]]:
    """The schemas that hold a book of loads, by name, each with its tables."""
    return _rows(
        connection,
        "select schema_name, list(table_name) as tables from duckdb_tables()"
        " group by all having list_contains(tables, '_loads') order by 1",
    )


def _marts(connection: duckdb.DuckDBPyConnection) -> list[Mart]:
    names = _rows(
        connection,
        "select table_name, count(*) from duckdb_columns()"
        " where not internal group by all order by 1",
    )
    rows = {name: _rows(connection, f'select count(*) from "{name}"') for name, _ in names}
    return [Mart(name, rows[name][0][0], columns) for name, columns in names if rows[name]]


def _daily_sales(connection: duckdb.DuckDBPyConnection) -> list[tuple[date, float]]:
    """Sales value of all stores per day, from the mart that holds it per store."""
    columns = dict(
        _rows(
            connection,
            "select column_name, data_type from duckdb_columns()"
            " where table_name = 'fct_daily_store_sales'"
            " order by column_index",
        )
    )
    day = next((name for name, kind in columns.items() if kind == "DATE"), None)
    amount = next(
        (
            name
            for name, kind in columns.items()
            if name.startswith("sales") and kind.startswith(("DECIMAL", "DOUBLE"))
        ),
        None,
    )
    if day is None or amount is None:
        return []
    return _rows(
        connection,
        f'select "{day}", sum("{amount}")::double from fct_daily_store_sales'
        f' where "{day}" is not null group by all order by 1',
    )


def _rows(
    connection: duckdb.DuckDBPyConnection, sql: str, values: list[object] | None = None
) -> list[Any]:
    """The rows of a query; none where a table or a column of it does not exist yet."""
    with suppress(duckdb.CatalogException, duckdb.BinderException):
        return connection.execute(sql, values or []).fetchall()
    return []
