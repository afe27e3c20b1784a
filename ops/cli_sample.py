"""`millrace sample`: the retailer's clock, and the whole pipeline shown on it."""

from datetime import date
from typing import Annotated

import typer

import sample
from ops import settings as settings_module
from ops.log import Log
from ops.settings import Settings

START = date(2017, 3, 31)
DAYS = 5

app = typer.Typer(
    help="The sample retailer: tills, a file drop, an API and a topic, delivered by a clock.",
    no_args_is_help=True,
)


@app.command()
def start(
    until: Annotated[str, typer.Option(help="The day to start on.")] = START.isoformat(),
) -> None:
    """Deliver everything up to a day, from scratch.

    \b
    Example:
      millrace sample start --until 2017-01-20
    """
    try:
        day = date.fromisoformat(until)
    except ValueError:
        raise typer.BadParameter(
            f"{until!r} is not a day; write it as 2017-01-20", param_hint="--until"
        ) from None
    _moved(day, None)


@app.command()
def advance(days: Annotated[int, typer.Option(help="How many days.")] = 1) -> None:
    """Let the retailer's clock go on; new, late and corrected rows arrive.

    \b
    Example:
      millrace sample advance --days 7 && millrace run
    """
    _moved(None, days)


@app.command()
def demo() -> None:
    """Run the pipeline on the retailer, let some days pass, run it again, and tell what came."""
    from ops.cli_demo import demo as play

    raise typer.Exit(play())


def _moved(until: date | None, days: int | None) -> None:
    settings, log = settings_module.load(None), Log()
    with log.working("the retailer's systems deliver"):
        move(settings, until, days)
    log.say("sample", f"the retailer's clock stands at {retailer(settings).clock()}")


def retailer(settings: Settings) -> sample.Retailer:
    """The retailer of these settings.

    Its tills are in PostgreSQL when MILLRACE_POS_URL says so; their scans are events, too, where
    MILLRACE_SCANNER_BROKERS names a Kafka.
    """
    return sample.Retailer(
        settings.sample_home,
        pos_url=settings.env.get("MILLRACE_POS_URL"),
        brokers=settings.env.get("MILLRACE_SCANNER_BROKERS"),
    )


def move(settings: Settings, until: date | None, days: int | None) -> None:
    """Start the retailer at a day, or let days pass.

    Raises:
        SampleError: see `sample.Retailer`.
    """
    if until is not None:
        retailer(settings).start(until)
    if days is not None:
        retailer(settings).advance(days)
