"""The source YAML, read into typed objects; a wrong word is an error with file and line.

dbt's own keys are dbt's business. What stands under `config.meta.ingest` (of a source or a table)
and under a column's `config.meta` is ours and is checked strictly.
"""

import difflib
import math
import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from ingest.errors import DeclarationError

Accept = Literal["", "deletes", "loss"]
"""What a person has said is right: that much is deleted at the source, that messages are lost."""
Kind = Literal["sql", "files", "rest", "dlt", "kafka"]
Format = Literal["parquet", "csv", "jsonl", "json", "text", "avro", "protobuf"]
RESERVED = ("_load_number", "_extracted_at", "_source", "_replayed_from", "_deleted")
_UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}


def _lag(value: object) -> object:
    """`1 hour`, `30 minutes` as a timedelta; a number stays one (for a cursor that is a number)."""
    if isinstance(value, bool):
        raise ValueError("write a lag as a number and a unit, like '1 hour'")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a lag is a finite number, or a number and a unit, like '1 hour'")
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"(\d+)\s+(second|minute|hour|day|week)s?", value.strip())
    if not match:
        raise ValueError("write a lag as a number and a unit, like '1 hour' or '3 days'")
    try:
        return timedelta(seconds=int(match[1]) * _UNITS[match[2]])
    except OverflowError:
        raise ValueError("this lag is longer than time itself") from None


def _duration(value: object) -> object:
    """`1 day` as a timedelta."""
    if not isinstance(value, str):
        raise ValueError("write it as a number and a unit, like '1 day'")
    return _lag(value)


def _start(value: object) -> object:
    """`earliest`, `latest`, or a time in UTC as ISO 8601 writes it."""
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, date):
        return value.isoformat()
    try:
        if value not in ("earliest", "latest"):
            datetime.fromisoformat(str(value))
    except ValueError:
        raise ValueError("write earliest, latest, or a time such as '2017-01-31 10:00'") from None
    return value


def _listed(value: object) -> object:
    """One word where a list of words may stand."""
    return [value] if isinstance(value, str) else value


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Column(_Strict):
    """One declared column: its type is DuckDB's name of it, its rules the table's contract."""

    name: str
    data_type: str
    required: bool = False
    check: str | None = None
    accepted_values: tuple[str | int | float | bool, ...] = ()


class SchemaContract(_Strict):
    """dlt's words for what may change: columns that appear, values that do not fit their type."""

    columns: Literal["evolve", "freeze", "discard_row", "discard_value"] = "evolve"
    data_type: Literal["freeze"] = "freeze"


class TableIngest(_Strict):
    """What `config.meta.ingest` of a table may say."""

    primary_key: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    cursor: str | None = None
    version: str | None = None
    lag: Annotated[timedelta | int | float, BeforeValidator(_lag)] = timedelta(0)
    write_disposition: Literal["append", "replace"] = "append"
    schema_contract: SchemaContract = SchemaContract()
    max_dead: float = Field(0.01, ge=0, le=1)
    min_share: float = Field(0.5, ge=0, le=1)  # replace: a read smaller than this share is refused
    deletes: Literal["compare", "tombstones"] | None = None
    compare_every: Annotated[timedelta, BeforeValidator(_duration)] = timedelta(days=1)
    max_deleted: float = Field(0.1, ge=0, le=1)  # deletes: of the rows alive, without asking
    window: int = Field(2_000_000, gt=0)  # rows of one load, about
    table: str | None = None  # sql: the table's name at the source
    database_schema: str | None = None
    files: str | None = None  # files: a glob below the source's path
    format: Format | None = None  # files: from the name, if not; kafka: of the values
    max_line_bytes: int = Field(16 << 20, gt=0)  # files: of one line of a CSV or JSONL file
    max_read_bytes: int = Field(4 << 30, gt=0)  # files, rest, dlt: of a file unpacked, of one read
    endpoint: dict[str, Any] | None = None  # rest: dlt's endpoint
    topic: str | None = None  # kafka: its name, or a pattern that begins with ^
    key: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()  # kafka: what the key holds
    schema_file: str | None = None  # kafka: an Avro schema, of messages that name none
    start: Annotated[str, BeforeValidator(_start)] = "earliest"  # kafka: of the first load
    isolation: Literal["read_committed", "read_uncommitted"] = "read_committed"
    max_message_bytes: int = Field(16 << 20, gt=0)  # kafka: of one value
    landing: str | None = None  # kafka: the folder where readers land what the load takes
    resource: str | None = None  # dlt: the resource of the source function
    arguments: dict[str, Any] = {}


class SourceIngest(_Strict):
    """What `config.meta.ingest` of a source may say."""

    kind: Kind
    url: str | None = None  # sql
    backend: Literal["scanner", "sqlalchemy"] | None = None  # sql: who reads; None: the quickest
    database_schema: str | None = None
    path: str | None = None  # files
    client: dict[str, Any] | None = None  # rest: dlt's client; kafka: settings of librdkafka
    brokers: str | None = None  # kafka: host:port, several by commas
    registry: str | None = None  # kafka: URL of a schema registry
    function: str | None = None  # dlt: "package.module:function"
    arguments: dict[str, Any] = {}


class Table(_Strict):
    """One source table with its columns and how it is read."""

    source: str
    name: str
    columns: tuple[Column, ...]
    ingest: TableIngest
    where: str  # file:line

    @property
    def label(self) -> str:
        """`source.table`, the table's name towards people."""
        return f"{self.source}.{self.name}"

    def column(self, name: str) -> Column:
        """The declared column of that name."""
        return next(c for c in self.columns if c.name == name)


class Source(_Strict):
    """One source: where it is and the tables taken from it."""

    name: str
    raw_schema: str
    ingest: SourceIngest
    tables: tuple[Table, ...]
    where: str

    def table(self, name: str) -> Table:
        """The declared table of that name.

        Raises:
            DeclarationError: there is none; the nearest name is given.
        """
        for table in self.tables:
            if table.name == name:
                return table
        near = nearest(name, (table.name for table in self.tables))
        raise DeclarationError(
            f"source {self.name!r} has no table {name!r}{near}",
            where=self.where,
        )


def load_sources(project: Path, env: Mapping[str, str] | None = None) -> tuple[Source, ...]:
    """Every source with `meta.ingest` that the project's model YAML declares, in order of name.

    Args:
        project: its folder.
        env: the variables by which sources are `enabled`; without it none is set.

    Raises:
        DeclarationError: a file cannot be read or says something wrong.
    """
    from ingest.declaration_file import read_file  # it builds the types of this module

    sources: dict[str, Source] = {}
    for path in sorted((project / "models").rglob("*.y*ml")):
        for source in read_file(path, project, env or {}):
            for other in sources.values():
                if other.raw_schema == source.raw_schema and other.name != source.name:
                    raise DeclarationError(
                        f"sources {other.name!r} and {source.name!r} have one schema, "
                        f"{source.raw_schema!r}; each needs its own",
                        where=source.where,
                    )
            if source.name in sources:
                first = sources[source.name].where
                raise DeclarationError(
                    f"source {source.name!r} is declared twice, also at {first}",
                    where=source.where,
                )
            sources[source.name] = source
    return tuple(sources[name] for name in sorted(sources))


def pick(sources: tuple[Source, ...], names: tuple[str, ...]) -> tuple[Source, ...]:
    """The sources and tables that words like `pos` or `pos.products` name; all for none."""
    if not names:
        return sources
    chosen: dict[str, list[Table]] = {}
    by_name = {source.name: source for source in sources}
    for word in names:
        source_name, _, table_name = word.partition(".")
        if source_name not in by_name:
            raise DeclarationError(
                f"there is no source {source_name!r}{nearest(source_name, by_name)}"
            )
        source = by_name[source_name]
        tables = [source.table(table_name)] if table_name else list(source.tables)
        chosen.setdefault(source_name, []).extend(tables)
    return tuple(
        by_name[name].model_copy(
            update={"tables": tuple(t for t in by_name[name].tables if t in tables)}
        )
        for name, tables in chosen.items()
    )


def nearest(word: str, words: Iterable[str]) -> str:
    """`; did you mean …?` for the nearest of the words, or nothing."""
    near = difflib.get_close_matches(word, list(words), 1, 0.6)
    return f"; did you mean {near[0]!r}?" if near else ""
