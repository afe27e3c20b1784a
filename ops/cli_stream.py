"""`millrace stream`: the topics' messages in the published marts some seconds after they came."""

from typing import Annotated

import typer

from ops.cli_run import LogJson, Target, for_ever, seconds

_PATIENCE = 5.0  # seconds after what was unforeseen


def stream(
    tables: Annotated[
        list[str] | None,
        typer.Argument(help="Words like `scanner` or `scanner.scans`; every topic if none."),
    ] = None,
    pause: Annotated[
        str, typer.Option(help="From one look at the topics to the next, and between two ticks.")
    ] = "0.2s",
    target: Target = None,
    log_json: LogJson = False,
) -> None:
    """Load what stands in the topics, build what it reaches, publish; again and again.

    While a batch is built, messages wait in the broker, and the next batch is larger. With Ctrl-C
    or SIGTERM the tick at work ends well; a second one ends it at once.

    \b
    Examples:
      millrace stream                          every topic, until Ctrl-C
      millrace stream scanner.scans            this one alone
      millrace stream --pause 10s              larger batches, for less processor time
    """
    from ops.stream import Stream

    between, words = seconds(pause, "--pause"), tuple(tables or ())
    for_ever(
        " ".join(["stream", *words]),
        target,
        log_json,
        lambda here, log: Stream(here, log, words, between).tick,
        _PATIENCE,
    )
