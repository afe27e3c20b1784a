"""SQL in names, values, cursors and words: none of it is executed, all of it arrives as it is."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest
from projects import Project, source, table
from services import postgres

from ingest.dead_letters import DeadLetters
from ingest.declaration import load_sources, pick
from ingest.errors import DeclarationError

HOSTILE = [
    "'; drop table canary; --",
    '"; drop table canary; --',
    "`; drop table canary; --",
    "'); copy (select 1) to '{folder}/written'; --",
    "\\'; drop table canary; --",
    "\\",
    "x\\",
    "a'b\"c`d",
    "$$; drop table canary; $$",
    "%s {0} ${{x}}",
    "]]; attach '{folder}/written' as x; --",
    "*/ drop table canary /*",
    "=1+1",
    "=HYPERLINK(\"http://x\",\"y\")",
    "@SUM(A1:A9)",
    "+1|'x'!A",
    "-2+3",
    "\u202eelbat pord",
]  # fmt: skip
COLUMNS = {"id": {"data_type": "bigint", "check": "id > 0"}, "note": "varchar", "at": "varchar"}


@pytest.fixture
def hostile(tmp_path: Path) -> list[str]:
    return [text.replace("{folder}", str(tmp_path)) for text in HOSTILE]


@pytest.fixture
def canary(project: Project, tmp_path: Path) -> Any:
    """A table in the warehouse that is still there afterwards; and nothing was written."""
    project.warehouse.parent.mkdir(parents=True)
    with duckdb.connect(str(project.warehouse)) as con:
        con.execute("create table canary as select 1 as id")
    yield
    assert project.sql("from canary") == [(1,)]
    assert not (tmp_path / "written").exists()


def _letters(project: Project) -> DeadLetters:
    return project.loader().dead_letters()


@pytest.mark.usefixtures("canary")
def test_names_and_values_of_sqlite(project: Project, tmp_path: Path, hostile: list[str]) -> None:
    """Table, columns, values and a text cursor that is read on from at each of them."""
    path = tmp_path / "shop.sqlite"
    name = hostile[0]
    columns = [*COLUMNS, *(f"c{i} {text}" for i, text in enumerate(hostile))]
    listed = ", ".join('"' + column.replace('"', '""') + '"' for column in columns)
    quoted = '"' + name.replace('"', '""') + '"'

    def run(sql: str, *rows: tuple[Any, ...]) -> None:
        with closing(sqlite3.connect(path)) as con, con:
            con.executemany(sql, rows) if rows else con.execute(sql)

    run(f"create table {quoted} ({listed})")
    run("create table canary (id)")
    ingest = {"cursor": "at", "table": name, "primary_key": "id", "max_dead": 1}
    node = source("s", table("t", COLUMNS, **ingest), kind="sql", url=f"sqlite:///{path}")
    project.declare(node)
    marks = ", ".join("?" * len(columns))
    texts = sorted(hostile)[::2]
    for number, text in enumerate(texts, 1):
        values = (number, text, text, *hostile)
        run(f"insert into {quoted} values ({marks})", values)
        assert not project.load().errors
        assert project.book("s")[-1]["rows_accepted"] == 1
    assert [row[:3] for row in project.raw("s.t")] == [
        (number, text, text) for number, text in enumerate(texts, 1)
    ]
    assert {row[3:] for row in project.raw("s.t")} == {tuple(hostile)}
    run("insert into canary values (1)")


@pytest.mark.usefixtures("canary")
@pytest.mark.parametrize("conforming", ["on", "off"])
def test_cursors_of_postgres(project: Project, hostile: list[str], conforming: str) -> None:
    """Each text is once the cursor to read on from."""
    texts = hostile[3:8]
    with (
        postgres(standard_conforming_strings=conforming) as url,
        psycopg.connect(url, autocommit=True) as con,
    ):
        con.execute('create table t (id bigint, note text, at text collate "C")')
        con.execute("create table canary (id bigint)")
        ingest = {"cursor": "at", "primary_key": "id"}
        project.declare(source("s", table("t", COLUMNS, **ingest), kind="sql", url=url))
        for number, text in enumerate(texts, 1):
            row = (number, text, f"{number:03} {text}")
            con.execute("insert into t values (%s, %s, %s)", row)
            assert not project.load().errors, text
            assert project.book("s")[-1]["rows_accepted"] == 1
        con.execute("insert into canary values (1)")
    assert project.raw("s.t") == [(n, text, f"{n:03} {text}") for n, text in enumerate(texts, 1)]


@pytest.mark.usefixtures("canary")
def test_files_and_dead_letters(project: Project, tmp_path: Path, hostile: list[str]) -> None:
    drop = tmp_path / "drop"
    drop.mkdir()
    for number, text in enumerate(hostile):
        name = text.replace("/", "_")
        row = {"id": -number, "note": text, f"k{number} {text}": text}
        (drop / f"{name}.jsonl").write_text(json.dumps(row) + "\n" + text + "\n")
        header = text.replace('"', '""')
        (drop / f"{name}.csv").write_text(f'id,note,"h {header}"\n{number + 1},=2*3,"{header}"\n')
    node = source("s", table("t", COLUMNS, files="*", max_dead=1), kind="files", path=str(drop))
    assert not project.load(node).errors
    assert len(project.raw("s.t")) == len(hostile)
    dead = {letter.payload for letter in _letters(project).open_letters()}
    assert dead >= set(hostile)
    assert {json.loads(p)["note"] for p in dead if p.startswith('{"')} == set(hostile)
    origins = {letter.origin.rpartition(":")[0] for letter in _letters(project).open_letters()}
    assert origins == {text.replace("/", "_") + ".jsonl" for text in hostile}

    letters = _letters(project)
    reasons = hostile[::3]
    for text in reasons:
        assert letters.find(text) == []
        assert letters.open_letters(text) == []
        assert letters.open_letters(letter=text) == []
        assert letters.replay("run", text) == []
        assert letters.discard(letters.open_letters(limit=1), text, text) == 1
        with pytest.raises(DeclarationError):
            pick(load_sources(project.root), (text,))
        with pytest.raises(DeclarationError):
            pick(load_sources(project.root), (f"s.{text}",))
    rows = project.sql("select reason from raw_s._dead_letter_fates")
    assert {row[0] for row in rows} == set(reasons)

    mended = {**COLUMNS, "id": {"data_type": "bigint"}, "order": "varchar", "select": "varchar"}
    project.declare({**node, "tables": [table("t", mended, files="*", max_dead=1)]})
    left = {
        letter.payload
        for letter in _letters(project).open_letters()
        if letter.rules != ("unparsable",)
    }
    assert sum(done.replayed for done in _letters(project).replay("run")) == len(left)
    notes = [row[0] for row in project.raw("s.t", "note") if row[0] != "=2*3"]
    assert sorted(notes) == sorted(json.loads(payload)["note"] for payload in left)


def test_names_that_are_sql_are_no_names(project: Project, hostile: list[str]) -> None:
    good = source("s", table("t", COLUMNS, files="*"), kind="files", path="x")
    for text in hostile:
        for path in (("name",), ("schema",), ("tables", 0, "name"), ("tables", 0, "columns", 0)):
            node: Any = json.loads(json.dumps(good))
            at = node
            for key in path[:-1]:
                at = at[key]
            at[path[-1]] = {"name": text} if path[-1] == 0 else text
            with pytest.raises(DeclarationError):
                project.declare(node)
        node = json.loads(json.dumps(good))
        node["tables"][0]["columns"][0]["data_type"] = text
        with pytest.raises(DeclarationError):
            project.declare(node)
        for key, value in (("cursor", text), ("version", text), ("primary_key", [text])):
            node = json.loads(json.dumps(good))
            node["tables"][0]["config"]["meta"]["ingest"][key] = value
            with pytest.raises(DeclarationError):
                project.declare(node)
