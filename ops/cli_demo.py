"""The demonstration: two runs, some of the retailer's days between them, a closing table."""

import time

import duckdb
from rich.table import Table as RichTable

import sample
from ops import cli_run, cli_sample
from ops.log import Log
from ops.run import Runner, Summary
from ops.settings import Settings
from ops.steps import STEPS


def demo() -> int:
    """Play it; a second call goes on where the first ended. The exit code of the worse run."""
    log = Log()
    with cli_run.opened(None, "sample demo") as settings:
        begun = time.monotonic()
        first = cli_sample.retailer(settings).clock() is None
        if first:
            log.say("demo", f"The retailer's systems, as they stood on {cli_sample.START}")
            cli_sample.move(settings, cli_sample.START, None)
        runner = Runner(settings, log)
        steps = [step.name for step in STEPS]
        code = 0
        with sample.services(settings.sample_home):
            if first:
                log.say("demo", "First run: everything there is", style="bold")
                code = runner.run(
                    [s for s in steps if s not in ("freshness", "report")], "run"
                ).code
            cli_sample.move(settings, None, cli_sample.DAYS)
            day = cli_sample.retailer(settings).clock()
            log.say("demo", f"{cli_sample.DAYS} days pass; it is {day}", style="bold")
            summary = runner.run(steps, "run")
        _closing(settings, log, summary)
        log.say("demo", f"All of it took {time.monotonic() - begun:.0f} s")
        return max(code, summary.code)


def _closing(settings: Settings, log: Log, summary: Summary) -> None:
    rows = [
        [f"{x.source}.{x.table}", f"{x.read:,}", f"{x.accepted:,}", f"{x.dead:,}"]
        for x in summary.loads
    ]
    log.console.print(
        _table("What the days brought", ["table", "read", "accepted", "dead"], rows)
    )
    models = sum(n.status == "success" and n.resource_type == "model" for n in summary.nodes)
    tests = sum(n.status == "pass" for n in summary.nodes)
    log.say("demo", f"{models} models built, {tests} tests passed")
    with duckdb.connect(str(settings.warehouse), read_only=True) as con:
        for line in _stories(con):
            log.say("demo", f"  {line}")
    log.say("demo", "Where to look next:", style="bold")
    log.say("demo", f"  the start page     {settings.site / 'index.html'}")
    log.say("demo", f"  the marts          duckdb {settings.published / 'marts.duckdb'}")
    log.say("demo", "  the dead letters   millrace dead-letters list")
    log.say("demo", "  some more days     millrace sample advance --days 7 && millrace run")


def _stories(con: duckdb.DuckDBPyConnection) -> list[str]:
    """What a newcomer should notice in the second run."""
    last = "(select max(_load_number) from raw_pos.transactions)"
    (late,) = con.execute(
        f"select count(*) from raw_pos.transactions where _load_number = {last} "
        "and transaction_timestamp < updated_at - interval 1 day"
    ).fetchone() or (0,)
    (corrected,) = con.execute(
        f"select count(*) from raw_pos.transactions t where _load_number = {last} and exists "
        "(select 1 from raw_pos.transactions o where o.basket_id = t.basket_id "
        "and o.product_id = t.product_id and o._load_number < t._load_number)"
    ).fetchone() or (0,)
    (changed,) = con.execute(
        "select count(*) from snapshots.products_history where dbt_valid_to is not null"
    ).fetchone() or (0,)
    return [
        f"{late:,} lines came a day or more after their sale, {corrected:,} corrected earlier ones",
        f"{changed:,} former states of products are kept in the snapshot",
    ]


def _table(title: str, columns: list[str], rows: list[list[str]]) -> RichTable:
    """A small table for the terminal; all columns but the first stand right."""
    made = RichTable(title=title, title_justify="left")
    for index, column in enumerate(columns):
        made.add_column(column, justify="left" if index == 0 else "right")
    for row in rows:
        made.add_row(*row)
    return made
