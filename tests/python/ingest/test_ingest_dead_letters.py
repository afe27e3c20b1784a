"""Dead letters: listed, replayed once their rules hold, or discarded with a reason."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from projects import Project, source, table

from ingest.dead_letters import DeadLetters
from ingest.errors import IngestError

COLUMNS = {
    "id": {"data_type": "bigint", "required": True},
    "qty": {"data_type": "integer", "check": "qty >= 0"},
    "updated_at": "timestamp",
}
MENDED = {**COLUMNS, "qty": {"data_type": "integer", "check": "qty >= -10"}}


def _node(folder: Path, columns: dict[str, Any], **ingest: Any) -> dict[str, Any]:
    drop = folder / "drop"
    drop.mkdir(exist_ok=True)
    given = {"files": "*", "max_dead": 1, "primary_key": ["id"], **ingest}
    return source("drop", table("rows", columns, **given), kind="files", path=str(drop))


def _put(folder: Path, name: str, *rows: dict[str, Any]) -> None:
    (folder / "drop" / name).write_text("\n".join(map(json.dumps, rows)) + "\n")


def _letters(project: Project) -> DeadLetters:
    return project.loader().dead_letters()


def test_listed_with_all_that_one_wants_to_know(project: Project, tmp_path: Path) -> None:
    node = _node(tmp_path, COLUMNS)
    _put(tmp_path, "a.jsonl", {"id": 1}, {"id": 2, "qty": -1}, {"qty": "x"})
    with (tmp_path / "drop" / "a.jsonl").open("a") as file:
        file.write("torn\n")
    project.load(node)
    letters = _letters(project).open_letters()
    assert {(x.rules, x.origin, x.load_number, x.source, x.table) for x in letters} == {
        (("check:qty",), "a.jsonl:2", 1, "drop", "rows"),
        (("type:qty", "required:id"), "a.jsonl:3", 1, "drop", "rows"),
        (("unparsable",), "a.jsonl:4", 1, "drop", "rows"),
    }
    torn = next(x for x in letters if x.rules == ("unparsable",))
    assert torn.payload == "torn"
    assert _letters(project).find(torn.id[:8]) == [torn]
    assert _letters(project).find("no such id") == []
    assert len(_letters(project).open_letters("rows", limit=2)) == 2
    assert _letters(project).open_letters("other") == []


def test_replayed_once_after_the_rule_is_mended(project: Project, tmp_path: Path) -> None:
    node = _node(tmp_path, COLUMNS)
    _put(tmp_path, "a.jsonl", {"id": 1, "qty": 1}, {"id": 2, "qty": -1}, {"id": 3, "qty": -11})
    project.load(node)
    _put(tmp_path, "b.jsonl", {"id": 2, "qty": 5})
    project.load()
    assert _letters(project).replay("run") == [] or _letters(project).replay("run")[0].replayed == 0

    project.declare(_node(tmp_path, MENDED))
    (done,) = _letters(project).replay("run", "rows")
    assert (done.replayed, done.still_broken) == (1, 1)
    columns = "id, qty, _load_number, _replayed_from, _source"
    assert project.raw("drop.rows", columns) == [
        (1, 1, 1, None, "a.jsonl:1"),
        (2, -1, 3, 1, "a.jsonl:2"),
        (2, 5, 2, None, "b.jsonl:1"),
    ]
    (again,) = _letters(project).replay("run")
    assert (again.replayed, again.still_broken) == (0, 1)
    assert len(project.raw("drop.rows")) == 3
    assert project.book("drop")[-1]["rows_accepted"] == 1
    assert project.sql("select fate from raw_drop._dead_letter_fates") == [("replayed",)]
    project.check_books("drop")


def test_a_replayed_row_that_is_read_again_is_known(project: Project, tmp_path: Path) -> None:
    """And a row that the lag brought in after the mending is not replayed beside it."""
    import sqlite3
    from contextlib import closing

    path = tmp_path / "shop.sqlite"
    with closing(sqlite3.connect(path)) as con, con:
        con.execute("create table rows (id, qty, updated_at)")
        con.execute("insert into rows values (1, -1, '2017-01-01'), (2, -2, '2017-01-01')")
    for number, columns in enumerate([COLUMNS, MENDED, COLUMNS, MENDED]):
        ingest = {"primary_key": "id", "cursor": "updated_at", "lag": "2 days", "max_dead": 1}
        node = source("drop", table("rows", columns, **ingest), kind="sql", url=f"sqlite:///{path}")
        if number == 3:
            with closing(sqlite3.connect(path)) as con, con:
                con.execute("insert into rows values (3, -3, '2017-01-02')")
            project.load()
            project.load(node)  # the lag brings 3 in, good now
            assert _letters(project).replay("run")[0].replayed == 1
        elif number == 1:
            project.declare(node)
            assert _letters(project).replay("run")[0].replayed == 2
            assert not project.load(node).loads  # the lag brings 1 and 2 again
        else:
            project.load(node)
    assert [row[0] for row in project.raw("drop.rows")] == [1, 2, 3]
    assert _letters(project).open_letters() == []


def test_equal_rows_without_a_key_are_replayed_one_by_one(project: Project, tmp_path: Path) -> None:
    import sqlite3
    from contextlib import closing

    path = tmp_path / "shop.sqlite"
    with closing(sqlite3.connect(path)) as con, con:
        con.execute("create table rows (id, qty, updated_at)")
        con.execute("insert into rows values (1, -1, '2017-01-01'), (1, -1, '2017-01-01')")
    for columns in (COLUMNS, MENDED):
        ingest = {"cursor": "updated_at", "max_dead": 1}
        node = source("drop", table("rows", columns, **ingest), kind="sql", url=f"sqlite:///{path}")
        if columns is COLUMNS:
            project.load(node)
    project.declare(node)
    for number, letter in enumerate(_letters(project).open_letters(), 1):
        assert _letters(project).counts(letter=letter.id) == [("rows", ("check:qty",), 1)]
        (done,) = _letters(project).replay("run", "rows", letter.id)
        assert (done.replayed, done.still_broken) == (1, 0)
        assert len(project.raw("drop.rows")) == number
    assert _letters(project).counts() == []
    assert len(project.raw("drop.rows")) == 2


def test_replayed_into_a_column_that_is_declared_since(project: Project, tmp_path: Path) -> None:
    node = _node(tmp_path, {"id": "bigint"}, schema_contract={"columns": "discard_row"})
    _put(tmp_path, "a.jsonl", {"id": 1}, {"id": 2, "price": 1.25})
    project.load(node)
    columns = {"id": "bigint", "price": {"data_type": "decimal(10,2)", "required": True}}
    project.declare(_node(tmp_path, columns, schema_contract={"columns": "discard_row"}))
    assert _letters(project).replay("run")[0].replayed == 1
    assert project.raw("drop.rows", "id, price") == [(1, None), (2, Decimal("1.25"))]


ODD = {
    "big": 9007199254740993,
    "money": "99999999.99",
    "when": "2017-02-15 10:00:00.123456",
    "note": "quotes ' \" \\ and\nlines, ünïcödé 🙂, nul \x00, {\"a\": null}",
    "null_text": "null",
    "empty": "",
    "nothing": None,
    "flag": True,
}  # fmt: skip
ODD_TYPES = {
    "id": "bigint",
    "big": "bigint",
    "money": "decimal(10,2)",
    "when": "timestamp",
    "note": "varchar",
    "null_text": "varchar",
    "empty": "varchar",
    "nothing": "varchar",
    "flag": "boolean",
}


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_the_payload_is_the_row(project: Project, tmp_path: Path, kind: str) -> None:
    """A row that was dead and one that never was are the same in raw."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    strict = {**ODD_TYPES, "id": {"data_type": "bigint", "check": "id = 1"}}
    node = _node(tmp_path, strict)
    rows = [{"id": 1, **ODD}, {"id": 2, **ODD}]
    if kind == "jsonl":
        _put(tmp_path, "a.jsonl", *rows)
    else:
        fixed = [{**row, "money": Decimal(str(ODD["money"]))} for row in rows]
        pq.write_table(pa.Table.from_pylist(fixed), tmp_path / "drop" / "a.parquet")
    assert not project.load(node).errors
    assert len(project.raw("drop.rows")) == 1
    project.declare(_node(tmp_path, ODD_TYPES))
    assert _letters(project).replay("run")[0].replayed == 1
    first, second = project.raw("drop.rows", "* exclude (id, _load_number, _extracted_at, _source, "
                                "_replayed_from)")  # fmt: skip
    assert first == second
    assert first[3] == ODD["note"]
    assert first[4:7] == ("null", "", None)


def test_discarded_with_a_reason(project: Project, tmp_path: Path) -> None:
    node = _node(tmp_path, COLUMNS)
    _put(tmp_path, "a.jsonl", {"id": 1, "qty": -1}, {"id": 2, "qty": -2})
    project.load(node)
    letters = _letters(project)
    first, second = letters.open_letters()
    for reason in ("", "  "):
        with pytest.raises(IngestError, match="reason"):
            letters.discard([first], reason, "run")
    assert letters.discard([first], "sold by mistake; '\"", "run") == 1
    assert letters.open_letters() == [second]
    assert letters.discard([], "none", "run") == 0
    project.declare(_node(tmp_path, MENDED))
    assert _letters(project).replay("run")[0].replayed == 1
    assert [row[0] for row in project.raw("drop.rows")] == [int(json.loads(second.payload)["id"])]
    project.check_books("drop")


@pytest.mark.parametrize("after", [False, True])
def test_a_replay_that_does_not_finish_never_happened(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    from dlt.destinations.impl.duckdb.duck import DuckDbClient

    node = _node(tmp_path, COLUMNS)
    _put(tmp_path, "a.jsonl", {"id": 1, "qty": -1}, {"id": 2, "qty": -2})
    project.load(node)
    project.declare(_node(tmp_path, MENDED))
    complete = DuckDbClient.complete_load

    def fails(self: Any, load_id: str) -> None:
        if after:
            complete(self, load_id)
        raise OSError("killed here")

    with monkeypatch.context() as patched:
        patched.setattr(DuckDbClient, "complete_load", fails)
        with pytest.raises(IngestError):
            _letters(project).replay("run")
    left = _letters(project)
    assert len(left.open_letters()) == (0 if after else 2)
    left.replay("run")
    assert [row[0] for row in project.raw("drop.rows")] == [1, 2]
    assert _letters(project).open_letters() == []
    project.check_books("drop")


def test_the_same_bad_line_twice_is_two_letters(project: Project, tmp_path: Path) -> None:
    node = _node(tmp_path, COLUMNS, primary_key=[])
    _put(tmp_path, "a.jsonl", {"id": 1, "qty": -1}, {"id": 1, "qty": -1})
    _put(tmp_path, "b.jsonl", {"id": 1, "qty": -1})
    project.load(node)
    assert len({letter.id for letter in _letters(project).open_letters()}) == 3


def test_a_column_may_be_called_nth(project: Project, tmp_path: Path) -> None:
    node = _node(tmp_path, {"id": {"data_type": "bigint", "check": "id > 0"}, "nth": "varchar"},
                 primary_key=[])  # fmt: skip
    _put(tmp_path, "a.jsonl", {"id": -1, "nth": "x"}, {"id": -1, "nth": "x"})
    project.load(node)
    project.declare(_node(tmp_path, {"id": "bigint", "nth": "varchar"}, primary_key=[]))
    assert _letters(project).replay("run")[0].replayed == 2
    assert project.raw("drop.rows") == [(-1, "x"), (-1, "x")]
