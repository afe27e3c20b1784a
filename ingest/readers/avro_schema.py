"""Avro's schemas (specification 1.12): how DuckDB reads a datum, and what its fields are as text.

What is given to DuckDB has the same binary form, and nothing that is not needed for it: names are
counted, and logical types are left out, since DuckDB knows some and refuses others. They are put
upon the values in SQL. A value that its logical type cannot be keeps its number, and the contract
says that it has no such type.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from ingest.types import literal

_MOST = 5_000  # types of a schema, each use of a named one counted,
_DEEPEST = 16  # and so many within each other: with each map in a map, DuckDB takes twice as long
_LONGEST = 65_536  # bytes of a fixed
_NAMED = ("record", "error", "enum", "fixed")
Sql = Callable[[str], str]
Node = Any


@dataclass(frozen=True)
class AvroSchema:
    """How a datum is read.

    Attributes:
        fields: of the record as JSON of Avro, named f0, f1, …
        names: as the schema has them.
        texts: SQL over f0, f1, … of each field's text.
    """

    fields: list[dict[str, Any]]
    names: tuple[str, ...]
    texts: tuple[str, ...]


def avro_schema(text: str, references: Iterable[str] = ()) -> AvroSchema:
    """The schema of records.

    Args:
        text: its JSON.
        references: that of schemas whose types it names.

    Raises:
        ValueError: it is no schema of a record, or none that can be read in safety: a type that
            holds itself, an array of what takes no bytes, a fixed of no length or a huge one.
    """
    walk = _Walk()
    try:
        for each in references:
            walk.define(json.loads(each), "")
        node = json.loads(text)
        walk.define(node, "")
        node, space = walk.found(node, "")
        if not isinstance(node, dict) or node["type"] not in ("record", "error"):
            raise ValueError("it is no schema of a record")
        fields = [(each["name"], walk.part(each["type"], space)) for each in node["fields"]]
        if len({name for name, _ in fields}) < len(fields):
            raise ValueError("two of its fields have one name")
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"it is no schema of Avro: {type(error).__name__} {error}") from None
    return AvroSchema(
        [{"name": f"f{nth}", "type": part.reading} for nth, (_, part) in enumerate(fields)],
        tuple(str(name) for name, _ in fields),
        tuple(part.text(f"f{nth}") for nth, (_, part) in enumerate(fields)),
    )


@dataclass(frozen=True)
class _Part:
    """One type.

    Attributes:
        reading: the type as DuckDB gets it.
        value: SQL over a value, of what `to_json` writes as the value should be.
        text: SQL over a value, of its text.
        empty: it takes no bytes.
    """

    reading: Node
    value: Sql
    text: Sql
    empty: bool = False


def _same(value: str) -> str:
    return value


def _varchar(value: str) -> str:
    return f"{value}::varchar"


def _uuid(value: str) -> str:
    return f"hex({value})::uuid::varchar"


def _null(value: str) -> str:
    return "null::varchar"


_PRIMITIVES = {
    "null": _Part("null", _null, _null, empty=True),
    "boolean": _Part("boolean", _same, _varchar),
    "int": _Part("int", _same, _varchar),
    "long": _Part("long", _same, _varchar),
    # 0.1 of four bytes is 0.1 in JSON too, not 0.10000000149
    "float": _Part("float", lambda x: f"{x}::varchar::double", _varchar),
    "double": _Part("double", _same, _varchar),
    "bytes": _Part("bytes", _varchar, _varchar),
    "string": _Part("string", _same, _same),
}


def _or_number(tried: str) -> Sql:
    """The text of a time, or of the number where there is no such time."""
    return lambda x: f"coalesce(try({tried.format(x=x)})::varchar, {x}::varchar)"


def _time(unit: int) -> Sql:
    most = 86_400_000_000 // unit - 1
    return lambda x: (
        f"case when {x} between 0 and {most} "
        f"then (time '00:00:00' + to_microseconds({x}::bigint * {unit}))::varchar "
        f"else {x}::varchar end"
    )


_LOGICAL: dict[tuple[str, str], Sql] = {
    ("int", "date"): _or_number("date '1970-01-01' + {x}"),
    ("int", "time-millis"): _time(1000),
    ("long", "time-micros"): _time(1),
    ("long", "timestamp-millis"): _or_number("make_timestamp_ms({x})"),
    ("long", "timestamp-micros"): _or_number("make_timestamp({x})"),
    ("long", "timestamp-nanos"): _or_number("make_timestamp_ns({x})"),
}


def _decimal(scale: int) -> Sql:
    """Bytes of a big-endian two's complement as a number with so many decimals.

    What does not fit into 38 digits stays bytes.
    """

    def text(x: str) -> str:
        sign = f"case when hex({x}) >= '8' then 'F' else '0' end"
        whole = f"unhex(lpad(hex({x}), 32, {sign}))::bit::hugeint::varchar"
        if scale:
            size = f"greatest(length(ltrim(d, '-')), {scale + 1})::integer"
            digits = f"lpad(ltrim(d, '-'), {size}, '0')"
            point = f"left({digits}, -{scale}) || '.' || right({digits}, {scale})"
            # a list of one, so that the number is worked out once
            whole = (
                f"list_transform([{whole}], "
                f"lambda d: case when d[1] = '-' then '-' else '' end || {point})[1]"
            )
        return f"case when octet_length({x}) <= 16 then {whole} else {x}::varchar end"

    return text


@dataclass
class _Walk:
    """Goes through a schema's types; named types are written out wherever they are named."""

    named: dict[str, tuple[dict[str, Any], str]] = field(default_factory=dict)
    open: list[str] = field(default_factory=list)
    count: int = 0
    depth: int = 0

    def define(self, node: Node, space: str) -> None:
        """Note the named types of a schema."""
        if isinstance(node, list):
            for each in node:
                self.define(each, space)
        if not isinstance(node, dict):
            return
        if node.get("type") in _NAMED:
            name = _full(node["name"], node.get("namespace", space))
            space = name.rpartition(".")[0]
            self.named[name] = (node, space)
        for each in node.get("fields", ()):
            self.define(each["type"], space)
        for key in ("items", "values", "type"):
            self.define(node.get(key), space)

    def found(self, node: Node, space: str) -> tuple[Node, str]:
        """The type that a name stands for, and the namespace within it."""
        while isinstance(node, dict) and not isinstance(node["type"], str):
            node = node["type"]
        if isinstance(node, dict) and node["type"] in _NAMED:
            return self.named[_full(node["name"], node.get("namespace", space))]
        name = node["type"] if isinstance(node, dict) else node
        if isinstance(name, list) or name in (*_PRIMITIVES, "array", "map"):
            return node, space
        full = _full(name, space)
        return self.named[full if full in self.named else name]

    def part(self, node: Node, space: str) -> _Part:
        """How a type is read and shown.

        Raises:
            ValueError: DuckDB cannot read it.
        """
        self.count += 1
        if self.count > _MOST or self.depth == _DEEPEST:
            raise ValueError("it has too many types, or too deep ones")
        self.depth += 1
        part = self._part(*self.found(node, space))
        self.depth -= 1
        return part

    def _part(self, node: Node, space: str) -> _Part:
        if isinstance(node, list):
            return self._union([self.part(each, space) for each in node])
        if isinstance(node, str):
            return _PRIMITIVES[node]
        kind = node["type"]
        if kind in ("array", "map"):
            inner = self.part(node["items" if kind == "array" else "values"], space)
            return self._array(inner) if kind == "array" else self._map(inner)
        if kind in ("record", "error"):
            return self._record(node, space)
        return self._simple(kind, node)

    def _simple(self, kind: str, node: dict[str, Any]) -> _Part:
        """A primitive, an enum or a fixed, with its logical type."""
        logical = str(node.get("logicalType", "")).removeprefix("local-")
        if kind == "enum":
            symbols = {"type": "enum", "name": self._name(), "symbols": node["symbols"]}
            return _Part(symbols, _varchar, _varchar)
        if kind == "fixed":
            size = node["size"]
            if not (isinstance(size, int) and 0 < size <= _LONGEST):
                raise ValueError(f"a fixed of {size} bytes")  # it may end the process
            reading = {"type": "fixed", "name": self._name(), "size": size}
            part = _Part(reading, _varchar, _varchar)
            if logical == "uuid" and size == 16:
                return _Part(reading, _uuid, _uuid)
        else:
            part = _PRIMITIVES[kind]
        if logical == "decimal" and kind in ("bytes", "fixed"):
            scale = int(node.get("scale", 0))
            if not 0 <= scale <= 38:
                return part
            # in JSON a text as well: a number there may lose digits on its way
            text = _decimal(scale)
            return _Part(part.reading, text, text)
        if shown := _LOGICAL.get((kind, logical)):
            return _Part(part.reading, shown, shown)
        return part

    def _array(self, item: _Part) -> _Part:
        if item.empty:
            raise ValueError("an array of what takes no bytes may have any length")
        each = f"e{self.count}"
        shown = item.value(each)

        def value(x: str) -> str:
            return x if shown == each else f"list_transform({x}, lambda {each}: {shown})"

        return _Part({"type": "array", "items": item.reading}, value, _json_text(value))

    def _map(self, item: _Part) -> _Part:
        each = f"e{self.count}"
        shown = item.value(each)

        def value(x: str) -> str:
            # of all strings, DuckDB 1.5.5 takes a map's keys without a look at their UTF-8
            keys = f"list_transform(map_keys({x}), lambda {each}: decode(encode({each})))"
            values = f"list_transform(map_values({x}), lambda {each}: {shown})"
            return f"case when {x} is not null then map({keys}, {values}) end"

        return _Part({"type": "map", "values": item.reading}, value, _json_text(value))

    def _record(self, node: dict[str, Any], space: str) -> _Part:
        name = _full(node["name"], node.get("namespace", space))
        if name in self.open:
            raise ValueError(f"the type {name} holds itself")
        self.open.append(name)
        parts = [(str(each["name"]), self.part(each["type"], space)) for each in node["fields"]]
        self.open.pop()
        fields = [{"name": f"f{nth}", "type": part.reading} for nth, (_, part) in enumerate(parts)]
        reading = {"type": "record", "name": self._name(), "fields": fields}

        def value(x: str) -> str:
            members = ", ".join(
                f"{literal(key)}, " + part.value(f"struct_extract({x}, 'f{nth}')")
                for nth, (key, part) in enumerate(parts)
            )
            return f"case when {x} is not null then json_object({members}) end"

        return _Part(reading, value, _json_text(value), all(part.empty for _, part in parts))

    def _union(self, parts: list[_Part]) -> _Part:
        reading = [part.reading for part in parts]
        some = [(nth, part) for nth, part in enumerate(parts) if part.reading != "null"]
        if not some:
            return _Part(reading, _null, _null)
        if len(some) == 1:
            return _Part(reading, some[0][1].value, some[0][1].text)

        def chosen(shown: Callable[[_Part, str], str]) -> Sql:
            def sql(x: str) -> str:
                cases = " ".join(
                    f"when 'u{nth}' then " + shown(part, f"union_extract({x}, 'u{nth}')")
                    for nth, part in some
                )
                return f"case union_tag({x})::varchar {cases} end"

            return sql

        return _Part(
            reading,
            chosen(lambda part, x: f"to_json({part.value(x)})"),
            chosen(lambda part, x: part.text(x)),
        )

    def _name(self) -> str:
        self.count += 1
        return f"n{self.count}"


def _full(name: str, space: str | None) -> str:
    return name if "." in name or not space else f"{space}.{name}"


def _json_text(value: Sql) -> Sql:
    return lambda x: f"to_json({value(x)})::varchar"
