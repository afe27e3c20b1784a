"""The raw zone, reached through dlt: numbered loads, state, and the undoing of what did not finish.

A load is one dlt load package. Its number is in the pipeline's state, on every row and in the book;
the package is finished when dlt has written its row into `_dlt_loads`, and only then does the state
that came with it count. The local working folder is scratch: wiped here and restored from the
destination.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import tenacity

from ingest import stored_state
from ingest.declaration import Source, Table
from ingest.errors import LoadError
from ingest.factory import DuckDb
from ingest.raw_tables import BOOK, BOOKS, DELETED, LOAD_COLUMNS, Part, load_columns
from ingest.readers import FileSeen, TableState
from ingest.session import FRESH_FILES
from ingest.types import hint, literal, quote


class Destination:
    """The raw schema of one source.

    Args:
        source: the declaration.
        warehouse: the DuckDB file.
        scratch: a folder to work in.
        guard: called when the warehouse has been opened, and before each load is brought in.
    """

    def __init__(
        self,
        source: Source,
        warehouse: Path,
        scratch: Path,
        guard: Callable[[], None] = lambda: None,
    ) -> None:
        self._source, self._warehouse, self._scratch = source, warehouse, scratch / "dlt"
        self._guard = guard
        self._raw = DuckDb(str(warehouse))
        self._pipeline: Any = None
        self._con: duckdb.DuckDBPyConnection | None = None

    @contextmanager
    def connected(self) -> Iterator[None]:
        """Hold the database open: each of dlt's connections then costs nothing.

        Raises:
            LoadError: another process holds it, also after some seconds.
        """
        self._warehouse.parent.mkdir(parents=True, exist_ok=True)
        with _DestinationErrors(self._source):
            con = _connect(self._warehouse)
        try:
            self._guard()
            con.execute("set TimeZone = 'UTC'")
            # dlt's connections share these. 6 M rows of lineitem come in as quickly as within 700
            # MB, and 2 M messages with a fifth less memory; raw rows have no order to keep.
            con.execute("set memory_limit = '360MB'")
            con.execute("set preserve_insertion_order = false")
            for name, value in FRESH_FILES.items():
                con.execute(f"set {name} = {str(value).lower()}")
            self._con = con
            yield
        finally:
            self._con = None
            con.close()

    def open(self, types: dict[str, dict[str, str]]) -> None:
        """Restore the state, undo what did not finish, and make the tables that are not there.

        Args:
            types: table to column to DuckDB type, as declared.

        Raises:
            LoadError: the destination cannot be reached or is held by another process.
        """
        shutil.rmtree(self._scratch, ignore_errors=True)
        self._pipeline = dlt.pipeline(
            pipeline_name=self._source.name,
            pipelines_dir=str(self._scratch),
            destination=self._raw,
            dataset_name=self._source.raw_schema,
        )
        with _DestinationErrors(self._source):
            if self._has("_dlt_pipeline_state"):
                stored_state.drop_torn(self, self._execute)
            self._pipeline.sync_destination()
            self._pipeline._state_restored = True  # or `run` would ask for it once more
            if self._has("_loads"):
                self._settle_state()
            self._undo()
            self._make_tables(types)

    @property
    def finished(self) -> int:
        """The number of the last finished load; 0 before the first."""
        return int(self._state().get("load_number", 0))

    def state(self, table: Table) -> TableState:
        """What the last finished load left as the table's state.

        A position in a column that is the cursor no longer says nothing of the present one.
        """
        state = dict(self._state().get("tables", {}).get(table.name, {}))
        if state.get("cursor_column", table.ingest.cursor) != table.ingest.cursor:
            for name in ("cursor", "cursor_column", "edge"):
                state.pop(name, None)
        return state

    def commit(self, number: int, parts: Iterable[Part], states: dict[str, TableState]) -> None:
        """Bring all parts in as load `number`, with the tables' new states, or not at all.

        Raises:
            LoadError: the load did not finish; the next start undoes what came in of it.
        """
        tables = {**self._state().get("tables", {}), **states}
        new = {"load_number": number, "tables": tables}
        merged = _merged(parts)
        resources = [_resource(part) for part in merged]
        # the state changes while the first resource is read, and is kept only with the whole load
        resources[0] = _resource(merged[0], new)
        self._raw.files = {part.table: list(part.files) for part in merged}
        self._guard()
        with _DestinationErrors(self._source):
            if self._pipeline.has_pending_data:
                # dlt would bring that in, and leave this out
                raise RuntimeError("a load before it is unfinished")
            self._pipeline.run(dlt.source(lambda: resources, name=self._source.name)())

    def keep(self, states: dict[str, TableState]) -> None:
        """Bring in the tables' new states alone: no load, no number, nothing in the book.

        Raises:
            LoadError: the destination did not take them; then the former ones count.
        """
        self.commit(self.finished, [Part("_loads", BOOK)], states)

    def arrow(self, sql: str) -> pa.Table:
        """The rows of a query over the raw schema's database."""
        if self._con is None:
            with self.connected():
                return self.arrow(sql)
        with _DestinationErrors(self._source):
            return self._con.execute(sql).to_arrow_table()

    def count(self, sql: str) -> int:
        """How many rows `from …` has."""
        return int(self.arrow(f"select count(*) as n {sql}")["n"][0].as_py())

    def any(self, sql: str) -> bool:
        """Whether `from …` has a row."""
        return bool(self.arrow(f"select 1 {sql} limit 1").num_rows)

    def relation(self, table: str) -> str:
        """The qualified name of a raw table."""
        return f"{quote(self._source.raw_schema)}.{quote(table)}"

    def columns(self, table: str) -> dict[str, str]:
        """Column to type of a raw table, without the columns that loads put there."""
        own = self._every_column(table)
        return {n: kind for n, kind in own.items() if n not in {**LOAD_COLUMNS, **DELETED}}

    def _every_column(self, table: str) -> dict[str, str]:
        rows = self.arrow(
            "select column_name, data_type from duckdb_columns() where database_name = "
            f"current_database() and schema_name = {literal(self._source.raw_schema)} "
            f"and table_name = {literal(table)} order by column_index"
        ).to_pylist()
        return {row["column_name"]: row["data_type"] for row in rows}

    def files(self, table: Table) -> list[FileSeen]:
        """The files of the table that finished loads have taken."""
        rows = self.arrow(
            f"select path, size, modified_ns, hash, repeats from {self.relation('_files')} "
            f"where table_name = {literal(table.name)}"
        )
        return [FileSeen(**row) for row in rows.to_pylist()]

    def _state(self) -> dict[str, Any]:
        sources = self._pipeline.state.get("sources", {})
        state: dict[str, Any] = sources.get(self._source.name, {})
        return state

    def _settle_state(self) -> None:
        """Make the state that of the newest load in the book, which goes by number, not by time."""
        newest, own = stored_state.by_the_book(self, self._source, self.finished)
        if newest != self.finished:
            with self._pipeline.managed_state() as state:
                state.setdefault("sources", {})[self._source.name] = {**own, "load_number": newest}

    def _undo(self) -> None:
        """Delete, by number, the rows of loads that did not finish."""
        for table in self._tables():
            column = "load_number" if table == "_loads" else "_load_number"
            where = f"from {self.relation(table)} where {column} > {self.finished}"
            if self.any(where):
                self._execute(f"delete {where}")

    def _has(self, table: str) -> bool:
        return self.any(
            "from duckdb_tables() where database_name = current_database() and schema_name = "
            f"{literal(self._source.raw_schema)} and table_name = {literal(table)}"
        )

    def _tables(self) -> list[str]:
        rows = self.arrow(
            "select distinct table_name from duckdb_columns() join duckdb_tables() "
            "using (database_name, schema_name, table_name) where database_name = "
            f"current_database() and schema_name = {literal(self._source.raw_schema)} "
            "and column_name in ('_load_number', 'load_number') and table_name not like '\\_dlt%' "
            "escape '\\'"
        ).to_pylist()
        return [row["table_name"] for row in rows]

    def _make_tables(self, types: dict[str, dict[str, str]]) -> None:
        there = set(self._tables())
        wanted = {
            name: {**columns, **load_columns(self._source.table(name))}
            for name, columns in types.items()
        }
        missing = {n: c for n, c in {**wanted, **BOOKS}.items() if n not in there}
        if lost := sorted(missing.keys() & self._state().get("tables", {}).keys()):
            raise LoadError(
                f"{', '.join(lost)} of the schema {self._source.raw_schema!r} is gone, though "
                "loads brought rows into it",
                where=self._source.where,
                mend="bring it back from a backup; or, to read the whole source anew, drop the "
                "schema with all its tables",
            )
        # a column that is declared now is there for dbt, whether or not a row ever comes with it;
        # so is one of the books that an older version of Millrace did not write
        for name, columns in {**wanted, "_loads": BOOK}.items():
            if name in there and not columns.keys() <= self._every_column(name).keys():
                missing[name] = BOOKS.get(name) or wanted[name]
        if missing:
            # dlt makes a table for a file that is imported with just the columns that are given
            parts = [
                Part(name, columns, () if name == "_loads" else (self._empty(name, columns),))
                for name, columns in missing.items()
            ]
            self.commit(self.finished, parts, {})

    def _empty(self, name: str, columns: dict[str, str]) -> Path:
        path = self._scratch / f"{name}.empty.parquet"
        pq.write_table(pa.table({column: pa.nulls(0) for column in columns}), path)
        return path

    def _execute(self, sql: str) -> None:
        assert self._con is not None
        self._con.execute(sql)


@tenacity.retry(
    retry=tenacity.retry_if_exception_message(match="(?s).*[Cc]ould not set lock"),
    wait=tenacity.wait_random_exponential(multiplier=0.1, max=1),
    stop=tenacity.stop_after_delay(5),
    reraise=True,
)
def _connect(path: Path) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(str(path))


def _merged(parts: Iterable[Part]) -> list[Part]:
    merged: dict[str, Part] = {}
    for part in parts:
        if part.table in merged:
            first = merged[part.table]
            part = Part(
                part.table,
                {**first.columns, **part.columns},
                first.files + part.files,
                first.rows + part.rows,
            )
        merged[part.table] = part
    return list(merged.values())


def _resource(part: Part, new_state: dict[str, Any] | None = None) -> Any:
    def rows() -> Iterator[Any]:
        if new_state is not None:
            dlt.current.source_state().update(new_state)
        for path in part.files[:1]:  # its job brings all, see `factory`
            yield dlt.mark.with_file_import(str(path), "parquet", 1)
        if part.rows:
            yield [row() for row in part.rows]
        if not part.files and not part.rows:
            yield dlt.mark.materialize_table_schema()

    form: Any = {"file_format": "parquet"} if part.files else {}
    columns: Any = {name: {"name": name, **hint(kind)} for name, kind in part.columns.items()}
    return dlt.resource(
        rows,
        name=part.table,
        columns=columns,
        write_disposition="append",
        **form,
        max_table_nesting=0,
    )


class _DestinationErrors:
    """Turns what dlt and DuckDB raise about the destination into one clear error."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, Exception) or isinstance(error, LoadError):
            return
        root: BaseException = error
        while root.__cause__ is not None:
            root = root.__cause__
        lines = str(root).strip().splitlines() or [type(root).__name__]
        raise LoadError(
            f"the destination did not take the load: {lines[0]}",
            where=self._source.name,
            mend="the same command again continues; nothing of this load counts",
        ) from error
