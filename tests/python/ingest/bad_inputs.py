"""Bad inputs made at random from a seed: for every reader files, tables, pages and items.

Each row that is put in carries a mark of its own, so that it can be found again wherever it went.
`Bad(…).marks` are those that a whole reading must bring; `mended` is the same rows as they should
have come.
"""

import gzip
import io
import json
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

COLUMNS = {
    "id": {"data_type": "bigint", "required": True},
    "note": "varchar",
    "qty": "integer",
    "price": "decimal(10,2)",
    "at": "timestamp",
}
ODD_NAMES = [
    "plain", "sp ace", "semi;colon", "quo'te", 'dou"ble', "line\nbreak", "per%cent %00", "[1]*?",
    "ünï 🙂", "bidi\u202e gnp", "'; drop table canary; --", "$(touch canary)", "`id`", "-rf",
    "a=b", "n" * 180, "comma,|&", "back\\slash", "..", "tab\t",
]  # fmt: skip
ODD_COLUMNS = [
    "select", "order", "table", "group by", "c" * 300, "x\"; drop table canary; --",
    "x'; drop table canary; --", "", " ", "ünï", "🙂", "a.b", "_source", "_load_number", "_dlt_id",
    "raw:id", "row:line", "filename", "\u202eevil", "a\tb", "1", "broken:rules", "item", "line",
    "key", "payload", "rowid", "b", "h", "n",
]  # fmt: skip
ODD_TEXTS = [
    "", " ", "null", "NaN", "Infinity", "-inf", "1e400", "99999999999999999999999999", "0x1F",
    "1_000", "2017-02-30", "0000-00-00", "10000-01-01", "now", "01/02/03", "12:60", "true", "-0",
    "=1+1", "@SUM(A1)", "+cmd|' /C calc'!A0", "<script>alert(1)</script>", "';drop table canary;--",
    '"; drop table canary; --', "\\", "\\'", "%s %d {0} ${x}", "\u202e\u2066bidi\u2069",
    "e\u0301\u0323", "\ufeff", "\u200b", "\x01\x02\x1b[31m", "🙂" * 50, "x" * 70_000, "ﷺ", "\x7f",
    "1.005", "1.50", "-1", "{}", "[]", '{"a":', "a\u2028b", "é".encode().decode("latin-1"),
]  # fmt: skip


@dataclass
class Bad:
    """One bad input.

    Attributes:
        name: what it is called.
        data: its bytes; what the reader of its kind takes, otherwise.
        marks: the marks of the rows that are still in it.
        every: the marks of all its rows.
        mended: the same rows as they should have come.
        what: what was done to it, for whoever looks for a fault.
    """

    name: str
    data: Any
    marks: list[str]
    every: list[str]
    mended: Any
    what: list[str] = field(default_factory=list)


Rows = list[dict[str, Any]]


def _rows(chance: random.Random, number: int) -> Rows:
    """Good rows with their marks."""
    return [
        {"id": 1000 * number + i, "note": f"m{number:05}r{i}m", "qty": i, "price": f"{i}.50",
         "at": f"2017-01-01 00:00:{i:02}"}
        for i in range(chance.randint(2, 6))
    ]  # fmt: skip


def _marks(rows: Rows) -> list[str]:
    return [row["note"] for row in rows]


def _spoilt(chance: random.Random, rows: Rows) -> list[dict[str, Any]]:
    """The rows with odd values, and sometimes odd columns; each note keeps its mark."""
    spoilt = [dict(row) for row in rows]
    for row in spoilt:
        for name in chance.sample(["id", "note", "qty", "price", "at"], chance.randint(0, 2)):
            text = chance.choice(ODD_TEXTS)
            row[name] = f"{text}{row['note']}{text[:100]}" if name == "note" else text
        if chance.random() < 0.15:
            row[chance.choice(ODD_COLUMNS)] = chance.choice(ODD_TEXTS)
        if chance.random() < 0.1:
            del row[chance.choice(["qty", "price", "at"])]
    return spoilt


def _file(
    chance: random.Random, number: int, ending: str, plain: bytes, bad: bytes, rows: Rows,
    what: list[str],
) -> Bad:  # fmt: skip
    """The bytes as a file: packed, cut, mispacked or as they are."""
    name = f"{number:05}-{chance.choice(ODD_NAMES)}{ending}".replace("/", "_")
    data, packed = bad, ""
    marks = [mark for mark in _marks(rows) if _is_in(mark, bad)]
    if chance.random() < 0.25 and ending != ".parquet":
        packed = chance.choice([".gz", ".zst"])
        codec = "gzip" if packed == ".gz" else "zstd"
        name += packed
        data = pa.compress(bad, codec, asbytes=True) if bad else gzip.compress(b"")
        plain = pa.compress(plain, codec, asbytes=True)
    match chance.randrange(12):
        case 0 if len(data) > 2:
            what.append("cut")
            data = data[: chance.randrange(1, len(data))]
            if not packed and ending != ".parquet":
                marks = [mark for mark in marks if _is_in(mark, data)]
        case 1 if data:
            what.append("bytes turned")
            turned = bytearray(data)
            for _ in range(3):
                turned[chance.randrange(len(turned))] = chance.randrange(256)
            data = bytes(turned)
            marks = [m for m in marks if packed or _is_in(m, data)]
        case 2:
            what.append("packed as it does not say")
            data = gzip.compress(bad) if not packed else bad
        case 3:
            what.append("other bytes")
            start = chance.choice([b"PK\x03\x04", b"PAR1", b"\x1f\x8b", b"SQLite format 3\0", b""])
            data = start + chance.randbytes(chance.randint(0, 300))
            marks = []
        case 4:
            what.append("empty")
            data, marks = b"", []
    return Bad(name, data, marks, _marks(rows), plain, what)


def _is_in(mark: str, data: bytes) -> bool:
    return mark.encode() in data or mark.encode("utf-16-le") in data


def csv_file(chance: random.Random, number: int) -> Bad:
    """A CSV file."""
    rows, what = _rows(chance, number), []
    columns = list(rows[0])
    spoilt = _spoilt(chance, rows)
    sign = chance.choice([",", ",", ";", "\t", "|"])
    header = list(columns)
    match chance.randrange(10):
        case 0:
            header[chance.randrange(5)] = chance.choice(ODD_COLUMNS)
        case 1:
            header[chance.randrange(5)] = header[chance.randrange(5)]
        case 2:
            header = []
            what.append("no header")
        case 3:
            header.append(chance.choice(ODD_COLUMNS))
            what.append("header too long")
    lines = [sign.join(_field(chance, name, sign) for name in header)] if header else []
    for row in spoilt:
        fields = [_field(chance, str(row.get(name, "")), sign) for name in columns]
        if chance.random() < 0.15:
            fields += ["more"] * chance.randint(1, 3)
        if chance.random() < 0.1:
            fields = fields[: chance.randint(2, 4)]
        lines.append(sign.join(fields))
        if chance.random() < 0.1:
            lines.append("")
    end = chance.choice(["\n", "\n", "\r\n", "\r"])
    text = end.join(lines) + chance.choice(["", end])
    if chance.random() < 0.1:
        text = text.replace(end, "\r\n", 1)
    good = "\n".join([",".join(columns), *(",".join(str(v) for v in r.values()) for r in rows)])
    return _file(chance, number, ".csv", good.encode(), _encoded(chance, text, what), rows, what)


def _field(chance: random.Random, text: str, sign: str) -> str:
    """A field as CSV writes it, mostly."""
    needs = any(letter in text for letter in (sign, '"', "\n", "\r"))
    match chance.randrange(25):
        case 0:
            return '"' + text
        case 1:
            return f'{text}"'
        case 2:
            return f'"{text}" x'
        case 3:
            return '"' + text.replace('"', '""') + '\nmore"'
    return '"' + text.replace('"', '""') + '"' if needs or chance.random() < 0.2 else text


def _encoded(chance: random.Random, text: str, what: list[str]) -> bytes:
    match chance.randrange(12):
        case 0:
            return text.encode("latin-1", "replace") + b""
        case 1:
            return b"\xef\xbb\xbf" + text.encode("utf-8", "replace")
        case 2:
            what.append("utf-16")
            return text.encode("utf-16", "replace")
        case 3:
            data = bytearray(text.encode("utf-8", "replace"))
            data.insert(chance.randrange(len(data) + 1), chance.choice(b"\x00\xff\xc3\x1a"))
            return bytes(data)
        case 4:
            return ("é" + text).encode("cp1252", "replace")
    return text.encode("utf-8", "replace")


def json_file(chance: random.Random, number: int) -> Bad:
    """A file of JSON lines."""
    rows, what = _rows(chance, number), []
    lines = []
    for row in _spoilt(chance, rows):
        line = json.dumps({**row, **_odd_members(chance)}, ensure_ascii=chance.random() < 0.5)
        match chance.randrange(20):
            case 0:
                line = line[:-1]
            case 1:
                line = line.replace('"', "'")
            case 2:
                line = line[:-1] + ', "id": 1}'
            case 3:
                line = f"[{line}]"
            case 4:
                line = f"{line} // why"
            case 5:
                line = line.replace(": ", ":\t", 1)
        lines.append(line)
        if chance.random() < 0.1:
            lines.append(chance.choice(["", "   ", "null", "[]", "7", '"x"']))
    end = chance.choice(["\n", "\n", "\r\n"])
    text = end.join(lines) + chance.choice(["", end])
    good = "\n".join(map(json.dumps, rows))
    bad = _encoded(chance, text, what)
    return _file(chance, number, ".jsonl", good.encode(), bad, rows, what)


def _odd_members(chance: random.Random) -> dict[str, Any]:
    match chance.randrange(12):
        case 0:
            deep: Any = 1
            for _ in range(chance.choice([5, 500])):
                deep = [deep] if chance.random() < 0.5 else {"a": deep}
            return {"deep": deep}
        case 1:
            return {chance.choice(ODD_COLUMNS): chance.choice([1, "x", None, [], {}])}
        case 2:
            return {"qty": chance.choice([1.5, 10**30, True, [1], {"a": None}, None, -0.0, 1e308])}
        case 3:
            return {"price": float(chance.choice(["nan", "inf", "-inf", "1e-300"]))}
        case 4:
            return {"id": chance.choice([None, "x", 2**63, 2**64, -1, 1e18, "007"])}
    return {}


def parquet_file(chance: random.Random, number: int) -> Bad:
    """A Parquet file; a column has one type, of several."""
    rows, what = _rows(chance, number), []
    count = len(rows)
    kinds: dict[str, Callable[[], pa.Array]] = {
        "texts": lambda: pa.array([chance.choice(ODD_TEXTS) for _ in range(count)]),
        "doubles": lambda: pa.array([chance.choice([1.5, float("nan"), 1e308]) for _ in rows]),
        "wide": lambda: pa.array([chance.choice([2**64 - 1, 0, None]) for _ in rows], pa.uint64()),
        "bytes": lambda: pa.array([chance.randbytes(5) for _ in rows]),
        "lists": lambda: pa.array([[1, None]] * count),
        "structs": lambda: pa.array([{"a": 1, "b": [None]}] * count),
        "nanos": lambda: pa.array([chance.randrange(10**18)] * count, pa.timestamp("ns", "UTC")),
        "nulls": lambda: pa.nulls(count),
        "days": lambda: pa.array([chance.randrange(-(10**5), 10**5)] * count, pa.date32()),
        "times": lambda: pa.array([1] * count, pa.time64("us")),
        "bools": lambda: pa.array([True] * count),
        "decimals": lambda: pa.array([10**20] * count, pa.decimal128(38, 0)),
        "durations": lambda: pa.array([5] * count, pa.duration("us")),
        "words": lambda: pa.array(["a"] * count).dictionary_encode(),
    }
    columns: dict[str, pa.Array] = {
        "id": pa.array([row["id"] for row in rows]),
        "note": pa.array(_marks(rows)),
    }
    for name in chance.sample(["id", "qty", "price", "at", *ODD_COLUMNS], chance.randint(1, 3)):
        kind = chance.choice(list(kinds))
        what.append(f"{name[:20]}: {kind}")
        columns[name or "none"] = kinds[kind]()
    if chance.random() < 0.08:
        del columns["id"]
    good = parquet(pa.Table.from_pylist([{k: row[k] for k in ("id", "note")} for row in rows]))
    bad = parquet(pa.table(columns))
    made = _file(chance, number, ".parquet", good, bad, rows, what)
    if chance.random() < 0.1 and len(made.data) > 12 and made.data[-4:] == b"PAR1":
        what.append("absurd footer")
        length = chance.choice([0, 2**31 - 1, 2**32 - 1])
        made.data = made.data[:-8] + struct.pack("<I", length) + b"PAR1"
    if what[-1] not in ("other bytes", "empty"):
        made.marks = _marks(rows)  # packed inside: a part is no part of it
    return made


def parquet(table: pa.Table) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, compression="none")
    return out.getvalue()


def items(chance: random.Random, number: int) -> Bad:
    """Items as an API or a function gives them."""
    rows = _rows(chance, number)
    spoilt: list[Any] = [{**row, **_odd_members(chance)} for row in _spoilt(chance, rows)]
    return Bad(f"t{number}", spoilt, _marks(rows), _marks(rows), rows)


def sql_rows(chance: random.Random, number: int) -> Bad:
    """Columns and rows of a SQLite table: any value in any column."""
    rows = _rows(chance, number)
    names = list(rows[0])
    odd = [name for name in chance.sample(ODD_COLUMNS, chance.randint(0, 2)) if name.strip()]
    made = []
    for row in _spoilt(chance, rows):
        values: list[Any] = [row.get(name) for name in (*names, *odd)]
        for index in range(len(values)):
            if names[index : index + 1] != ["note"] and chance.random() < 0.1:
                values[index] = chance.choice(
                    [b"\xff\x00", 2**63 - 1, -(2**63), 1e308, float("inf"), "\x00", None, b""]
                )
        made.append(values)
    return Bad(f"t{number}", ([*names, *odd], made), _marks(rows), _marks(rows), rows)
