"""`python -m tests.bench KIND`: a benchmark, as a table and as JSON."""

import argparse
import contextlib
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench import ingest, latency, ledger, measure, points, publish, soak, ticks, topics
from tests.bench.measure import BenchError


def main() -> int:
    """Run what was asked for; 0 when it could be measured, whatever the figures are."""
    words = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    words.add_argument("--json", type=Path, help="also write every figure into this file")
    kinds = words.add_subparsers(dest="kind", required=True)
    load = kinds.add_parser("load", help="lineitem from PostgreSQL into DuckDB, side by side")
    load.add_argument("--scale", type=float, default=1.0, help="TPC-H's scale; 1 is 6 M rows")
    load.add_argument("--rounds", type=int, default=3)
    load.add_argument("--only", action="append", default=[], choices=list(ingest.WHAT))
    load.add_argument("--ingestr", default=shutil.which("ingestr"), help="its program")
    topic = kinds.add_parser("topics", help="messages from Kafka into DuckDB, side by side")
    topic.add_argument("--count", type=int, default=3_000_000)
    topic.add_argument("--rounds", type=int, default=3)
    topic.add_argument("--python", type=int, default=1, help="rounds of the Python way, minutes")
    late = kinds.add_parser("latency", help="from a message to the published mart, at some rates")
    late.add_argument("--rate", type=int, action="append", help="messages/s; 100, 1 000, 10 000")
    late.add_argument("--seconds", type=float, default=300)
    long = kinds.add_parser("soak", help="half an hour of stream and kills: docs/soak.md")
    long.add_argument("--minutes", type=float, default=30)
    long.add_argument("--rate", type=int, default=300)
    long.add_argument("--seed", type=int, default=1)
    long.add_argument("--page", type=Path, default=measure.ROOT / "docs" / "soak.md")
    tick = kinds.add_parser("ticks", help="runs with nothing new, and with 10 000 new lines")
    tick.add_argument(
        "--times", type=int, action="append", help="history, in years; 1 and 10 for its growth"
    )
    tick.add_argument("--ticks", type=int, default=3)
    tick.add_argument("--rows", type=int, default=10_000)
    tick.add_argument("--nodes", type=int, default=0, help="also so many of the slowest dbt nodes")
    tick.add_argument("--home", type=Path, help="work here and leave it; with one --times only")
    snapshot = kinds.add_parser("publish", help="a publish for growing history, side by side")
    snapshot.add_argument("--times", type=int, action="append", help="histories; 1, 4 and 16")
    snapshot.add_argument("--rounds", type=int, default=3)
    kinds.add_parser("ledger", help="the row ledger's part of a first run")
    kept = kinds.add_parser("points", help="what it costs to be able to rewind")
    kept.add_argument("--days", type=int, default=10, help="runs, each with a day's delivery")
    given = words.parse_args()
    console = Console(highlight=False)
    try:
        of_kind = {
            "load": _load,
            "topics": _topics,
            "latency": _latency,
            "soak": _soak,
            "ticks": _ticks,
            "publish": _publish,
            "points": _points,
            "ledger": _ledger,
        }
        data = of_kind[given.kind](given, console)
    except BenchError as error:
        console.print(str(error), style="red", markup=False)
        return 1
    if given.json:
        given.json.write_text(json.dumps({"cores": ingest.cores(), given.kind: data}, indent=1))
    return 0


def _load(given: argparse.Namespace, console: Console) -> Any:
    lines = ingest.run(given.scale, given.rounds, tuple(given.only), given.ingestr, console.print)
    title = f"lineitem, scale {given.scale:g}, medians of {given.rounds}"
    heads = ["", "seconds", "× limit", "CPU s", "× limit", "server CPU s", "peak MiB"]
    _show(console, title, heads, ingest.table(lines))
    for said in ingest.verdicts(lines):
        console.print(said)
    return ingest.as_json(lines)


def _topics(given: argparse.Namespace, console: Console) -> Any:
    lines = topics.run(given.count, given.rounds, given.python, console.print)
    title = f"{given.count:,} messages, medians"
    heads = ["", "seconds", "messages/s", "CPU s", "peak MiB"]
    _show(console, title, heads, topics.table(lines, given.count))
    for said in topics.verdicts(lines):
        console.print(said)
    return topics.as_json(lines)


def _latency(given: argparse.Namespace, console: Console) -> Any:
    rates = given.rate or [100, 1_000, 10_000]
    found = [latency.run(rate, given.seconds, console.print) for rate in rates]
    title = f"from a message to the published mart, {given.seconds:g} s at each rate"
    heads = ["messages/s", "p50 s", "p99 s", "most s", "ticks", "× growth", "CPU s", "peak MiB"]
    _show(console, title, heads, latency.table(found))
    console.print("aim: p99 ≤ 5 s at 1,000 a second; at 10,000 it does not fall behind")
    return latency.as_json(found)


def _soak(given: argparse.Namespace, console: Console) -> Any:
    page = soak.run(given.minutes, given.rate, given.seed, console.print)
    given.page.write_text(page)
    console.print(page, markup=False)
    return page


def _ticks(given: argparse.Namespace, console: Console) -> Any:
    found = []
    for times in given.times or [1]:
        one = ticks.run(times, given.ticks, given.rows, given.home, console.print)
        title = f"history × {times}, medians of {given.ticks}"
        _show(console, title, ["", "seconds", "CPU s", "aim"], ticks.table(one))
        if given.nodes:
            _show(console, "dbt nodes", ["", "kind", "seconds"], ticks.nodes(one, given.nodes))
        found.append(one)
    for more in found[1:]:
        wall, cpu = (more["busy"][key] / found[0]["busy"][key] for key in ("seconds", "cpu"))
        console.print(
            f"× {more['times']} history: a busy tick takes {wall:.2f} × by the clock, {cpu:.2f} × "
            "by CPU (aim ≤ 1.5 for × 10)"
        )
    return found


def _publish(given: argparse.Namespace, console: Console) -> Any:
    found = {}
    with contextlib.ExitStack() as stack:
        folders = [Path(tempfile.gettempdir())]
        try:
            folders.append(stack.enter_context(publish.sharing_blocks()))
        except publish.SkippedError as error:
            console.print(str(error))
        for folder in folders:
            kind, histories = publish.kind_of(folder), given.times or [1, 4, 16]
            one = [publish.run(folder, n, given.rounds, console.print) for n in histories]
            heads = [f"× {each['times']}, {each['bytes'] / 1e6:,.0f} MB" for each in one]
            title = f"publish on {kind}, medians of {given.rounds}"
            _show(console, title, ["", *heads, "s a GB"], publish.table(one))
            found[kind] = one
    return found


def _points(given: argparse.Namespace, console: Console) -> Any:
    found = points.run(given.days, console.print)
    heads = ["run", "takes", "its point", "MB", "MB stored", "s a GB"]
    _show(console, "a point after each run", heads, points.table(found))
    for said in points.verdicts(found):
        console.print(said)
    return found


def _ledger(given: argparse.Namespace, console: Console) -> Any:
    found = ledger.run(console.print)
    _show(console, "the row ledger, aim 2 %", ["", "seconds", "share"], ledger.table(found))
    return ledger.as_json(found)


def _show(console: Console, title: str, heads: list[str], rows: list[list[str]]) -> None:
    made = Table(title=title, title_justify="left")
    for head in heads:
        made.add_column(head, justify="right" if head else "left")
    for row in rows:
        made.add_row(*row)
    console.print(made)


if __name__ == "__main__":
    sys.exit(main())
