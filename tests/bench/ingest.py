"""The load benchmark: TPC-H lineitem from PostgreSQL into DuckDB, side by side, in turns.

Every contender is a process of its own, from the start of the interpreter to its end, and its rows
are counted and summed afterwards. The rounds go through the contenders in turns, so that whatever
else the machine does falls on all of them.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import duckdb

from tests.bench import lineitem, measure
from tests.bench.measure import BenchError, Cost

LIMIT, MILLRACE, BARE, PYARROW = "limit", "millrace", "millrace, no rules", "dlt pyarrow"
WHAT = {
    LIMIT: "DuckDB's own create table as select",
    MILLRACE: "every column typed, rules on eleven of them",
    BARE: "the same columns, no rule and no key",
    PYARROW: 'dlt sql_table(backend="pyarrow")',
    "dlt connectorx": 'dlt sql_table(backend="connectorx")',
    "ingestr": "ingestr of the package index",
}
# The sums are compared as text after the same cast: some contenders keep decimals as doubles.
_SUMS = lineitem.SUMS


@dataclass(frozen=True)
class Line:
    """One contender's medians; `server` is PostgreSQL's own processor time, in seconds."""

    name: str
    cost: Cost
    server: float
    runs: tuple[Cost, ...]


def run(
    scale: float, rounds: int, wanted: tuple[str, ...], ingestr: str | None, tell: Any
) -> list[Line]:
    """Measure the wanted contenders, all when none is named; `tell` is given a line a run.

    Args:
        scale: TPC-H's scale factor; 1 is 6 001 215 rows.
        rounds: how often each runs; the medians count.
        wanted: names of contenders; all if empty.
        ingestr: the program `ingestr`, where it is installed.
        tell: called with each line of progress.
    """
    names = [name for name in WHAT if not wanted or name in wanted]
    for name, why in _absent(ingestr):
        if name in names:
            names.remove(name)
            tell(f"{name}: left out, {why}")
    with _server() as url, tempfile.TemporaryDirectory(prefix="millrace-bench-") as folder:
        home = Path(folder)
        log = home / "log.txt"
        tell(f"making lineitem at scale {scale:g}")
        measure.run([sys.executable, "-m", "tests.bench.lineitem", url, str(scale)], log)
        expected = _expected(url, home)
        postmaster = measure.parent_of(_backend(url))
        costs: dict[str, list[Cost]] = {name: [] for name in names}
        server: dict[str, list[float]] = {name: [] for name in names}
        for number in range(rounds):
            # every other round goes the other way, so that no one always runs after the same one
            for name in names if number % 2 == 0 else reversed(names):
                before = measure.children_seconds(postmaster)
                cost = _one(name, url, home, ingestr, expected)
                server[name].append(measure.children_seconds(postmaster) - before)
                costs[name].append(cost)
                tell(
                    f"round {number + 1} {name}: {cost.wall:.1f} s, cpu {cost.cpu:.1f} s, "
                    f"peak {cost.peak / 2**20:.0f} MiB"
                )
    return [
        Line(name, measure.middle(costs[name]), sorted(server[name])[rounds // 2], tuple(runs))
        for name, runs in costs.items()
    ]


def _one(name: str, url: str, home: Path, ingestr: str | None, expected: tuple[Any, ...]) -> Cost:
    folder = home / "run"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    if name in (MILLRACE, BARE):
        lineitem.declare(folder, contract=name == MILLRACE)
    word = MILLRACE if name == BARE else name.replace(" ", "_")
    command = [sys.executable, "-m", "tests.bench.contenders", word, url, str(folder)]
    if name == "ingestr":
        command = [str(ingestr), "ingest", "--source-uri", url, "--source-table", "public.lineitem"]
        command += ["--dest-uri", f"duckdb:///{folder}/out.duckdb", "--dest-table", "raw.lineitem"]
        command += ["--yes", "--progress", "log"]
    cost = measure.run(command, home / "log.txt")
    _check(name, folder / "out.duckdb", expected)
    return cost


def _check(name: str, file: Path, expected: tuple[Any, ...]) -> None:
    """Nobody wins by losing rows."""
    with duckdb.connect(str(file), read_only=True) as con:
        found = con.execute(
            "select schema_name from duckdb_tables() where table_name = 'lineitem'"
        ).fetchall()
        got = con.execute(f'select {_SUMS} from "{found[0][0]}".lineitem').fetchone() or ()
    if [round(float(x), 2) for x in got] != [round(float(x), 2) for x in expected]:
        raise BenchError(f"{name} brought {got}, the source has {expected}")


def _expected(url: str, home: Path) -> tuple[Any, ...]:
    import psycopg

    with psycopg.connect(url) as con:
        return tuple(con.execute(f"select {_SUMS} from lineitem").fetchone() or ())


def _backend(url: str) -> int:
    import psycopg

    with psycopg.connect(url) as con:
        return con.info.backend_pid


def _absent(ingestr: str | None) -> Iterator[tuple[str, str]]:
    try:
        import connectorx  # noqa: F401
    except ImportError:
        yield "dlt connectorx", "connectorx is not installed: pip install connectorx"
    if not ingestr:
        yield (
            "ingestr",
            "give its program with --ingestr (pip install 'ingestr<0.15' in a venv of its own)",
        )


@contextmanager
def _server() -> Iterator[str]:
    """A throw-away PostgreSQL, the tests' own."""
    sys.path.insert(0, str(measure.ROOT / "tests" / "python"))
    from services import POSTGRES_MISSING, postgres, postgres_programs

    if postgres_programs() is None:
        raise BenchError(POSTGRES_MISSING)
    with postgres(shared_buffers="1GB", max_wal_size="8GB") as url:
        yield url


def table(lines: list[Line]) -> list[list[str]]:
    """The rows of the table: name, seconds, ratio to the limit, CPU, its ratio, peak, server."""
    by_name = {line.name: line for line in lines}
    base = by_name.get(LIMIT)
    rows = []
    for line in lines:
        wall = f"{line.cost.wall / base.cost.wall:.2f}" if base else "-"
        cpu = f"{line.cost.cpu / base.cost.cpu:.2f}" if base else "-"
        server, peak = f"{line.server:.1f}", f"{line.cost.peak / 2**20:,.0f}"
        seconds = f"{line.cost.wall:.1f}", wall, f"{line.cost.cpu:.1f}", cpu
        rows.append([line.name, *seconds, server, peak])
    return rows


def verdicts(lines: list[Line]) -> list[str]:
    """The targets, each with what was reached. Ratios are medians of the rounds' own ratios."""
    found = {line.name: line for line in lines}
    said = []
    for left, right, word, aim in (
        (MILLRACE, LIMIT, "of the limit", "≤ 1.3"),
        (MILLRACE, BARE, "of itself without rules", "≤ 1.2"),
        (PYARROW, MILLRACE, "of Millrace, for dlt pyarrow", "≥ 4"),
    ):
        if left in found and right in found:
            pairs = list(zip(found[left].runs, found[right].runs, strict=True))
            wall = sorted(a.wall / b.wall for a, b in pairs)[len(pairs) // 2]
            cpu = sorted(a.cpu / b.cpu for a, b in pairs)[len(pairs) // 2]
            said.append(f"{wall:.2f} × {word} by the clock, {cpu:.2f} × by CPU (aim {aim})")
    if MILLRACE in found:
        said.append(f"peak {found[MILLRACE].cost.peak / 2**20:,.0f} MiB (aim ≤ 1,536)")
    return said


def as_json(lines: list[Line]) -> list[dict[str, Any]]:
    """The lines as plain data: seconds and bytes, every run."""
    return [{**asdict(line), "what": WHAT[line.name]} for line in lines]


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
