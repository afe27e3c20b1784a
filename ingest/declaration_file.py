"""One YAML file turned into the declaration's objects, with the line of whatever is wrong."""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

import duckdb
import yaml
from pydantic import BaseModel, ValidationError

from ingest.declaration import (
    RESERVED,
    Column,
    Kind,
    SchemaContract,
    Source,
    SourceIngest,
    Table,
    TableIngest,
    nearest,
)
from ingest.errors import DeclarationError
from ingest.yaml_lines import Lines, Place, read_with_lines

Model = TypeVar("Model", bound=BaseModel)
_NAME = re.compile(r"[a-z_][a-z0-9_]*")
_NEEDS = {"sql": "url", "files": "path", "rest": "client", "dlt": "function"}
_TABLE_NEEDS = {"files": "files", "rest": "endpoint"}
_DBT_KEYS = {
    "sources": [
        "name",
        "description",
        "database",
        "schema",
        "loader",
        "loader_at_field",
        "quoting",
        "tables",
        "tags",
        "meta",
        "config",
        "loaded_at_field",
        "loaded_at_query",
        "freshness",
        "overrides",
        "unrendered_config",
    ],
    "tables": [
        "name",
        "description",
        "identifier",
        "columns",
        "config",
        "data_tests",
        "tests",
        "meta",
        "tags",
        "external",
        "loaded_at_field",
        "loaded_at_query",
        "freshness",
        "quoting",
        "loader",
    ],
    "columns": [
        "name",
        "description",
        "data_type",
        "config",
        "data_tests",
        "tests",
        "meta",
        "tags",
        "quote",
        "constraints",
        "granularity",
        "dimension",
        "entity",
    ],
}


_OURS = ("required", "check", "accepted_values")
_TYPES = [
    "bigint",
    "integer",
    "smallint",
    "tinyint",
    "hugeint",
    "double",
    "float",
    "decimal",
    "varchar",
    "text",
    "boolean",
    "date",
    "time",
    "timestamp",
    "timestamptz",
    "blob",
    "json",
    "uuid",
]


def read_file(path: Path, project: Path) -> Iterator[Source]:
    """The sources with `meta.ingest` that one YAML file declares.

    Raises:
        DeclarationError: with file and line.
    """
    shown = str(path.relative_to(project))
    try:
        document, lines = read_with_lines(path)
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{shown}:{mark.line + 1}" if mark else shown
        problem = getattr(error, "problem", None) or str(error)
        raise DeclarationError(f"this is not YAML: {problem}", where=where) from None
    if not isinstance(document, dict) or not isinstance(document.get("sources"), list):
        return
    for index, node in enumerate(document["sources"]):
        reader = _Reader(shown, lines)
        if source := reader.source(node, ("sources", index)):
            yield source


class _Reader:
    """Turns one file's nodes into objects, knowing the line of each."""

    def __init__(self, file: str, lines: Lines) -> None:
        self.file, self.lines = file, lines

    def at(self, path: Place) -> str:
        return f"{self.file}:{self.lines.line(path)}"

    def fail(self, message: str, path: Place, mend: str = "") -> DeclarationError:
        return DeclarationError(message, where=self.at(path), mend=mend)

    def source(self, node: object, path: Place) -> Source | None:
        """The source at this node, or nothing where it is not ours to load."""
        fields = self._mapping(node, path, "sources")
        if "ingest" not in _meta(fields):
            return None
        name = self._name(fields, path)
        where = (*path, "config", "meta", "ingest")
        ingest = self._typed(SourceIngest, _meta(fields)["ingest"], where)
        self._need(ingest, _NEEDS[ingest.kind], ingest.kind, where)
        tables = []
        for index, table in enumerate(self._list(fields, "tables", path)):
            tables.append(self._table(table, (*path, "tables", index), name, ingest))
        _distinct([t.name for t in tables], lambda what: self.fail(f"table {what!r} twice", path))
        schema = fields.get("schema", name)
        if not isinstance(schema, str) or not _NAME.fullmatch(schema):
            raise self.fail(f"{schema!r} cannot be a schema's name", (*path, "schema"))
        return Source(
            name=name, raw_schema=schema, ingest=ingest, tables=tuple(tables), where=self.at(path)
        )

    def _table(self, node: object, path: Place, source: str, parent: SourceIngest) -> Table:
        fields = self._mapping(node, path, "tables")
        name = self._name(fields, path)
        where = (*path, "config", "meta", "ingest")
        ingest = self._typed(TableIngest, _meta(fields).get("ingest", {}), where)
        if parent.kind in _TABLE_NEEDS:
            self._need(ingest, _TABLE_NEEDS[parent.kind], parent.kind, where)
        columns = tuple(
            self._column(column, (*path, "columns", index))
            for index, column in enumerate(self._list(fields, "columns", path))
        )
        names = [column.name for column in columns]
        _distinct(names, lambda what: self.fail(f"column {what!r} twice", (*path, "columns")))
        for key in ("primary_key", "cursor", "version"):
            value = getattr(ingest, key)
            for word in value if isinstance(value, tuple) else filter(None, [value]):
                if word not in names:
                    raise self.fail(
                        f"{key} {word!r} of {source}.{name} is not a declared column"
                        f"{nearest(word, names)}",
                        (*where, key),
                    )
        if ingest.cursor and ingest.write_disposition == "replace":
            raise self.fail("a table with a cursor is not replaced: drop one of the two", where)
        table = Table(source=source, name=name, columns=columns, ingest=ingest, where=self.at(path))
        self._try_rules(table, path)
        return table

    def _column(self, node: object, path: Place) -> Column:
        fields = self._mapping(node, path, "columns")
        name = self._name(fields, path)
        if name in RESERVED or name.startswith("_dlt"):
            raise self.fail(f"the column name {name!r} is kept for the load itself", path)
        meta = {k: v for k, v in _meta(fields).items() if k in _OURS or _like(k)}
        data_type = fields.get("data_type", "varchar")
        column = self._typed(
            Column, {"name": name, "data_type": data_type, **meta}, (*path, "config", "meta")
        )
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_ ]*(\(\d+(,\s*\d+)?\))?", column.data_type):
            raise self.fail(f"{column.data_type!r} is not a data type", (*path, "data_type"))
        return column

    def _try_rules(self, table: Table, path: Place) -> None:
        """Types and checks are tried on an empty table, so that a slip is found before any read."""
        with duckdb.connect() as con:
            for index, column in enumerate(table.columns):
                where = (*path, "columns", index)
                try:
                    con.execute(f"select null::{column.data_type}")
                except duckdb.Error:
                    raise self.fail(
                        f"{column.data_type!r} of column {column.name!r} is not a data type"
                        f"{nearest(column.data_type.split('(')[0].lower(), _TYPES)}",
                        (*where, "data_type"),
                    ) from None
            shape = ", ".join(f'null::{c.data_type} as "{c.name}"' for c in table.columns)
            for index, column in enumerate(table.columns):
                if column.check is None:
                    continue
                try:
                    con.execute(
                        f"select ({column.check})::boolean from (select {shape}) where false"
                    )
                except duckdb.Error as error:
                    raise self.fail(
                        f"the check of column {column.name!r} is not SQL over its table: "
                        f"{str(error).splitlines()[0]}",
                        (*path, "columns", index, "config", "meta", "check"),
                    ) from None

    def _name(self, fields: Mapping[str, Any], path: Place) -> str:
        name = fields.get("name")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise self.fail(
                f"{name!r} cannot be a name here: lower case letters, digits and underscores",
                (*path, "name"),
            )
        return name

    def _mapping(self, node: object, path: Place, level: str) -> dict[str, Any]:
        if not isinstance(node, dict):
            raise self.fail(f"an entry of {level!r} is not a mapping", path)
        for key in node:
            if key not in _DBT_KEYS[level] and (near := nearest(str(key), _DBT_KEYS[level])):
                raise self.fail(f"unknown key {key!r}{near}", (*path, key))
        return node

    def _list(self, fields: Mapping[str, Any], key: str, path: Place) -> list[object]:
        value = fields.get(key) or []
        if not isinstance(value, list):
            raise self.fail(f"{key!r} is not a list", (*path, key))
        return value

    def _need(self, model: BaseModel, key: str, kind: str, path: Place) -> None:
        if getattr(model, key) is None:
            raise self.fail(f"a source of kind {kind!r} needs the key {key!r} here", path)

    def _typed(self, model: type[Model], values: object, path: Place) -> Model:
        try:
            return model.model_validate(values)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise self._explain(model, first, path) from None

    def _explain(self, model: type[BaseModel], error: Any, path: Place) -> DeclarationError:
        loc = tuple(part for part in error["loc"] if part in self.lines.words(path) or _int(part))
        key = str(error["loc"][-1]) if error["loc"] else ""
        place = (*path, *loc)
        if error["type"] == "extra_forbidden":
            fields = list(model.model_fields)
            if len(error["loc"]) > 1:
                fields = list(SchemaContract.model_fields)
            return self.fail(f"unknown key {key!r}{nearest(key, fields)}", place)
        if error["type"] == "literal_error":
            allowed = list(get_args(Kind)) if key == "kind" else []
            near = nearest(str(error["input"]), allowed)
            return self.fail(
                f"{key}: {error['input']!r} is not one of {error['ctx']['expected']}{near}", place
            )
        return self.fail(f"{key}: {error['msg'].removeprefix('Value error, ')}", place)


def _like(word: str) -> bool:
    """A key of `meta` that can only be one of ours, misspelt."""
    return bool(difflib.get_close_matches(word, _OURS, 1, 0.8))


def _int(part: object) -> bool:
    return isinstance(part, int)


def _meta(fields: Mapping[str, Any]) -> dict[str, Any]:
    config = fields.get("config")
    meta = config.get("meta") if isinstance(config, dict) else None
    return meta if isinstance(meta, dict) else {}


def _distinct(names: list[str], error: Callable[[str], Exception]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise error(name)
