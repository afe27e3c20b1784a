"""The contract: every rule, NULL, columns that come, go and change; no row lost or changed."""

import json
import sqlite3
from collections import Counter
from contextlib import closing
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from projects import Project, source, table

from ingest import batch as batch_module
from ingest.batch import Checked, Checker, Held
from ingest.contract import declared_types
from ingest.declaration import Table
from ingest.readers import Batch, described


def _files(project: Project, folder: Path, columns: dict[str, Any], **ingest: Any) -> Any:
    drop = folder / "drop"
    drop.mkdir(exist_ok=True)
    given = {"files": "*", "max_dead": 1, **ingest}
    return source("drop", table("rows", columns, **given), kind="files", path=str(drop))


def _put(folder: Path, name: str, *rows: dict[str, Any]) -> None:
    (folder / "drop" / name).write_text("\n".join(json.dumps(row) for row in rows) + "\n")


def _rules(project: Project) -> list[tuple[str, ...]]:
    return [rules for rules, _, _ in project.dead("drop.rows")]


def test_every_rule_and_null(project: Project, tmp_path: Path) -> None:
    columns = {
        "id": "bigint",
        "a": {"data_type": "integer", "required": True},
        "b": {"data_type": "integer", "check": "b between a and 10"},
        "c": {"data_type": "varchar", "accepted_values": ["x", "it's"]},
        "d": {"data_type": "integer", "accepted_values": [1, 2]},
        "e": {"data_type": "date", "check": "e >= date '2017-01-01' or c = 'x'"},
        "f": {"data_type": "double", "check": "sqrt(f) < 10"},
        "g": {"data_type": "varchar", "check": "g::integer > 0"},
        "h": {"data_type": "boolean", "accepted_values": [True]},
    }
    node = _files(project, tmp_path, columns, primary_key="id")
    _put(
        tmp_path,
        "rows.jsonl",
        {"id": 1, "a": 1},  # nulls break no rule but those that ask for a value
        {"id": 2, "a": 1, "b": 1, "c": "x", "d": 2, "e": "2016-01-01", "f": 4, "g": "7", "h": True},
        {"id": 3, "a": 1, "c": "it's", "e": "2017-01-01"},
        {"a": 1},
        {"id": 11},
        {"id": 12, "a": 5, "b": 4},
        {"id": 13, "a": "one", "b": 5},
        {"id": 14, "a": 1, "c": "y", "d": 3, "h": False},
        {"id": 15, "a": 1, "e": "2016-01-01", "c": "it's"},
        {"id": 16, "a": 1, "f": -1},  # the check cannot be worked out
        {"id": 17, "a": 1, "g": "seven"},
        {"id": "x", "b": 1},
    )
    result = project.load(node)
    assert not result.errors
    assert [row[0] for row in project.raw("drop.rows")] == [1, 2, 3]
    found = {payload["id"]: rules for rules, payload, _ in project.dead("drop.rows")}
    assert found == {
        None: ("primary_key:id",),
        "11": ("required:a",),
        "12": ("check:b",),
        "13": ("type:a",),
        "14": ("accepted_values:c", "accepted_values:d", "accepted_values:h"),
        "15": ("check:e",),
        "16": ("check:f",),
        "17": ("check:g",),
        "x": ("type:id", "required:a"),
    }
    project.check_books("drop")


@pytest.mark.parametrize(("dead", "limit", "fails"), [(10, 0.01, False), (11, 0.01, True),
                                                      (1, 0, True), (500, 0.5, False)])  # fmt: skip
def test_too_many_dead_fail_loudly_and_all_are_kept(
    project: Project, tmp_path: Path, dead: int, limit: float, fails: bool
) -> None:
    node = _files(project, tmp_path, {"id": "bigint"}, max_dead=limit)
    _put(tmp_path, "a.jsonl", *({"id": i if i >= dead else "x"} for i in range(1000)))
    result = project.load(node)
    assert bool(result.errors) == fails
    if fails:
        assert f"{dead} of 1000 rows of drop.rows break the contract" in str(result.errors[0])
    assert len(project.raw("drop.rows")) == 1000 - dead
    assert len(project.dead("drop.rows")) == dead
    assert not project.load().errors
    project.check_books("drop")


POLICIES = {
    "evolve": ([(1, None), (2, "x"), (3, None)], []),
    "discard_value": ([(1,), (2,), (3,)], []),
    "discard_row": ([(1,), (3,)], [("column:extra",)]),
    "freeze": ([(1,)], []),
}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "sqlite"])
def test_a_column_that_appears(project: Project, tmp_path: Path, policy: str, kind: str) -> None:
    node = _files(project, tmp_path, {"id": "bigint"}, schema_contract={"columns": policy})
    (tmp_path / "drop").mkdir(exist_ok=True)
    database = tmp_path / "shop.sqlite"
    if kind == "sqlite":
        node["config"]["meta"]["ingest"] = {"kind": "sql", "url": f"sqlite:///{database}"}
        del node["tables"][0]["config"]["meta"]["ingest"]["files"]
    _deliver(tmp_path, kind, 1, [{"id": 1}])
    project.load(node)
    _deliver(tmp_path, kind, 2, [{"id": 2, "extra": "x"}, {"id": 3, "extra": None}])
    result = project.load()
    wanted, dead = POLICIES[policy]
    assert project.raw("drop.rows") == wanted
    assert _rules(project) == dead
    if dead:
        assert project.dead("drop.rows")[0][1] == {"id": "2", "extra": "x"}
    if policy == "freeze":
        assert "not declared: extra" in str(result.errors[0])
    else:
        assert not result.errors
    project.check_books("drop")


def _deliver(folder: Path, kind: str, number: int, rows: list[dict[str, Any]]) -> None:
    path = folder / "drop" / f"{number}.{kind}"
    names = list(rows[0])
    if kind == "csv":
        lines = [",".join(str(row[n]) if row[n] is not None else "" for n in names) for row in rows]
        path.write_text("\n".join([",".join(names), *lines]) + "\n")
    elif kind == "jsonl":
        path.write_text("\n".join(json.dumps(row) for row in rows))
    elif kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        with closing(sqlite3.connect(folder / "shop.sqlite")) as con, con:
            con.execute("create table if not exists rows (id integer)")
            if "extra" in names and number == 2:
                con.execute("alter table rows add column extra text")
            marks = ", ".join("?" * len(names))
            con.executemany(
                f"insert into rows ({', '.join(names)}) values ({marks})",
                [tuple(row.values()) for row in rows],
            )


def test_columns_that_change_order_go_and_come_back(project: Project, tmp_path: Path) -> None:
    columns = {"id": "bigint", "a": "integer", "b": "varchar"}
    node = _files(project, tmp_path, columns)
    drop = tmp_path / "drop"
    (drop / "1.csv").write_text("id,a,b,c\n1,1,x,u\n")
    project.load(node)
    (drop / "2.csv").write_text("c,b,a,id\nv,y,2,2\n")
    (drop / "3.csv").write_text("b,id\nz,3\n")
    (drop / "4.csv").write_text("id,d,c\n4,w,t\n")
    assert not project.load().errors
    (drop / "5.csv").write_text("id,c,d\n5,s,r\n")
    assert not project.load(afresh=True).errors
    assert project.raw("drop.rows") == [
        (1, 1, "x", "u", None),
        (2, 2, "y", "v", None),
        (3, None, "z", None, None),
        (4, None, None, "t", "w"),
        (5, None, None, "s", "r"),
    ]
    project.check_books("drop")


def test_an_evolved_column_keeps_its_type(project: Project, tmp_path: Path) -> None:
    node = _files(project, tmp_path, {"id": "bigint"})
    drop = tmp_path / "drop"

    def put(name: str, values: list[Any], kind: pa.DataType) -> None:
        ids = pa.array(range(len(values)), pa.int64())
        pq.write_table(pa.table({"id": ids, "extra": pa.array(values, kind)}), drop / name)

    put("1.parquet", [1, 2], pa.int32())
    project.load(node)
    put("2.parquet", [3, 2**40], pa.int64())
    put("3.parquet", ["4", "five"], pa.string())
    put("4.parquet", [5.0, 5.5], pa.float64())
    assert not project.load().errors
    assert [row[1] for row in project.raw("drop.rows")] == [1, 3, 4, 5, 2]
    assert _rules(project) == [("type:extra",)] * 3
    assert project.sql("select typeof(extra) from raw_drop.rows limit 1") == [("INTEGER",)]
    project.check_books("drop")


def test_a_declared_type_that_changes_later_is_told(project: Project, tmp_path: Path) -> None:
    node = _files(project, tmp_path, {"id": "integer"})
    _put(tmp_path, "1.jsonl", {"id": 1})
    project.load(node)
    node["tables"][0]["columns"][0]["data_type"] = "bigint"
    (error,) = project.load(node).errors
    assert "drop.rows.id is declared as BIGINT, raw holds it as INTEGER" in str(error)
    node["tables"][0]["columns"][0]["data_type"] = "integer"
    node["tables"][0]["columns"].append({"name": "later", "data_type": "date"})
    _put(tmp_path, "2.jsonl", {"id": 2, "later": "2017-01-01"})
    assert not project.load(node).errors
    assert project.raw("drop.rows") == [(1, None), (2, date(2017, 1, 1))]


def test_every_type_that_may_be_declared_is_kept(project: Project, tmp_path: Path) -> None:
    values: dict[str, tuple[str, Any]] = {
        "bigint": ("9223372036854775807", 2**63 - 1),
        "integer": ("-1", -1),
        "smallint": ("32767", 32767),
        "tinyint": ("-128", -128),
        "double": ("0.1", 0.1),
        "decimal(38,0)": ("9" * 38, Decimal("9" * 38)),
        "decimal(18,3)": ("1.125", Decimal("1.125")),
        "varchar": ("text", "text"),
        "boolean": ("true", True),
        "date": ("2017-01-01", date(2017, 1, 1)),
        "time": ("10:00:00", datetime(2017, 1, 1, 10).time()),
        "timestamp": ("2017-01-01 10:00:00.5", datetime(2017, 1, 1, 10, 0, 0, 500000)),
        "blob": ("\\x00\\xFFa", b"\x00\xffa"),
        "json": ('{"a": 1}', '{"a": 1}'),
        "text": ("t", "t"),
    }
    columns = {f"c{i}": kind for i, kind in enumerate(values)}
    node = _files(project, tmp_path, columns)
    for number in (1, 2):
        row = {f"c{i}": text for i, (text, _) in enumerate(values.values())}
        _put(tmp_path, f"{number}.jsonl", {**row, "c7": str(number)})
        assert not project.load(node).errors
        node = None
    rows = project.raw("drop.rows")
    assert [row[7] for row in rows] == ["1", "2"]
    kept = [value for _, value in values.values()]
    kept[7] = "2"
    assert list(rows[1]) == kept


def test_a_table_without_declared_columns(project: Project, tmp_path: Path) -> None:
    node = _files(project, tmp_path, {})
    _put(tmp_path, "1.jsonl", {"id": 1, "What Is This?": True})
    assert not project.load(node).errors
    assert project.raw("drop.rows", "id, what_is_thisx") == [("1", "true")]
    assert not project.load(afresh=True).loads


# --- for any table of values ----------------------------------------------------------------------

TEXTS = st.one_of(
    st.none(),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    st.integers(-(10**20), 10**20).map(str),
    st.decimals(-(10**6), 10**6, places=3).map(str),
    st.sampled_from(["", "0", "1", "-1", "1.5", "1.50", "nan", "inf", "null", "true", "2017-01-01",
                     "2017-01-01 10:00:00", "1e3", " 1", "1 ", "+1", "x", "\x00", "'", '"', "\\"]),
)  # fmt: skip
COLUMNS = {
    "i": {"data_type": "integer", "check": "i >= 0"},
    "d": {"data_type": "decimal(10,2)", "required": True},
    "t": {"data_type": "varchar", "accepted_values": ["", "1", "x", "null"]},
    "w": "timestamp",
    "f": "double",
}


@pytest.fixture(scope="module")
def checked_table(tmp_path_factory: pytest.TempPathFactory) -> tuple[Table, Path]:
    folder = tmp_path_factory.mktemp("property")
    made = Project(folder / "project")
    declared = made.declare(_files(made, folder, COLUMNS, primary_key=["i"]))
    return declared.tables[0], folder


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=st.lists(st.tuples(*[TEXTS] * len(COLUMNS)), max_size=30))
def test_accepted_and_dead_are_what_was_read(
    checked_table: tuple[Table, Path], rows: list[tuple[str | None, ...]]
) -> None:
    declared, folder = checked_table
    names = list(COLUMNS)
    arrays = [pa.array([row[i] for row in rows], pa.string()) for i in range(len(names))]
    with duckdb.connect() as con:
        con.execute("set TimeZone = 'UTC'")
        con.register("given", pa.table(arrays, names=names))
        relation = "select *, 'here' as _source from given"
        batch = Batch(relation, described(con, relation))
        checker = Checker(con, folder / "batches", 1, datetime(2017, 1, 1))
        checked = checker.check(declared, batch, declared_types(con, declared), {}, Held())
        accepted, dead = _accepted(con, checked), _dead(con, checked)
    assert checked.fetched == len(rows) == checked.accepted + checked.dead + checked.reread
    assert (len(accepted), len(dead)) == (checked.accepted, checked.dead)
    # the dead keep their text; an accepted row is one of the others, and means the same
    left = Counter(rows)
    left.subtract(Counter(tuple(row[name] for name in names) for row in dead))
    assert min(left.values(), default=0) >= 0
    others = sorted(left.elements(), key=str)
    assert Counter(map(_meant, others)) == Counter(accepted)


def _accepted(con: duckdb.DuckDBPyConnection, checked: Checked) -> list[tuple[Any, ...]]:
    names = ", ".join(COLUMNS)
    return [
        tuple("nan" if value != value else value for value in row)
        for file in checked.accepted_files
        for row in con.execute(f"select {names} from read_parquet('{file}')").fetchall()
    ]


def _dead(con: duckdb.DuckDBPyConnection, checked: Checked) -> list[dict[str, Any]]:
    return [
        json.loads(row[0])
        for file in checked.dead_files
        for row in con.execute(f"select payload from read_parquet('{file}')").fetchall()
    ]


def _meant(row: tuple[str | None, ...]) -> tuple[Any, ...]:
    """The row's values by Python's own reading of the text."""
    whole, money, text, when, real = row
    assert whole is not None
    assert money is not None
    number = Decimal(whole.strip())
    assert number == int(number)
    size = None if real is None else float(real)
    return (
        int(number),
        Decimal(money.strip()),
        text,
        None if when is None else datetime.fromisoformat(when.strip()),
        "nan" if size is not None and size != size else size,
    )


def test_the_contract_is_compiled_once_for_a_batch(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    inner = batch_module.compile_contract

    def counted(declared: Table, *args: Any) -> Any:
        made.append(declared.name)
        return inner(declared, *args)

    monkeypatch.setattr(batch_module, "compile_contract", counted)
    node = _files(project, tmp_path, {"id": "bigint"})
    _put(tmp_path, "1.jsonl", *({"id": i} for i in range(5000)))
    project.load(node)
    assert made == ["rows"]
