"""A table's rules compiled to the SQL that splits a batch into accepted rows and dead letters.

One pass over the source: every declared column cast to its type (the value as it came stays beside
it as `raw:<column>` where the cast changes its type), where the row came from, and `broken:rules`:
NULL for a good row, else the names of all the rules it breaks. As in SQL, a check that comes to
NULL is not broken; one that cannot be worked out for a row is.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import duckdb

from ingest.declaration import Column, Table
from ingest.errors import ContractError
from ingest.types import cast, fits, literal, quote, storable

BROKEN = quote("broken:rules")


@dataclass(frozen=True)
class Shape:
    """A batch's columns after the check: name to DuckDB type as raw keeps it, in raw's order."""

    columns: dict[str, str]
    recast: tuple[str, ...]  # columns whose value as it came is kept in raw:<column>
    beside: tuple[str, ...] = ()  # columns of the batch that raw does not take

    def payload(self, alias: str) -> str:
        """SQL: the row as it came, every value as text, as one JSON object."""
        parts = [
            f"{literal(name)}, {alias}.{quote(self._came(name))}::varchar"
            for name in (*self.columns, *self.beside)
        ]
        return f"json_object({', '.join(parts)})::varchar"

    def _came(self, name: str) -> str:
        return f"raw:{name}" if name in self.recast else name


@dataclass(frozen=True)
class Compiled:
    """The one SQL pass of a table's contract over one batch, and the shape it makes."""

    select: str
    shape: Shape


def declared_types(con: duckdb.DuckDBPyConnection, table: Table) -> dict[str, str]:
    """Each declared column to the canonical name of its DuckDB type."""
    if not table.columns:
        return {}
    shape = ", ".join(f"null::{c.data_type} as {quote(c.name)}" for c in table.columns)
    return {row[0]: row[1] for row in con.execute(f"describe select {shape}").fetchall()}


def compile_contract(
    table: Table,
    relation: str,
    found: Mapping[str, str],
    types: Mapping[str, str],
    kept: Mapping[str, str],
) -> Compiled:
    """Compile the table's rules for a relation with the columns found in it.

    Args:
        table: the declaration.
        relation: SQL of the batch; it has the found columns and `_source`.
        found: column as named in raw, to its DuckDB type in the batch.
        types: declared column to the canonical name of its DuckDB type.
        kept: column to type of what raw holds already beyond the declaration.

    Raises:
        ContractError: a column that the table cannot do without is missing, or columns are frozen
            and a new one came.
    """
    extra = _extra_columns(table, found, kept)
    _check_missing(table, found)
    shape: dict[str, str] = {column.name: types[column.name] for column in table.columns}
    shape |= extra
    inner, recast, rules = [], [], []
    for name, target in shape.items():
        source = found.get(name)
        if source is None:
            inner.append(f"null::{target} as {quote(name)}")
        elif source == target:
            inner.append(quote(name))
        else:
            recast.append(name)
            raw = quote(f"raw:{name}")
            # `:` cannot stand in a declared name, so a raw: column never meets a real one
            inner.append(f"{cast(quote(name), source, target)} as {quote(name)}")
            inner.append(f"{quote(name)} as {raw}")
            rules.append((f"type:{name}", fits(raw, quote(name), source, target)))
    for name in table.ingest.primary_key:
        if not table.column(name).required:
            rules.append((f"primary_key:{name}", _present(name, recast)))
    for column in table.columns:
        rules.extend(column_rules(column, recast))
    if "_deleted" in found:  # a tombstone has nothing but its key
        alive = f"{quote('_deleted')} is null"
        rules = [
            (name, sql if name.startswith("type:") else f"(not {alive} or ({sql}))")
            for name, sql in rules
        ]
    beside = tuple(name for name in found if name not in shape)
    inner.extend(map(quote, beside))
    if table.ingest.schema_contract.columns == "discard_row":
        rules.extend((f"column:{name}", f"{quote(name)} is null") for name in beside)
    good = " and ".join(f"({sql})" for _, sql in rules) or "true"
    named = ", ".join(f"case when not ({sql}) then {literal(name)} end" for name, sql in rules)
    listed = f"list_filter([{named}], x -> x is not null)" if rules else "null::varchar[]"
    select = (
        f"select *, case when {good} then null else {listed} end as {BROKEN} "
        f"from (select {', '.join([*inner, '_source'])} from ({relation}))"
    )
    return Compiled(select, Shape(shape, tuple(recast), beside))


def _present(name: str, recast: Collection[str]) -> str:
    """Not null as it came: a value that merely fails its type breaks the type rule alone."""
    return f"{quote(f'raw:{name}' if name in recast else name)} is not null"


def column_rules(column: Column, recast: Collection[str]) -> list[tuple[str, str]]:
    """The rules of one column: name and the SQL boolean of a row that keeps it.

    Args:
        column: the declaration.
        recast: the columns whose value as it came is in `raw:<column>`.
    """
    rules, name = [], quote(column.name)
    if column.required:
        rules.append((f"required:{column.name}", _present(column.name, recast)))
    if column.check:
        held = f"coalesce(({column.check}\n)::boolean, true)"
        rules.append((f"check:{column.name}", f"coalesce(try({held}), false)"))
    if column.accepted_values:
        values = ", ".join(
            f"{literal(str(value).lower() if isinstance(value, bool) else str(value))}"
            f"::{column.data_type}"
            for value in column.accepted_values
        )
        rules.append(
            (f"accepted_values:{column.name}", f"({name} is null or {name} in ({values}))")
        )
    return rules


def _extra_columns(
    table: Table, found: Mapping[str, str], kept: Mapping[str, str]
) -> dict[str, str]:
    declared = {column.name for column in table.columns}
    new = {name: storable(kind) for name, kind in found.items() if name not in declared}
    policy = table.ingest.schema_contract.columns
    if policy == "freeze" and new:
        raise ContractError(
            f"the source has columns that are not declared: {', '.join(sorted(new))}",
            where=table.where,
            mend="declare them, or set schema_contract: {columns: evolve}",
        )
    if policy != "evolve":
        return {}
    return {name: kept.get(name, kind) for name, kind in new.items()}


def _check_missing(table: Table, found: Mapping[str, str]) -> None:
    needed = set(table.ingest.primary_key) | {c.name for c in table.columns if c.required}
    if table.ingest.cursor:
        needed.add(table.ingest.cursor)
    if missing := sorted(needed - set(found)):
        raise ContractError(
            f"{table.label} has no column {', '.join(missing)}; it has {', '.join(sorted(found))}",
            where=table.where,
            mend="correct the column's name in the declaration, or at the source",
        )
