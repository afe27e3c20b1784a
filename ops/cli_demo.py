"""The demonstration: two runs, some of the retailer's days between them, a closing table."""

import time

import duckdb
from rich.table import Table

import sample
from ops import cli_sample
from ops.cli_run import opened
from ops.codes import OK
from ops.log import Log
from ops.run import Runner
from ops.settings import Settings
from ops.steps import STEPS
from ops.summary import Summary


def demo() -> int:
    """Play it; a second call goes on where the first ended. The exit code of the last run.

    The first run is the one before which nothing was ever loaded. Where it does not go well, it is
    the end: days that pass would only hide what must be mended.
    """
    log = Log()
    with opened(None, "sample demo", log) as settings:
        begun = time.monotonic()
        retailer = cli_sample.retailer(settings)
        if retailer.clock() is None:
            log.say("demo", f"The retailer's systems, as they stood on {cli_sample.START}")
            cli_sample.move(settings, cli_sample.START, None)
        runner = Runner(settings, log)
        steps = [step.name for step in STEPS]
        summary = Summary("")
        with sample.services(settings.sample_home):
            if not runner.ever_loaded():
                log.say("demo", "First run: everything there is", style="bold")
                summary = runner.run([s for s in steps if s not in ("freshness", "report")], "run")
            if summary.code == OK:
                cli_sample.move(settings, None, cli_sample.DAYS)
                passed = f"{cli_sample.DAYS} days pass; it is {retailer.clock()}"
                log.say("demo", passed, style="bold")
                summary = runner.run(steps, "run")
        _closing(settings, log, summary)
        log.say("demo", f"All of it took {time.monotonic() - begun:.0f} s")
        return summary.code


def _closing(settings: Settings, log: Log, summary: Summary) -> None:
    if summary.loads:
        log.console.print(_brought(summary))
    models = sum(n.status == "success" and n.resource_type == "model" for n in summary.nodes)
    tests = sum(n.status == "pass" for n in summary.nodes)
    log.say("demo", f"{models} models built, {tests} tests passed")
    with duckdb.connect(str(settings.warehouse), read_only=True) as con:
        for line in _stories(con):
            log.say("demo", f"  {line}")
    if summary.errors:
        log.error("demo", "What went wrong:")
        for error in summary.errors:
            log.error("demo", f"  {error}")
    log.say("demo", "Where to look next:", style="bold")
    if summary.errors:
        log.say("demo", "  mend that, then   millrace sample demo")
    for name, path in (
        ("the start page    ", settings.site / "index.html"),
        ("the marts         ", settings.published / "marts.duckdb"),
    ):
        if path.exists():
            log.say("demo", f"  {name} {'duckdb ' if path.suffix == '.duckdb' else ''}{path}")
    log.say("demo", "  the dead letters   millrace dead-letters list")
    log.say("demo", "  some more days     millrace sample advance --days 7 && millrace run")


def _brought(summary: Summary) -> Table:
    made = Table(title="What the days brought", title_justify="left")
    made.add_column("table")
    for column in ("read", "accepted", "dead"):
        made.add_column(column, justify="right")
    for load in summary.loads:
        counts = (f"{count:,}" for count in (load.read, load.accepted, load.dead))
        made.add_row(f"{load.source}.{load.table}", *counts)
    return made


def _stories(con: duckdb.DuckDBPyConnection) -> list[str]:
    """What a newcomer should notice in the second run, as far as its tables are there."""
    there = set(con.execute("select schema_name, table_name from duckdb_tables()").fetchall())
    told = []
    if ("raw_pos", "transactions") in there:
        last = "(select max(_load_number) from raw_pos.transactions)"
        late, corrected = con.execute(
            f"""select
                count(*) filter (where transaction_timestamp < updated_at - interval 1 day),
                count(*) filter (where exists (
                    select 1 from raw_pos.transactions o where o.basket_id = t.basket_id
                    and o.product_id = t.product_id and o._load_number < t._load_number))
            from raw_pos.transactions t where _load_number = {last}"""
        ).fetchall()[0]
        told.append(
            f"{late:,} lines came a day or more after their sale, {corrected:,} corrected "
            "earlier ones"
        )
    if ("snapshots", "products_history") in there:
        (changed,) = con.execute(
            "select count(*) from snapshots.products_history where dbt_valid_to is not null"
        ).fetchall()[0]
        told.append(f"{changed:,} former states of products are kept in the snapshot")
    return told
