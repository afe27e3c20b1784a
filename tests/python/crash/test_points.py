"""Every statement with a durable effect has a case in the crash matrix, or a reason for none."""

import ast
import sys
from pathlib import Path

import pytest

from tests.crash import points
from tests.crash.control import Control
from tests.crash.coverage import CASES, EXCEPTIONS, covered, excepted

FOUND = points.found()


def test_every_durable_statement_has_a_case() -> None:
    without = [name for name in FOUND if not covered(name) and not excepted(name)]
    assert not without, "give these a scenario: see tests/crash/coverage.py"
    assert len(FOUND) > 120
    assert len(set(FOUND)) == len(FOUND)


def test_every_case_and_every_exception_is_of_a_statement() -> None:
    functions = {name.partition(": ")[0] for name in FOUND}
    listed = {f"{package}.{rest}" for package, names in CASES.items() for rest in names}
    assert listed - functions == set()
    used = {excepted(name) for name in FOUND if not covered(name) or excepted(name)}
    assert set(EXCEPTIONS) - used == set()


CODE = """
import os, shutil, duckdb
QUERY = "select 1"
def f(con, path, sql):
    {}
"""
DURABLE = (
    "con.execute('insert into a values (1)')",
    "con.execute(f'delete from {path}')",
    "con.execute(sql)",
    "con.execute('create table a (b int)')",
    "con.execute('commit')",
    "con.executemany('insert into a values (?)', [])",
    "path.replace(path)",
    "os.replace(path, path)",
    "path.open('w')",
    "open(path, mode='ab')",
    "path.write_text('a')",
    "path.unlink()",
    "shutil.rmtree(path)",
    "shutil.copy(path, path)",
    "os.fsync(3)",
    "os.open(path, os.O_RDWR | os.O_CREAT)",
    "duckdb.connect(path)",
    "con.pipeline.run(path)",
    "dlt.pipeline(pipelines_dir=path)",
)
LASTING_NOT = (
    "con.execute('select 1')",
    "con.execute(QUERY)",
    "con.execute('create temp table a (b int)')",
    "'a'.replace('b', 'c')",
    "path.open('rb')",
    "open(path)",
    "os.open(path, os.O_RDONLY)",
    "duckdb.connect()",
    "duckdb.connect(path, read_only=True)",
    "sql.run(path)",
)


@pytest.mark.parametrize("call", [*DURABLE, *LASTING_NOT])
def test_what_counts_as_durable(call: str) -> None:
    tree = points.placed(CODE.format(call), "ops.made_up")
    names = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and str(node.value).startswith("ops.made_up.f: ")
    ]
    assert bool(names) == (call in DURABLE)


def test_a_point_lies_just_before_and_just_after_the_call(tmp_path: Path) -> None:
    file = tmp_path / "a"
    passed = []

    class Seen(Control):
        def at(self, point: str) -> None:
            passed.append((point, file.exists()))

    source = "def f(path):\n    return path.write_text('a')\n"
    space = {"__crash__": Seen()}
    exec(compile(points.placed(source, "ops.made_up"), "made_up", "exec"), space)
    assert space["f"](file) == 1
    name = "ops.made_up.f: path.write_text('a')"
    assert passed == [(f"{name} (before)", False), (f"{name} (after)", True)]


def test_the_end_of_a_with_has_points_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "a"
    passed = []

    class Seen(Control):
        def at(self, point: str) -> None:
            size = file.stat().st_size if file.exists() else -1
            passed.append((point.partition("'w')")[2], size))

    source = "def f(path):\n    with path.open('w') as file:\n        file.write('a')\n"
    space = {"__crash__": Seen()}
    exec(compile(points.placed(source, "ops.made_up"), "made_up", "exec"), space)
    space["f"](file)
    assert passed == [
        (" (before)", -1), (" (after)", 0), ("", 0), ("", 0),
        (", its end (before)", 0), (", its end (after)", 1),
    ]  # fmt: skip


def test_the_products_own_code_has_no_points() -> None:
    import ops.publish

    assert "__crash__" not in vars(ops.publish)
    for path in points.modules().values():
        assert "crash" not in path.read_text("utf-8"), path
    assert not any(name.startswith("tests.crash.hook") for name in sys.modules)
