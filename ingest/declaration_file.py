"""One YAML file turned into the declaration's objects, with the line of whatever is wrong."""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path, PurePath

import duckdb
import yaml
from pydantic import BaseModel

from ingest.declaration import (
    RESERVED,
    Column,
    Kind,
    Source,
    SourceIngest,
    Table,
    TableIngest,
    nearest,
)
from ingest.declaration_nodes import NAME, Nodes, kept, like_ours
from ingest.declaration_rules import try_rules
from ingest.declaration_topics import registry_fits, topic_fits
from ingest.declaration_words import (
    NEEDS,
    OURS,
    SOURCE_KEYS,
    TABLE_KEYS,
    TABLE_NEEDS,
    TAKEN_SCHEMAS,
)
from ingest.errors import DeclarationError
from ingest.message_columns import message_columns
from ingest.yaml_lines import Place, read_with_lines

_INGEST = ("config", "meta", "ingest")


def read_file(path: Path, project: Path, env: Mapping[str, str]) -> Iterator[Source]:
    """The sources with `meta.ingest` that one YAML file declares and does not switch off.

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
    reader = _Reader(Nodes(shown, lines, env))
    for index, node in enumerate(reader.nodes.list(document, "sources", ())):
        if source := reader.source(node, ("sources", index)):
            yield source


class _Reader:
    """Turns one file's nodes into objects, knowing the line of each."""

    def __init__(self, nodes: Nodes) -> None:
        self.nodes, self.fail = nodes, nodes.fail

    @cached_property
    def _con(self) -> duckdb.DuckDBPyConnection:
        return duckdb.connect()

    def source(self, node: object, path: Place) -> Source | None:
        """The source at this node, or nothing where it is not ours to load."""
        fields = self.nodes.mapping(node, path, "sources")
        meta = self.nodes.meta(fields, path)
        if "ingest" not in meta:
            return None
        name = self.nodes.name(fields, path)
        ingest = self.nodes.typed(SourceIngest, meta["ingest"], (*path, *_INGEST))
        self._kind_keys(ingest, SOURCE_KEYS, NEEDS, ingest.kind, (*path, *_INGEST))
        if ingest.function is not None and not re.fullmatch(r"[\w.]+:\w+", ingest.function):
            raise self.fail(
                f"function: {ingest.function!r} is not written as package.module:function",
                (*path, *_INGEST, "function"),
            )
        schema = fields.get("schema", name)
        if not isinstance(schema, str) or not NAME.fullmatch(schema) or not kept(schema):
            raise self.fail(f"{schema!r} cannot be a schema's name", (*path, "schema"))
        if schema in TAKEN_SCHEMAS:
            raise self.fail(
                f"the schema {schema!r} is not for a source; write raw_{name}", (*path, "schema")
            )
        nodes = self.nodes.list(fields, "tables", path)
        tables = tuple(
            self._table(table, (*path, "tables", index), name, ingest)
            for index, table in enumerate(nodes)
        )
        _distinct(
            [t.name for t in tables],
            lambda index, what: self.fail(f"table {what!r} twice", (*path, "tables", index)),
        )
        registry_fits(
            ingest,
            tuple(table.ingest for table in tables),
            lambda what, key: self.fail(what, (*path, *_INGEST, key)),
        )
        is_on = self.nodes.enabled(fields, path)
        there = tuple(
            table
            for index, table in enumerate(tables)
            if self.nodes.enabled(nodes[index], (*path, "tables", index), of_source=is_on)
        )
        if not is_on and not there:
            return None
        where = self.nodes.at(path)
        return Source(name=name, raw_schema=schema, ingest=ingest, tables=there, where=where)

    def _table(self, node: object, path: Place, source: str, parent: SourceIngest) -> Table:
        fields = self.nodes.mapping(node, path, "tables")
        name = self.nodes.name(fields, path)
        if name.startswith("_"):
            raise self.fail(f"the table name {name!r}: an underscore begins our own tables", path)
        if fields.get("identifier", name) != name:
            raise self.fail(
                "a loaded table has no identifier: its name is its name in raw",
                (*path, "identifier"),
            )
        where = (*path, *_INGEST)
        ingest = self.nodes.typed(
            TableIngest, self.nodes.meta(fields, path).get("ingest", {}), where
        )
        self._kind_keys(ingest, TABLE_KEYS, TABLE_NEEDS, parent.kind, where)
        columns = tuple(
            self._column(column, (*path, "columns", index))
            for index, column in enumerate(self.nodes.list(fields, "columns", path))
        )
        names = [column.name for column in columns]
        if parent.kind == "kafka":
            names += [column.name for column in message_columns(ingest)]
        _distinct(
            names,
            lambda index, what: self.fail(f"column {what!r} twice", (*path, "columns", index)),
        )
        self._columns_named(ingest, names, f"{source}.{name}", where)
        self._fits_together(ingest, parent.kind, where)
        if parent.kind == "kafka":
            topic_fits(ingest, parent, columns, lambda what, key: self.fail(what, (*where, key)))
            columns = (*columns, *message_columns(ingest))
        elif ingest.format not in (None, "parquet", "csv", "jsonl"):
            raise self.fail(f"format: files are not {ingest.format}", (*where, "format"))
        at = self.nodes.at(path)
        table = Table(source=source, name=name, columns=columns, ingest=ingest, where=at)
        try_rules(self._con, table, lambda message, place: self.fail(message, (*path, *place)))
        return table

    def _columns_named(
        self, ingest: TableIngest, names: list[str], label: str, where: Place
    ) -> None:
        for key in ("primary_key", "cursor", "version", "key"):
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
        self._deletes_fit(ingest, kind, where)
        if isinstance(ingest.lag, int | float) and ingest.lag < 0:
            raise self.fail("a lag is not negative", (*where, "lag"))
        if ingest.files is not None:
            parts = PurePath(ingest.files).parts
            if not parts or ".." in parts or PurePath(ingest.files).is_absolute():
                raise self.fail(
                    f"files: {ingest.files!r} is not a pattern below the source's path",
                    (*where, "files"),
                )

    def _deletes_fit(self, ingest: TableIngest, kind: Kind, where: Place) -> None:
        if ingest.deletes is None:
            for key in ("compare_every", "max_deleted"):
                if key in ingest.model_fields_set:
                    raise self.fail(f"{key} says nothing without `deletes: compare`", (*where, key))
            return
        place = (*where, "deletes")
        if ingest.deletes == "tombstones":
            self._tombstones_fit(ingest, kind, place)
            return
        if kind != "sql":
            raise self.fail(
                f"deletes: a source of kind {kind!r} has no quick list of its keys; "
                "only one of kind 'sql' is compared",
                place,
            )
        if not ingest.primary_key:
            raise self.fail("deletes: a table is compared by its primary_key, and has none", place)
        if ingest.write_disposition == "replace":
            raise self.fail("deletes: a table that is replaced has lost what is gone", place)

    def _tombstones_fit(self, ingest: TableIngest, kind: Kind, place: Place) -> None:
        if kind != "kafka":
            raise self.fail("deletes: only a topic has tombstones", place)
        if not ingest.key or set(ingest.key) != set(ingest.primary_key):
            raise self.fail(
                "deletes: a tombstone has nothing but its key: `key` and `primary_key` name the "
                "same columns",
                place,
            )

    def _column(self, node: object, path: Place) -> Column:
        fields = self.nodes.mapping(node, path, "columns")
        name = self.nodes.name(fields, path)
        if name in RESERVED or name.startswith("_dlt"):
            raise self.fail(f"the column name {name!r} is kept for the load itself", path)
        meta = {k: v for k, v in self.nodes.meta(fields, path).items() if k in OURS or like_ours(k)}
        data_type = fields.get("data_type", "varchar")
        if not isinstance(data_type, str):
            raise self.fail(f"{data_type!r} is not a data type", (*path, "data_type"))
        values = {"name": name, "data_type": data_type, **meta}
        return self.nodes.typed(Column, values, (*path, "config", "meta"))

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


def _distinct(names: list[str], error: Callable[[int, str], Exception]) -> None:
    for index, name in enumerate(names):
        if name in names[:index]:
            raise error(index, name)
