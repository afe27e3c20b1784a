"""One YAML file turned into the declaration's objects, with the line of whatever is wrong."""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path, PurePath
from typing import Any, TypeVar, get_args

import duckdb
import yaml
from dlt.common.normalizers.naming.snake_case import NamingConvention
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
from ingest.declaration_rules import try_rules
from ingest.declaration_words import (
    CONFIG,
    DBT_KEYS,
    NEEDS,
    OURS,
    SOURCE_KEYS,
    TABLE_KEYS,
    TABLE_NEEDS,
    TAKEN_SCHEMAS,
)
from ingest.errors import DeclarationError
from ingest.yaml_lines import Lines, Place, read_with_lines

Model = TypeVar("Model", bound=BaseModel)
_NAME = re.compile(r"[a-z_][a-z0-9_]*")
_NAMING = NamingConvention()
_INGEST = ("config", "meta", "ingest")


def read_file(path: Path, project: Path) -> Iterator[Source]:
    """The sources with `meta.ingest` that one YAML file declares.

    Raises:
        DeclarationError: with file and line.
    """
    shown = str(path.relative_to(project))
    try:
        document, lines = read_with_lines(path)
    except (yaml.YAMLError, ValueError, OSError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{shown}:{mark.line + 1}" if mark else shown
        problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
        raise DeclarationError(f"this is not YAML: {problem}", where=where) from None
    if not isinstance(document, dict) or "sources" not in document:
        return
    reader = _Reader(shown, lines)
    for index, node in enumerate(reader.list(document, "sources", ())):
        if source := reader.source(node, ("sources", index)):
            yield source


class _Reader:
    """Turns one file's nodes into objects, knowing the line of each."""

    def __init__(self, file: str, lines: Lines) -> None:
        self.file, self.lines = file, lines

    @cached_property
    def _con(self) -> duckdb.DuckDBPyConnection:
        return duckdb.connect()

    def fail(self, message: str, path: Place) -> DeclarationError:
        return DeclarationError(message, where=f"{self.file}:{self.lines.line(path)}")

    def source(self, node: object, path: Place) -> Source | None:
        """The source at this node, or nothing where it is not ours to load."""
        fields = self._mapping(node, path, "sources")
        meta = self._meta(fields, path)
        if "ingest" not in meta:
            return None
        name = self._name(fields, path)
        ingest = self._typed(SourceIngest, meta["ingest"], (*path, *_INGEST))
        self._kind_keys(ingest, SOURCE_KEYS, NEEDS, ingest.kind, (*path, *_INGEST))
        if ingest.function is not None and not re.fullmatch(r"[\w.]+:\w+", ingest.function):
            raise self.fail(
                f"function: {ingest.function!r} is not written as package.module:function",
                (*path, *_INGEST, "function"),
            )
        schema = fields.get("schema", name)
        if not isinstance(schema, str) or not _NAME.fullmatch(schema) or not _kept(schema):
            raise self.fail(f"{schema!r} cannot be a schema's name", (*path, "schema"))
        if schema in TAKEN_SCHEMAS:
            raise self.fail(
                f"the schema {schema!r} is not for a source; write raw_{name}", (*path, "schema")
            )
        tables = tuple(
            self._table(table, (*path, "tables", index), name, ingest)
            for index, table in enumerate(self.list(fields, "tables", path))
        )
        _distinct(
            [t.name for t in tables],
            lambda index, what: self.fail(f"table {what!r} twice", (*path, "tables", index)),
        )
        where = f"{self.file}:{self.lines.line(path)}"
        return Source(name=name, raw_schema=schema, ingest=ingest, tables=tables, where=where)

    def _table(self, node: object, path: Place, source: str, parent: SourceIngest) -> Table:
        fields = self._mapping(node, path, "tables")
        name = self._name(fields, path)
        if name.startswith("_"):
            raise self.fail(f"the table name {name!r}: an underscore begins our own tables", path)
        if fields.get("identifier", name) != name:
            raise self.fail(
                "a loaded table has no identifier: its name is its name in raw",
                (*path, "identifier"),
            )
        where = (*path, *_INGEST)
        ingest = self._typed(TableIngest, self._meta(fields, path).get("ingest", {}), where)
        self._kind_keys(ingest, TABLE_KEYS, TABLE_NEEDS, parent.kind, where)
        columns = tuple(
            self._column(column, (*path, "columns", index))
            for index, column in enumerate(self.list(fields, "columns", path))
        )
        names = [column.name for column in columns]
        _distinct(
            names,
            lambda index, what: self.fail(f"column {what!r} twice", (*path, "columns", index)),
        )
        self._columns_named(ingest, names, f"{source}.{name}", where)
        self._fits_together(ingest, parent.kind, where)
        at = f"{self.file}:{self.lines.line(path)}"
        table = Table(source=source, name=name, columns=columns, ingest=ingest, where=at)
        try_rules(self._con, table, lambda message, place: self.fail(message, (*path, *place)))
        return table

    def _columns_named(
        self, ingest: TableIngest, names: list[str], label: str, where: Place
    ) -> None:
        for key in ("primary_key", "cursor", "version"):
            value = getattr(ingest, key)
            words = value if isinstance(value, tuple) else tuple(filter(None, [value]))
            for word in words:
                if word not in names:
                    raise self.fail(
                        f"{key} {word!r} of {label} is not a declared column{nearest(word, names)}",
                        (*where, key),
                    )
            _distinct(list(words), lambda _, what: self.fail(f"{what!r} twice", where))

    def _fits_together(self, ingest: TableIngest, kind: Kind, where: Place) -> None:
        if ingest.write_disposition == "replace" and ingest.cursor:
            raise self.fail("a table with a cursor is not replaced: drop one of the two", where)
        if ingest.write_disposition == "replace" and kind == "files":
            raise self.fail("files are not replaced: each is taken once", where)
        if isinstance(ingest.lag, int | float) and ingest.lag < 0:
            raise self.fail("a lag is not negative", (*where, "lag"))
        if ingest.files is not None:
            parts = PurePath(ingest.files).parts
            if not parts or ".." in parts or PurePath(ingest.files).is_absolute():
                raise self.fail(
                    f"files: {ingest.files!r} is not a pattern below the source's path",
                    (*where, "files"),
                )

    def _column(self, node: object, path: Place) -> Column:
        fields = self._mapping(node, path, "columns")
        name = self._name(fields, path)
        if name in RESERVED or name.startswith("_dlt"):
            raise self.fail(f"the column name {name!r} is kept for the load itself", path)
        meta = {k: v for k, v in self._meta(fields, path).items() if k in OURS or _like(k)}
        data_type = fields.get("data_type", "varchar")
        if not isinstance(data_type, str):
            raise self.fail(f"{data_type!r} is not a data type", (*path, "data_type"))
        values = {"name": name, "data_type": data_type, **meta}
        return self._typed(Column, values, (*path, "config", "meta"))

    def _name(self, fields: Mapping[str, Any], path: Place) -> str:
        name = fields.get("name")
        if not isinstance(name, str) or not _NAME.fullmatch(name) or not _kept(name):
            raise self.fail(
                f"{name!r} cannot be a name here: lower case letters, digits and single "
                "underscores, none of them last",
                (*path, "name"),
            )
        return name

    def _mapping(self, node: object, path: Place, level: str) -> dict[str, Any]:
        if not isinstance(node, dict):
            raise self.fail(f"an entry of {level!r} is not a mapping", path)
        ours = {"columns": set(OURS), "tables": set(TableIngest.model_fields) | {"ingest"}}
        for key in node:
            if key in DBT_KEYS[level]:
                continue
            if key in ours.get(level, {"ingest", *SourceIngest.model_fields}):
                raise self.fail(f"the key {key!r} stands under config: meta:", (*path, key))
            if near := nearest(str(key), DBT_KEYS[level]):
                raise self.fail(f"unknown key {key!r}{near}", (*path, key))
        return node

    def _meta(self, fields: Mapping[str, Any], path: Place) -> dict[str, Any]:
        """What stands under config: meta:, where all of our words are."""
        old = fields.get("meta")
        if isinstance(old, dict) and (wrong := {"ingest", *OURS} & set(old)):
            raise self.fail(f"{min(wrong)!r} stands under config: meta:", (*path, "meta"))
        config = self._dict(fields, "config", path)
        for key in config:
            if key not in CONFIG and (near := nearest(str(key), ["meta"])):
                raise self.fail(f"unknown key {key!r}{near}", (*path, "config", key))
        meta = self._dict(config, "meta", (*path, "config"))
        for key in meta:
            if key != "ingest" and (near := nearest(str(key), ["ingest"])):
                raise self.fail(f"unknown key {key!r}{near}", (*path, "config", "meta", key))
        return meta

    def _dict(self, fields: Mapping[str, Any], key: str, path: Place) -> dict[str, Any]:
        value = fields.get(key)
        if value is not None and not isinstance(value, dict):
            raise self.fail(f"{key!r} is not a mapping", (*path, key))
        return value or {}

    def list(self, fields: Mapping[str, Any], key: str, path: Place) -> list[object]:
        """The entries below a key; none where it is not there."""
        value = fields.get(key)
        if value is not None and not isinstance(value, list):
            raise self.fail(f"{key!r} is not a list", (*path, key))
        return value or []

    def _kind_keys(
        self,
        model: BaseModel,
        keys: Mapping[str, set[str]],
        needs: Mapping[str, str],
        kind: str,
        path: Place,
    ) -> None:
        for other in sorted(set().union(*keys.values()) - keys[kind]):
            if other in model.model_fields_set:
                raise self.fail(
                    f"the key {other!r} is not for a source of kind {kind!r}", (*path, other)
                )
        if kind in needs and not getattr(model, needs[kind]):
            raise self.fail(f"a source of kind {kind!r} needs the key {needs[kind]!r} here", path)

    def _typed(self, model: type[Model], values: object, path: Place) -> Model:
        try:
            return model.model_validate({} if values is None else values)
        except ValidationError as error:
            # a misspelt key first: what is missing may be just that
            every = error.errors(include_url=False)
            first = min(every, key=lambda e: e["type"] != "extra_forbidden")
            raise self._explain(model, first, path) from None

    def _explain(self, model: type[BaseModel], error: Any, path: Place) -> DeclarationError:
        words = self.lines.words(path)
        loc = tuple(part for part in error["loc"] if part in words or isinstance(part, int))
        key = str(error["loc"][0]) if error["loc"] else "ingest"
        place = (*path, *loc)
        if error["type"] == "extra_forbidden":
            within = SchemaContract if len(error["loc"]) > 1 else model
            word = str(error["loc"][-1])
            return self.fail(f"unknown key {word!r}{nearest(word, within.model_fields)}", place)
        if error["type"] == "literal_error":
            allowed = list(get_args(Kind)) if key == "kind" else []
            near = nearest(str(error["input"]), allowed)
            return self.fail(
                f"{key}: {error['input']!r} is not one of {error['ctx']['expected']}{near}", place
            )
        if error["type"] in ("model_type", "model_attributes_type"):
            return self.fail(f"{key!r} is not a mapping", place)
        return self.fail(f"{key}: {error['msg'].removeprefix('Value error, ')}", place)


def _kept(name: str) -> bool:
    """dlt keeps the name as it is."""
    return str(_NAMING.normalize_identifier(name)) == name


def _like(word: str) -> bool:
    """A key of `meta` that can only be one of ours, misspelt."""
    return bool(difflib.get_close_matches(str(word), OURS, 1, 0.8))


def _distinct(names: list[str], error: Callable[[int, str], Exception]) -> None:
    for index, name in enumerate(names):
        if name in names[:index]:
            raise error(index, name)
