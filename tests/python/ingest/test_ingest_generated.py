"""Bad inputs over all readers: each row is in raw, a dead letter, or its file is named as a whole.

Every input is made from the seed and its number, which a failing assertion shows. A seed makes 540
of them. More seeds: MILLRACE_TEST_SEEDS=2 (the default is 1).
"""

import os
import random
import re
import sqlite3
import sys
import types
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import bad_answers
import bad_inputs
import dlt
import duckdb
import pyarrow as pa
import pytest
import yaml
from apis import Answer, Asked, api
from bad_inputs import COLUMNS, Bad
from dlt.sources.helpers.requests import retry
from projects import Project, source, table

from ingest import faults
from ingest.declaration import load_sources
from ingest.errors import DeclarationError, IngestError
from ingest.load import SourceResult
from ingest.readers import rest_session

SEEDS = range(int(os.environ.get("MILLRACE_TEST_SEEDS", 1)))
FILES = {"csv": 170, "jsonl": 140, "parquet": 70}
TABLES = {"sqlite": 20, "rest": 20, "dlt": 20}
DECLARATIONS = 100
MAKERS: dict[str, Callable[[random.Random, int], Bad]] = {
    "csv": bad_inputs.csv_file,
    "jsonl": bad_inputs.json_file,
    "parquet": bad_inputs.parquet_file,
    "sqlite": bad_inputs.sql_rows,
    "rest": bad_inputs.items,
    "dlt": bad_inputs.items,
}
GOOD = "the good neighbour"


def _made(kind: str, seed: int, count: int) -> list[Bad]:
    return [
        MAKERS[kind](random.Random(f"{kind} {seed} {number}"), number) for number in range(count)
    ]


def _clear(result: SourceResult) -> None:
    """Every error is one of ours, in one message with its place, and no fault of the program."""
    for error in result.errors:
        text = str(error)
        assert isinstance(error, IngestError)
        assert error.where, text
        for word in ("Traceback", "unexpected ", "INTERNAL", "fault of the program", "Fatal"):
            assert word not in text, text


def _homes(project: Project) -> dict[str, Counter[str]]:
    """Each table, to how often each mark is found in its rows and dead letters."""
    homes: dict[str, Counter[str]] = {}
    with duckdb.connect(str(project.warehouse), read_only=True) as con:
        names = con.execute(
            "select table_name from duckdb_tables() where schema_name = 'raw_s' "
            "and not starts_with(table_name, '_')"
        ).fetchall()
        for (name,) in names:
            rows = con.execute(
                f"select t::varchar from raw_s.{name} t union all "
                "select payload from raw_s._dead_letters where table_name = ?",
                [name],
            ).fetchall()
            text = "\n".join(row[0] for row in rows).replace("\x00", "").replace("\\u0000", "")
            homes[name] = Counter(_marks(text.replace("\\x00", "")))
    return homes


def _marks(text: str) -> Iterator[str]:
    yield from re.findall(r"m\d{5}r\dm", text)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", FILES)
def test_files(project: Project, tmp_path: Path, kind: str, seed: int) -> None:
    drop = tmp_path / "drop"
    drop.mkdir()
    made = _made(kind, seed, FILES[kind])
    assert len({bad.name for bad in made}) == FILES[kind]
    for bad in made:
        (drop / bad.name).write_bytes(bad.data)
    (drop / f"zzz.{kind}").write_bytes(_neighbour(kind))
    node = source("s", table("t", COLUMNS, files=f"*.{kind}*", max_dead=1), kind="files",
                  path=str(drop))  # fmt: skip
    result = project.load(node)
    _clear(result)
    project.check_books("s")
    assert project.sql(f"select count(*) from raw_s.t where note = '{GOOD}'") == [(1,)]
    refused = _check_files(project, made, result)
    assert len(refused) > len(made) / 20
    assert sum(len(bad.marks) for bad in made) > 2 * len(made)

    for bad in made:
        if bad.name in refused:
            (drop / bad.name).write_bytes(bad.mended)
            bad.marks = bad.every
    again = project.load(afresh=True)
    assert [str(error) for error in again.errors] == []
    assert _check_files(project, made, again) == set()
    project.check_books("s")
    assert not project.load().loads


def _neighbour(kind: str) -> bytes:
    if kind == "parquet":
        return bad_inputs.parquet(pa.table({"id": [1], "note": [GOOD]}))
    text = f'{{"id": 1, "note": "{GOOD}"}}' if kind == "jsonl" else f"id,note\n1,{GOOD}"
    return text.encode()


def _check_files(project: Project, made: list[Bad], result: SourceResult) -> set[str]:
    """Every mark has one home, or its whole file is named and no part of it is in; the refused."""
    taken = {row[0] for row in project.sql("select path from raw_s._files")}
    told = "\n".join(map(str, result.errors))
    homes = _homes(project)["t"]
    for bad in made:
        wanted = dict.fromkeys(bad.marks, 1) if bad.name in taken else {}
        found = {mark: homes[mark] for mark in bad.every if homes[mark]}
        assert found == wanted, (bad.name, bad.what, bad.data[:300])
        assert bad.name in taken or bad.name in told, bad.name
    return {bad.name for bad in made} - taken


def _check_tables(project: Project, made: list[Bad], result: SourceResult) -> set[str]:
    """Every mark has one home, or its whole table is named and no part of it is in; the refused."""
    (declared,) = load_sources(project.root)
    places = {place: t.name for t in declared.tables for place in (t.label, t.where)}
    refused = {places[error.where] for error in result.errors}
    homes = _homes(project)
    for bad in made:
        wanted = {} if bad.name in refused else dict.fromkeys(bad.marks, 1)
        found = {mark: homes[bad.name][mark] for mark in bad.every if homes[bad.name][mark]}
        assert found == wanted, (bad.name, bad.what, bad.data)
    return refused


def _tables(made: list[Bad], **more: Any) -> list[dict[str, Any]]:
    """The tables' nodes: the good one among them."""
    names = [*(bad.name for bad in made), "good"]
    return [
        table(name, COLUMNS, max_dead=1, **{k: v(name) for k, v in more.items()}) for name in names
    ]


def _loaded_twice(
    project: Project, node: dict[str, Any], made: list[Bad], mend: Callable[[Bad], None]
) -> None:
    result = project.load(node)
    _clear(result)
    project.check_books("s")
    assert project.raw("s.good", "note") == [(GOOD,)]
    refused = _check_tables(project, made, result)
    assert sum(len(bad.marks) for bad in made) > 2 * len(made)
    for bad in made:
        if bad.name in refused:
            mend(bad)
            bad.marks = bad.every
    again = project.load(afresh=True)
    assert [str(error) for error in again.errors] == []
    assert _check_tables(project, made, again) == set()
    project.check_books("s")


@pytest.mark.parametrize("seed", SEEDS)
def test_tables_of_sqlite(project: Project, tmp_path: Path, seed: int) -> None:
    path = tmp_path / "s.sqlite"
    made = _made("sqlite", seed, TABLES["sqlite"])

    def put(name: str, columns: list[str], rows: list[list[Any]]) -> None:
        listed = ", ".join('"' + column.replace('"', '""') + '"' for column in columns)
        with closing(sqlite3.connect(path)) as con, con:
            con.execute(f"drop table if exists {name}")
            con.execute(f"create table {name} ({listed})")
            con.executemany(f"insert into {name} values ({', '.join('?' * len(columns))})", rows)

    def mend(bad: Bad) -> None:
        put(bad.name, list(bad.mended[0]), [list(row.values()) for row in bad.mended])

    for bad in made:
        put(bad.name, *bad.data)
    put("good", ["id", "note"], [[1, GOOD]])
    node = source("s", *_tables(made), kind="sql", url=f"sqlite:///{path}")
    _loaded_twice(project, node, made, mend)


@pytest.mark.parametrize("seed", SEEDS)
def test_pages_of_an_api(project: Project, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry.wait_exponential_retry_after, "__call__", lambda *_: 0.0)
    monkeypatch.setattr(faults, "_TRIES", 2)
    monkeypatch.setattr(rest_session, "_STALE_PAGES", 20)
    made = _made("rest", seed, TABLES["rest"])
    by_path = {f"/{bad.name}": bad for bad in made}
    answers = {
        bad.name: bad_answers.page(random.Random(f"page {seed} {n}"), bad)
        for n, bad in enumerate(made)
    }

    def answer(asked: Asked) -> Answer:
        if asked.path == "/good":
            return Answer({"items": [{"id": 1, "note": GOOD}]})
        return answers[by_path[asked.path].name](asked)

    def mend(bad: Bad) -> None:
        answers[bad.name] = lambda _: Answer({"items": bad.mended})

    with api(answer) as here:
        client = {
            "base_url": here.url,
            "paginator": {"type": "json_link", "next_url_path": "next"},
        }
        endpoint = {"endpoint": lambda name: {"path": name, "data_selector": "items"}}
        node = source("s", *_tables(made, **endpoint), kind="rest", client=client)
        _loaded_twice(project, node, made, mend)


@pytest.mark.parametrize("seed", SEEDS)
def test_items_of_functions(project: Project, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    made = _made("dlt", seed, TABLES["dlt"])
    gives = {
        bad.name: bad_answers.given(random.Random(f"given {seed} {n}"), bad)
        for n, bad in enumerate(made)
    }
    gives["good"] = lambda: [{"id": 1, "note": GOOD}]

    @dlt.source(name="functions")
    def functions() -> Any:
        return [dlt.resource(lambda n=name: gives[n](), name=name) for name in gives]

    def mend(bad: Bad) -> None:
        gives[bad.name] = lambda: bad.mended

    module = types.ModuleType("bad_functions")
    vars(module)["functions"] = functions
    monkeypatch.setitem(sys.modules, "bad_functions", module)
    node = source("s", *_tables(made), kind="dlt", function="bad_functions:functions")
    _loaded_twice(project, node, made, mend)


@pytest.mark.parametrize("seed", SEEDS)
def test_declarations(tmp_path: Path, seed: int) -> None:
    good = yaml.safe_dump(
        {"sources": [source("s", table("t", COLUMNS, files="*.csv"), kind="files", path="x")]},
        sort_keys=False,
    )
    path = tmp_path / "models" / "_s__sources.yml"
    path.parent.mkdir()
    wrong = 0
    for number in range(DECLARATIONS):
        chance = random.Random(f"yaml {seed} {number}")
        path.write_bytes(bad := bad_answers.declaration(chance, good))
        try:
            load_sources(tmp_path)
            error = None
        except DeclarationError as declared:
            error = declared
        wrong += error is not None
        assert error is None or "_s__sources.yml" in error.where, (bad, error)
    assert wrong > DECLARATIONS / 3
    path.write_text(good)
    assert [s.name for s in load_sources(tmp_path)] == ["s"]


def test_two_seeds_make_a_thousand() -> None:
    assert 2 * (sum(FILES.values()) + sum(TABLES.values()) + DECLARATIONS) >= 1000
