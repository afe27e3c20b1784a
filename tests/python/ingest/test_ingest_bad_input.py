"""Bad values and bad files: a row is in raw unchanged, or a dead letter, or its file is named.

One drop holds all the files of a kind, so each also shows that a bad file stops only itself.
"""

import gzip
import io
import json
import sqlite3
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from projects import Project, source, table

from ingest.load import SourceResult

COLUMNS = {
    "id": {"data_type": "bigint", "required": True},
    "qty": "integer",
    "price": "decimal(10,2)",
    "day": "date",
    "at": "timestamp",
    "size": "double",
    "flag": "boolean",
    "note": "varchar",
}
DEAD = None

VALUES: list[tuple[str, str, str | None]] = [
    *(("qty", good, good.strip().lstrip("+")) for good in ("1", "-5", "2147483647", " 7 ", "+7")),
    ("qty", "1.0", "1"),
    ("qty", "1e3", "1000"),
    ("qty", "1.5e1", "15"),
    *(
        ("qty", bad, DEAD)
        for bad in [
            "1.5",
            "-1.5",
            "2147483648",
            "-2147483649",
            "99999999999999999999",
            "1e400",
            "1e10",
            "NaN",
            "Infinity",
            "-inf",
            "abc",
            "1,5",
            "1_000",
            "0x1F",
            "١٢",
            "--1",
            "12-34",
            "null",
            "None",
            "true",
            "1;drop",
            "'",
            '"',
            "\\",
            "0.1",
            "1.0000000001",
            "🙂",
        ]
    ),
    ("qty", "1 2", DEAD),
    ("qty", "1; drop table raw_drop.rows; --", DEAD),
    ("price", "19.99", "19.99"),
    ("price", "1.500", "1.50"),
    ("price", "-0.01", "-0.01"),
    ("price", "1e2", "100.00"),
    ("price", "99999999.99", "99999999.99"),
    *(
        ("price", bad, DEAD)
        for bad in [
            "1.005",
            "100000000.00",
            "-100000000",
            "NaN",
            "inf",
            "$5",
            "1.2.3",
            "1,234.50",
            "0.001",
            "1e-3",
            "1e9",
            "..",
            "-",
            "12345678901234567890123456789012345678901",
            "free",
        ]
    ),
    ("day", "2017-02-28", "2017-02-28"),
    ("day", "2017-02-15 00:00:00", "2017-02-15"),
    ("day", "9999-12-31", "9999-12-31"),
    *(
        ("day", bad, DEAD)
        for bad in [
            "2017-02-30",
            "15.02.2017",
            "02/15/2017",
            "today",
            "0000-00-00",
            "2017-13-01",
            "2017",
            "1e9",
            "x",
        ]
    ),
    ("day", "2017-02-15 10:00:00", DEAD),
    ("day", "2017-02-15 00:00:00.000001", DEAD),
    ("at", "2017-02-15", "2017-02-15 00:00:00"),
    ("at", "2017-02-15 10:00:00", "2017-02-15 10:00:00"),
    ("at", "2017-02-15T10:00:00Z", "2017-02-15 10:00:00"),
    ("at", "2017-02-15T10:00:00+02:00", "2017-02-15 08:00:00"),
    ("at", "2017-02-15 23:30:00.25-05:00", "2017-02-16 04:30:00.25"),
    ("at", "2017-02-15 10:00:00.123456", "2017-02-15 10:00:00.123456"),
    *(("at", bad, DEAD) for bad in ["now", "1487152800", "2017-02-30T10:00:00", "10:00", "soon"]),
    ("at", "2017-02-15 25:00:00", DEAD),
    ("size", "1.5", "1.5"),
    ("size", "0.30000000000000004", "0.30000000000000004"),
    ("size", "NaN", "nan"),
    ("size", "-Infinity", "-inf"),
    *(("size", bad, DEAD) for bad in ["1,5", "big", "0x1p3", "1e", "1.2.3"]),
    ("flag", "true", "true"),
    ("flag", "F", "false"),
    *(("flag", bad, DEAD) for bad in ["maybe", "2", "tru"]),
    ("note", "null", "null"),
    ("note", "NaN", "NaN"),
    ("note", " spaces ", " spaces "),
    ("note", "'; drop table raw_drop.rows; --", "'; drop table raw_drop.rows; --"),
    ("note", 'quotes "inside"', 'quotes "inside"'),
    ("note", "line\nbreak", "line\nbreak"),
    ("note", "comma, semicolon; tab\t", "comma, semicolon; tab\t"),
    ("note", "ünïcödé 🙂 漢字 \u202e", "ünïcödé 🙂 漢字 \u202e"),
    ("note", "back\\slash \\n \\u0041", "back\\slash \\n \\u0041"),
    ("note", '{"json": [1, null]}', '{"json": [1, null]}'),
    ("note", "\x01control\x1f", "\x01control\x1f"),
    ("note", "x" * 200_000, "x" * 200_000),
]


def _node(kind: str, **ingest: Any) -> dict[str, Any]:
    where = {"files": {"path": "env:DROP"}, "sql": {"url": "env:DB"}}[kind]
    return source("drop", table("rows", COLUMNS, max_dead=1, **ingest), kind=kind, **where)


def _check_values(project: Project, result: SourceResult) -> None:
    """Every value of VALUES (row i has id i) met its fate, and nothing else is there."""
    assert [str(error) for error in result.errors] == []
    names = list(COLUMNS)
    raw = {
        int(row[0]): row
        for row in project.raw("drop.rows", ", ".join(f'"{name}"::varchar' for name in names))
    }
    dead = {int(payload["id"]): (rules, payload) for rules, payload, _ in project.dead("drop.rows")}
    for number, (column, text, wanted) in enumerate(VALUES):
        if wanted is DEAD:
            rules, payload = dead.pop(number)
            assert (rules, payload[column]) == ((f"type:{column}",), text)
        else:
            expected = [str(number) if name == "id" else None for name in names]
            expected[names.index(column)] = wanted
            assert list(raw.pop(number)) == expected
    assert not raw
    assert not dead
    project.check_books("drop")


def _rows() -> list[dict[str, Any]]:
    return [{"id": i, column: text} for i, (column, text, _) in enumerate(VALUES)]


def test_values_from_csv(project: Project, tmp_path: Path) -> None:
    project.env["DROP"] = str(tmp_path)
    lines = [",".join(COLUMNS)]
    for row in _rows():
        fields = [str(row.get(name, "")) for name in COLUMNS]
        lines.append(",".join('"' + field.replace('"', '""') + '"' for field in fields))
    (tmp_path / "rows.csv").write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")
    _check_values(project, project.load(_node("files", files="*.csv")))


def test_values_from_json_lines(project: Project, tmp_path: Path) -> None:
    project.env["DROP"] = str(tmp_path)
    text = "\n".join(json.dumps(row) for row in _rows())
    (tmp_path / "rows.jsonl").write_text(text)
    _check_values(project, project.load(_node("files", files="*.jsonl")))


def test_values_from_parquet(project: Project, tmp_path: Path) -> None:
    project.env["DROP"] = str(tmp_path)
    types = [(name, pa.int64() if name == "id" else pa.string()) for name in COLUMNS]
    pq.write_table(pa.Table.from_pylist(_rows(), pa.schema(types)), tmp_path / "rows.parquet")
    _check_values(project, project.load(_node("files", files="*.parquet")))


def test_values_from_sqlite(project: Project, tmp_path: Path) -> None:
    database = tmp_path / "till.sqlite"
    project.env["DB"] = f"sqlite:///{database}"
    with sqlite3.connect(database) as con:
        con.execute(f"create table rows ({', '.join(COLUMNS)})")
        for row in _rows():
            names = list(row)
            con.execute(f"insert into rows ({', '.join(names)}) values (?, ?)", list(row.values()))
    con.close()
    _check_values(project, project.load(_node("sql")))


# --- files ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A file: how many rows of it are good, how many dead, or the words of its error."""

    name: str
    data: bytes
    good: int = 0
    dead: int = 0
    error: str = ""


def _gz(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


_BIG = b"id,note\n" + b"".join(b"%d,%d\n" % (i, i * 7919 % 1000) for i in range(5000))

CSV = [
    Case("plain.csv", b"id,note\n1,a\n2,b\n", 2),
    Case("no_last_newline.csv", b"id,note\n1,a\n2,c", 2),
    Case("crlf.csv", b"id,note\r\n1,a\r\n2,d\r\n", 2),
    Case("mixed_ends.csv", b"id,note\r\n1,a\n2,e\r\n3,f\n", 3),
    Case("carriage_returns.csv", b"id,note\r1,a\r2,g\r", 2),
    Case("bom.csv", b"\xef\xbb\xbfid,note\n1,h\n", 1),
    Case("semicolons.csv", b"id;note\n1;i,j\n", 1),
    Case("tabs.tsv", b"id\tnote\n1\tk,l\n", 1),
    Case("bars.csv", b"id|note\n1|m\n", 1),
    Case("upper.CSV", b"ID,NOTE\n1,n\n", 1),
    Case("order.csv", b"note,id\no,1\n", 1),
    Case("spaces_in_header.csv", b" id , note \n1,p\n", 1),
    Case("extra_column.csv", b"id,note,colour\n1,q,red\n", 1),
    Case("fewer_columns.csv", b"id\n1\n2\n3\n", 3),
    Case("nameless_column.csv", b",id,note\n0,1,r\n", 1),
    Case("sql_in_header.csv", b'id,note,"x""; drop table raw_drop.rows; --"\n1,s,t\n', 1),
    Case("sql'; drop table x; --.csv", b"id,note\n1,u\n", 1),
    Case("brackets[1].csv", b"id,note\n1,v\n", 1),
    Case("star*.csv", b"id,note\n1,w\n", 1),
    Case("question?.csv", b"id,note\n1,x\n", 1),
    Case('quote".csv', b"id,note\n1,y\n", 1),
    Case("line\nbreak.csv", b"id,note\n1,z\n", 1),
    Case("ünïcödé 🙂.csv", b"id,note\n1,aa\n", 1),
    Case("latin1.csv", "id,note\n1,café\n2,the\n".encode("latin-1"), 1, 1),
    Case("latin1_many.csv", ("id,note\n" + "1,é\n" * 50 + "2,e\n").encode("latin-1"), 1, 50),
    Case("invalid_utf8_quoted.csv", b'id,note\n1,"\xff\xfe"\n2,"ok"\n', 1, 1),
    Case("nul.csv", b"id,note\n1,a\x00b\n", 1),
    Case("too_few.csv", b"id,note\n1\n2,bb\n", 1, 1),
    Case("too_many.csv", b"id,note\n1,cc,dd\n2,ee\n", 1, 1),
    Case("all_too_many.csv", b"id,note\n1,ff,gg\n2,hh,ii\n", 0, 2),
    Case("quote_unclosed.csv", b'id,note\n1,"abc\n3,jj\n5,kk\n', 2, 1),
    Case("quote_unclosed_last.csv", b'id,note\n1,ll\n2,"mm', 1, 1),
    Case("quote_unclosed_then_closed.csv", b'id,note\n1,"abc\n3,4\n5,"x"\n7,8\n', 3, 1),
    Case("quote_then_text.csv", b'id,note\n1,"abc"d\n3,nn\n', 1, 1),
    Case("quote_inside.csv", b'id,note\n1,ab"c\n3,oo\n', 2),
    Case("newline_inside.csv", b'id,note\n1,"pp\nqq"\n2,rr\n', 2),
    Case("newline_inside_and_torn.csv", b'id,note\n1,"ss\ntt"\n2\n3,uu\n', 2, 1),
    Case("blank_lines.csv", b"id,note\n1,vv\n\n2,ww\n\n\n", 2),
    Case("empty_key.csv", b"id,note\n,xx\n2,yy\n", 1, 1),
    Case("text_key.csv", b"id,note\none,zz\n2,ab\n", 1, 1),
    Case("huge_key.csv", b"id,note\n99999999999999999999,ac\n2,ad\n", 1, 1),
    Case("long_line.csv", b"id,note\n1," + b"l" * 5_000_000 + b"\n2,ae\n", 2),
    Case("long_bad_line.csv", b"id,note\n1,2," + b"m" * 3_000_000 + b"\n2,af\n", 1, 1),
    Case("header_only.csv", b"id,note\n"),
    Case("header_only_bare.csv", b"id,note"),
    Case("empty.csv", b""),
    Case("packed.csv.gz", _gz(b"id,note\n1,ag\n"), 1),
    Case("packed_twice.csv.gz", _gz(b"id,note\n1,ah\n") + _gz(b"2,ai\n"), 2),
    Case("packed_empty.csv.gz", _gz(b""), error="header"),
    Case("packed.csv.zst", pa.compress(b"id,note\n1,aj\n", "zstd", asbytes=True), 1),
    Case("torn_half.csv.gz", _gz(_BIG)[: len(_gz(_BIG)) // 2], error="unpacked"),
    Case("torn_end.csv.gz", _gz(_BIG)[:-3], error="unpacked"),
    Case("torn_sum.csv.gz", _gz(_BIG)[:-8] + b"\0" * 8, error="unpacked"),
    Case("not_packed.csv.gz", b"id,note\n1,ak\n", error="unpacked"),
    Case("torn.csv.zst", pa.compress(_BIG, "zstd", asbytes=True)[:-9], error="unpacked"),
    Case("utf16.csv", "id,note\n1,a\n".encode("utf-16"), error="UTF-8"),
    Case("same_column_twice.csv", b"id,note,note\n1,a,b\n", error="twice"),
    Case("same_name_twice.csv", b"id,note,Note\n1,a,b\n", error="both"),
    Case("no_key_column.csv", b"note,qty\na,1\n", error="no column id"),
    Case("no_header.csv", b"1,a\n2,b\n", error="none of the table's columns"),
    Case("a_parquet.csv", b"PAR1\x00\xff\xfe", error="Parquet"),
]

OBJECTS = [
    Case("plain.jsonl", b'{"id": 1, "note": "a"}\n{"id": 2}\n', 2),
    Case("no_last_newline.jsonl", b'{"id": 1, "note": "b"}', 1),
    Case("crlf.jsonl", b'{"id": 1, "note": "c"}\r\n{"id": 2}\r\n', 2),
    Case("bom.jsonl", b'\xef\xbb\xbf{"id": 1, "note": "d"}\n', 1),
    Case("blank.jsonl", b'\n{"id": 1, "note": "e"}\n\n   \n', 1),
    Case("lines.ndjson", b'{"id": 1, "note": "f"}\n', 1),
    Case("packed.jsonl.gz", _gz(b'{"id": 1, "note": "g"}\n'), 1),
    Case("camel.jsonl", b'{"ID": 1, "Note": "h"}\n', 1),
    Case("nested.jsonl", b'{"id": 1, "tags": [1, {"a": null}], "who": {"n": "x"}}\n', 1),
    Case("odd_keys.jsonl", b'{"id": 1, "a\\"b": 1, "c/d": 2, "e~f": 3, "": 4, "\\u00e9": 5}\n', 1),
    Case("sql_key.jsonl", b'{"id": 1, "x\\"; drop table y; --": 1}\n', 1),
    Case("array.jsonl", b'[1, 2]\n{"id": 2}\n', 1, 1),
    Case("scalars.jsonl", b'1\n"a"\nnull\ntrue\n{"id": 3}\n', 1, 4),
    Case("trailing.jsonl", b'{"id": 1} x\n{"id": 4}\n', 1, 1),
    Case("two_on_a_line.jsonl", b'{"id": 1}{"id": 2}\n', 0, 1),
    Case("cut.jsonl", b'{"id": 5}\n{"id": 6, "no', 1, 1),
    Case("single_quotes.jsonl", b"{'id': 1}\n", 0, 1),
    Case("key_twice.jsonl", b'{"id": 1, "id": 2}\n', 0, 1),
    Case("surrogate.jsonl", b'{"id": 1, "note": "\\ud800"}\n', 0, 1),
    Case("nan.jsonl", b'{"id": 1, "size": NaN}\n{"id": 2, "qty": NaN}\n', 1, 1),
    Case("latin1.jsonl", '{"id": 1, "note": "é"}\n{"id": 7}\n'.encode("latin-1"), 1, 1),
    Case("nul_escape.jsonl", b'{"id": 1, "note": "a\\u0000b"}\n', 1),
    Case("nul_byte.jsonl", b'{"id": 1, "note": "a\x00b"}\n{"id": 8}\n', 1, 1),
    Case("control.jsonl", b'{"id": 1, "note": "a\x01b"}\n{"id": 9}\n', 1, 1),
    Case("missing_key.jsonl", b'{"note": "a"}\n{"id": 10}\n', 1, 1),
    Case("null_key.jsonl", b'{"id": null}\n', 0, 1),
    Case("half.jsonl", b'{"id": 1, "qty": 1.5}\n{"id": 11, "qty": 1.0}\n', 1, 1),
    Case("huge.jsonl", b'{"id": 123456789012345678901234567890}\n', 0, 1),
    Case("exact.jsonl", b'{"id": 9007199254740993, "price": 99999999.99}\n', 1),
    Case("bool_as_number.jsonl", b'{"id": 1, "qty": true}\n', 0, 1),
    Case("object_as_number.jsonl", b'{"id": 1, "qty": {"a": 1}}\n', 0, 1),
    Case("deep.jsonl", b'{"id": 1, "note": ' + b"[" * 5000 + b"]" * 5000 + b"}\n", 1),
    Case("long.jsonl", b'{"id": 1, "note": "' + b"n" * 5_000_000 + b'"}\n{"id": 12}\n', 2),
    Case("empty.jsonl", b""),
    Case("only_blank.jsonl", b"\n\n"),
    Case("torn.jsonl.gz", _gz(b'{"id": 1}\n' * 999)[:40], error="unpacked"),
    Case("utf16.jsonl", '{"id": 1}\n'.encode("utf-16"), 0, 2),
    Case("same_names.jsonl", b'{"id": 1, "note": "a", "NOTE": "b"}\n', error="both"),
]


def _parquet(rows: dict[str, list[Any]], **types: pa.DataType) -> bytes:
    out = io.BytesIO()
    arrays = {name: pa.array(values, types.get(name)) for name, values in rows.items()}
    pq.write_table(pa.table(arrays), out)
    return out.getvalue()


_GOOD = _parquet({"id": list(range(2000)), "note": ["p"] * 2000})
_INSIDE = bytearray(_GOOD)
_INSIDE[40:400] = b"\xff" * 360

TABLES = [
    Case("plain.parquet", _GOOD, 2000),
    Case("no_rows.parquet", _parquet({"id": [], "note": []}, id=pa.int64(), note=pa.string())),
    Case("key_text.parquet", _parquet({"id": ["1", "x", None]}), 1, 2),
    Case("key_small.parquet", _parquet({"id": [1, 2]}, id=pa.int8()), 2),
    Case("key_unsigned.parquet", _parquet({"id": [1, 2**64 - 1]}, id=pa.uint64()), 1, 1),
    Case("key_double.parquet", _parquet({"id": [1.0, 1.5, float("nan")]}), 1, 2),
    Case("float_price.parquet", _parquet({"id": [1, 2], "price": [19.99, 1.005]}), 1, 1),
    Case("time_for_day.parquet", _parquet({"id": [1], "day": [1]}, day=pa.timestamp("us")), 0, 1),
    Case("nanoseconds.parquet", _parquet({"id": [1], "at": [10**9]}, at=pa.timestamp("ns")), 1),
    Case("list_for_number.parquet", _parquet({"id": [1], "qty": [[1, 2]]}), 0, 1),
    Case("struct_for_text.parquet", _parquet({"id": [1], "note": [{"a": 1}]}), 1),
    Case("binary_for_number.parquet", _parquet({"id": [1], "qty": [b"\xff"]}), 0, 1),
    Case("extra.parquet", _parquet({"id": [1, 2], "shade": ["red", None]}), 2),
    Case("extra_other_type.parquet", _parquet({"id": [1, 2], "shade": [7, 8]}), 2),
    Case("filename_column.parquet", _parquet({"id": [1], "filename": ["f"]}), 1),
    Case("own_columns.parquet", _parquet({"id": [1], "_source": ["s"], "_load_number": [7]}), 1),
    Case("sql_column.parquet", _parquet({"id": [1], 'a"; drop table b; --': [1]}), 1),
    Case("brackets[a].parquet", _parquet({"id": [77]}), 1),
    Case("cut_short.parquet", _GOOD[: len(_GOOD) // 2], error="cut_short"),
    Case("cut_footer.parquet", _GOOD[:-5], error="cut_footer"),
    Case("cut_inside.parquet", bytes(_INSIDE), error="cut_inside"),
    Case("magic_only.parquet", b"PAR1", error="magic_only"),
    Case("empty.parquet", b"", error="empty"),
    Case("text.parquet", b"id,note\n1,a\n", error="text"),
    Case("no_key.parquet", _parquet({"note": ["a"]}), error="no column id"),
]


@pytest.mark.parametrize(
    ("cases", "pattern"), [(CSV, "*.[ctC]*"), (OBJECTS, "*json*"), (TABLES, "*.parquet")]
)
def test_every_row_of_every_file_has_a_home(
    project: Project, tmp_path: Path, cases: list[Case], pattern: str
) -> None:
    drop = tmp_path / "drop"
    drop.mkdir()
    project.env["DROP"] = str(drop)
    for case in cases:
        (drop / case.name).write_bytes(case.data)
    (drop / f"folder{Path(cases[0].name).suffix}").mkdir()
    result = project.load(_node("files", files=pattern))
    project.check_books("drop")

    good: Counter[str] = Counter()
    for (origin,) in project.raw("drop.rows", "_source"):
        good[origin.rpartition(":")[0]] += 1
    dead = Counter(origin.rpartition(":")[0] for _, _, origin in project.dead("drop.rows"))
    assert {c.name: (good[c.name], dead[c.name]) for c in cases} == {
        c.name: (c.good, c.dead) for c in cases
    }
    (error,) = result.errors
    named = [case for case in cases if case.error]
    assert f"{len(named)} file(s)" in str(error)
    for case in named:
        (part,) = [p for p in str(error).split("; ") if f"{case.name}: " in p]
        assert case.error in part
    assert "Traceback" not in str(error)

    again = project.load()
    assert not again.loads
    assert [str(e) for e in again.errors] == [str(error)]
    whole = {c.name for c in cases if not c.error}
    assert {row[0] for row in project.sql("select path from raw_drop._files")} == whole


def test_lines_are_told_as_an_editor_counts_them(project: Project, tmp_path: Path) -> None:
    project.env["DROP"] = str(tmp_path)
    (tmp_path / "a.csv").write_bytes(b'id,note\n1,"a\nb\nc"\n2,d\nx,e\n')
    (tmp_path / "b.csv").write_bytes(b"id,note\n1,a\nbad\n2,b\n3,4,5\n6,f\n")
    (tmp_path / "c.csv").write_bytes(b'id,note\n1,"a\nb"\n2\n\n3,c\n')
    project.load(_node("files", files="*.csv"))
    raw = [row[0] for row in project.raw("drop.rows", "_source")]
    assert sorted(raw) == [
        "a.csv:2",
        "a.csv:5",
        "b.csv:2",
        "b.csv:4",
        "b.csv:6",
        "c.csv:2",
        "c.csv:6",
    ]
    assert [origin for _, _, origin in project.dead("drop.rows")] == [
        "a.csv:6",
        "b.csv:3",
        "b.csv:5",
        "c.csv:4",
    ]


def test_sqlite_text_that_is_not_text(project: Project, tmp_path: Path) -> None:
    database = tmp_path / "till.sqlite"
    project.env["DB"] = f"sqlite:///{database}"
    with sqlite3.connect(database) as con:
        con.execute("create table rows (id integer, size real, note text, price real)")
        con.execute("insert into rows values (1, 0.1, 'ok', 19.99)")
        con.execute("insert into rows values (2, 0.30000000000000004, cast(x'ff41' as text), 1)")
        con.execute("insert into rows values (3, 1e308, x'00ff', 0.1)")
        con.execute(
            "insert into rows values (4, 9e999, 'a' || char(0) || 'b', 0.30000000000000004)"
        )
    con.close()
    result = project.load(_node("sql"))
    assert not result.errors
    assert project.raw("drop.rows", "id, size, note, price::varchar") == [
        (1, 0.1, "ok", "19.99"),
        (3, 1e308, "X'00FF'", "0.10"),
        (4, float("inf"), "a\x00b", "0.30"),
    ]
    ((rules, payload, origin),) = project.dead("drop.rows")
    assert (rules, origin) == (("unparsable",), "drop.rows")
    assert payload["id"] == "2"
    assert payload["note"] == "X'FF41'"


def test_there_are_many_cases() -> None:
    assert 4 * len(VALUES) + len(CSV) + len(OBJECTS) + len(TABLES) >= 400
