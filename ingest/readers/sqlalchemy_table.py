"""A table of any database that SQLAlchemy knows, through dlt's `sql_table`."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from ingest.declaration import Source, Table
from ingest.errors import DeclarationError, SourceError
from ingest.readers.bounds import is_number, is_time


class SqlTable:
    """The tables of one database.

    Args:
        source: the declaration.
        url: SQLAlchemy's address, its driver with it.

    Raises:
        DeclarationError: SQLAlchemy or the driver is not installed, or the address is none.
    """

    def __init__(self, source: Source, url: str) -> None:
        self._source = source
        try:
            import sqlalchemy
        except ImportError:
            raise self._missing("SQLAlchemy") from None
        try:
            self._engine = sqlalchemy.create_engine(url)
        except ImportError as error:
            raise self._missing(str(error.name)) from None
        except sqlalchemy.exc.ArgumentError as error:
            raise DeclarationError(
                f"SQLAlchemy does not know this database: {str(error).splitlines()[0]}",
                where=source.where,
                mend="write the url as dialect+driver://user:password@host/database",
            ) from None

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def items(self, table: Table, low: str | None, kind: str) -> Iterator[tuple[Any, str]]:
        """The rows since the cursor, and those without one.

        Raises:
            SourceError: there is no such table.
        """
        import sqlalchemy
        from dlt.sources.sql_database import sql_table

        cursor = table.ingest.cursor

        def since(query: Any, reflected: Any) -> Any:
            column = next((c for c in reflected.c if c.name.lower() == cursor), None)
            if column is None or low is None:
                return query
            if is_time(kind) and self._engine.dialect.name == "sqlite":
                # times are text there, of many forms: the bare day sorts before each of them
                as_text = sqlalchemy.type_coerce(column, sqlalchemy.String)
                return query.where((as_text >= low[:10]) | column.is_(None))
            return query.where((column >= _bound(low, kind, column)) | column.is_(None))

        name = table.ingest.table or table.name
        try:
            resource = sql_table(
                credentials=self._engine,
                table=name,
                schema=table.ingest.database_schema or self._source.ingest.database_schema,
                query_adapter_callback=since,
            )
            for item in resource:
                yield item, table.label
        except sqlalchemy.exc.NoSuchTableError:
            raise self._no_table(table, name) from None
        except Exception as error:
            if isinstance(error.__cause__, sqlalchemy.exc.NoSuchTableError):
                raise self._no_table(table, name) from None
            raise

    def _no_table(self, table: Table, name: str) -> SourceError:
        return SourceError(
            f"the database of {self._source.name!r} has no table {name!r}",
            where=table.where,
            mend="correct the name, or give it as `table:` under meta.ingest",
        )

    def _missing(self, what: str) -> DeclarationError:
        return DeclarationError(
            f"this database is read through SQLAlchemy; {what} is not installed",
            where=self._source.where,
            mend="pip install 'millrace[sqlalchemy]' and the database's driver",
        )


def _bound(low: str, kind: str, column: Any) -> object:
    """The bound as the column's own type takes it."""
    if column.type.python_type is str:
        return low
    if is_time(kind):
        when = datetime.fromisoformat(low)
        if column.type.python_type is not datetime:
            return when.date()
        return when.replace(tzinfo=UTC) if getattr(column.type, "timezone", False) else when
    return Decimal(low) if is_number(kind) else low
