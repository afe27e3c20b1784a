"""The readers: each turns (table, state) into batches that DuckDB can read."""

import importlib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable
from urllib.parse import unquote

import duckdb

from ingest.declaration import RESERVED, Source, Table
from ingest.errors import SourceError, UnsetError
from ingest.hidden import ENV, SECRET_KEY, URL_PASSWORD, forms
from ingest.names import snake_case
from ingest.types import quote

TableState = dict[str, Any]
Environment = Mapping[str, str]


def breaking(rule: str) -> str:
    """SQL: the one rule that a dead letter breaks, as its column."""
    return f"'[\"{rule}\"]' as broken_rules"


UNPARSABLE = breaking("unparsable")


@dataclass(frozen=True)
class FileSeen:
    """One file of a drop, as `_files` keeps it. Size in bytes; hash is the content's SHA-256."""

    path: str
    size: int
    modified_ns: int
    hash: str
    repeats: str | None = None  # the path of the same content seen before, which alone was read


@dataclass(frozen=True)
class Batch:
    """One batch: a SQL relation over the session's connection, and where the next read starts.

    Attributes:
        relation: SQL select with the found columns (named as raw names them) and `_source`.
        found: column to DuckDB type, `_source` left out.
        state: what the table's state is to say once this batch is loaded; its `cursor` is the
            highest of the batch, and at most the one given here.
        cursor_from: the lower bound asked of the source; None for a read from the start.
        cursor_to: the upper bound, where rows above it, and those without a cursor, were not
            asked for, and the source compares as raw does.
        settle: is given the cursor that was reached, and adds to the state.
        notes: what people should know of the source.
        backfill: the batch is of a stretch below the table's position, which stays as it is.
        unparsable: SQL select (payload, broken_rules, _source) of what is no row at all, or None.
        files: the files that were read or recognised.
        origin: SQL over `_source` of what names a row for good together with it: the content of
            a file, a topic's id. Such rows never come twice. None where the source reads again
            what it read before.
        places: `_source` alone names such a row: its payload is as it is declared at the time.
        held: SQL condition of the rows of raw that a batch with an origin may bring again.
        joins: it may be of one load with the batch after it.
        replayed_from: SQL over the row `b`: the load that it ranks by, if not its own.
        kept: the state counts also without news.
        taken: called when the load, or its state alone, is in.
        confirm: called when the batch has been read; raises SourceError where the source changed
            meanwhile, so that the batch cannot be trusted.
    """

    relation: str
    found: dict[str, str]
    state: TableState = field(default_factory=dict)
    cursor_from: str | None = None
    cursor_to: str | None = None
    settle: Callable[[str | None], TableState] = lambda reached: {}
    notes: tuple[str, ...] = ()
    backfill: bool = False
    unparsable: str | None = None
    files: tuple[FileSeen, ...] = ()
    origin: str | None = None
    places: bool = False
    held: str | None = None
    joins: bool = False
    replayed_from: str = "null::bigint"
    kept: bool = False
    taken: Callable[[], None] = lambda: None
    confirm: Callable[[], None] = lambda: None


class Reader(Protocol):
    """Reads the tables of one source. Opened once for all of its tables."""

    def batches(self, table: Table, state: TableState) -> Generator[Batch, None, None]:
        """The table's batches since `state`, each to be loaded before the next is asked for.

        A batch that could not be checked is thrown back (`generator.throw`): a reader that can
        gives it again in smaller or safer pieces.
        """
        ...


Key = tuple[str, ...]


@runtime_checkable
class KeyReader(Reader, Protocol):
    """A reader that can list the keys of a table without the rows."""

    def keys(self, table: Table) -> tuple[str, dict[str, str]]:
        """The primary keys that the source has at one moment.

        Returns:
            SQL select of the key's columns as raw names them, and their DuckDB types.
        """
        ...

    def rows_of(self, table: Table, keys: list[Key] | None) -> Generator[Batch, None, None]:
        """One batch that has the rows of these keys, and maybe others.

        Args:
            table: the declaration.
            keys: as `keys` gave them, each value as text; None for every row.
        """
        ...


@runtime_checkable
class TopicReader(Protocol):
    """A reader of topics, of which the oldest messages may be gone before they are read."""

    def behind_loss(self, table: Table, state: TableState) -> Generator[Batch, None, None]:
        """As `batches`, which stops where messages are lost; the books are told of them."""
        ...

    def again(
        self, table: Table, state: TableState, asked: Any, book: Any
    ) -> Generator[Batch, None, None]:
        """What was read since a point, once more: see `rewound`."""
        ...


Seen = Callable[[Table], Iterable[FileSeen]]


def open_reader(
    source: Source, con: duckdb.DuckDBPyConnection, scratch: Any, env: Environment, seen: Seen
) -> AbstractContextManager[Reader]:
    """The reader for the source's kind.

    Args:
        source: the declaration.
        con: the session that will read the batches.
        scratch: a folder for what a reader must put down for DuckDB to read.
        env: where `env:NAME` is looked up.
        seen: the files of a table that finished loads have taken already.
    """
    module = {
        "sql": "sql", "files": "files", "rest": "resource", "dlt": "resource", "kafka": "kafka"
    }  # fmt: skip
    opened = importlib.import_module(f"ingest.readers.{module[source.ingest.kind]}")
    reader: AbstractContextManager[Reader] = opened.open_source(source, con, scratch, env, seen)
    return reader


def resolve(value: Any, env: Environment, where: str) -> Any:
    """The value with every `env:NAME` in it looked up, in mappings and lists too.

    Raises:
        UnsetError: the variable is not set; its name is given, no value is.
    """
    if isinstance(value, str) and (match := ENV.fullmatch(value)):
        if match[1] not in env:
            raise UnsetError(match[1], where=where)
        return env[match[1]]
    if isinstance(value, dict):
        return {key: resolve(item, env, where) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [resolve(item, env, where) for item in value]
    return value


def secrets(source: Source, env: Environment) -> tuple[str, ...]:
    """What must not be shown of a source: values of `env:NAME` words, passwords and tokens.

    A password in a URL counts as it stands there, as it is meant, and as a driver quotes it; each
    also as addresses, Python, JSON and base64 write it.
    """
    found: set[str] = set()
    for part in (source.ingest, *(table.ingest for table in source.tables)):
        found |= set(_secret_texts(part.model_dump(), env, ""))
    return tuple(text for text in found if len(text) > 3)


def _secret_texts(value: Any, env: Environment, key: str) -> Iterator[str]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _secret_texts(item, env, str(name))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _secret_texts(item, env, key)
    elif isinstance(value, str):
        match = ENV.fullmatch(value)
        text = env.get(match[1], "") if match else value
        is_folder = key in ("path", "landing") and "://" not in text
        if (match and not is_folder) or SECRET_KEY.search(key):
            yield from forms(text)
        if url := URL_PASSWORD.fullmatch(text):
            meant = unquote(url["password"])
            for password in (url["password"], meant):
                yield from forms(password)
            for mark in "'\"":
                yield from (quoted(meant, mark), quoted(meant, mark)[1:-1])


def quoted(value: str, mark: str = "'") -> str:
    """The value as a connection string quotes it: PostgreSQL's with ', DuckDB's of MySQL with "."""
    return mark + value.replace("\\", "\\\\").replace(mark, f"\\{mark}") + mark


def raw_names(table: Table, columns: Iterable[str], taken: tuple[str, ...] = ()) -> dict[str, str]:
    """Each column of the source to its name in raw: as declared, else in snake case.

    Args:
        table: the declaration.
        columns: of the source.
        taken: names in raw that are not for them.

    Raises:
        SourceError: two columns of the source would get one name.
    """
    declared = {column.name for column in table.columns}
    names: dict[str, str] = {}
    for column in columns:
        low = column.lower()
        name = low if low in declared else _raw_name(column, len(names))
        name = f"own{name}" if name in taken else name
        if name in names.values():
            first = next(key for key, value in names.items() if value == name)
            raise SourceError(
                f"the columns {first!r} and {column!r} of {table.label} are both {name!r} in raw",
                where=table.where,
                mend="rename one of them at the source, or read a view that does",
            )
        names[column] = name
    return names


def _raw_name(column: str, index: int) -> str:
    name = snake_case(column) if column.strip() else f"column_{index}"
    return f"own{name}" if name in RESERVED or name.startswith("_dlt") else name


def renamed(names: Mapping[str, str]) -> str:
    """The SQL select list that gives each source column its name in raw."""
    return ", ".join(
        quote(column) if column == name else f"{quote(column)} as {quote(name)}"
        for column, name in names.items()
    )


def cursor_kind(con: duckdb.DuckDBPyConnection, table: Table) -> str:
    """The DuckDB type that the table's cursor is declared with."""
    declared = table.column(str(table.ingest.cursor)).data_type
    row = con.execute(f"select typeof(cast(null as {declared}))").fetchone()
    return str(row[0]) if row else ""


def described(con: duckdb.DuckDBPyConnection, relation: str) -> dict[str, str]:
    """Column to DuckDB type of a relation, without running it."""
    rows = con.execute(f"describe {relation}").fetchall()
    return {row[0]: row[1] for row in rows if row[0] != "_source"}
