"""`millrace rewind`: list the points that are kept, or go to one of them."""

from typing import Annotated

import typer

from ops import settings as settings_module
from ops.cli_run import LogJson, Target, logged, opened
from ops.codes import OK
from ops.log import Log
from ops.settings import Settings


def rewind(
    to: Annotated[
        str | None, typer.Option(help="A run's id, or `latest`; lists them when not given.")
    ] = None,
    target: Target = None,
    log_json: LogJson = False,
) -> None:
    """Take raw, state, dead letters, snapshots and marts together back to a run, or forward.

    What is there now is kept first, so that there is a way forward. Readers get that run's marts
    at once. The next `millrace run` reads again what came after.

    \b
    Examples:
      millrace rewind                                   which runs are kept
      millrace rewind --to 20170104T050000-3fa9c1       back to one of them
      millrace rewind --to latest                       forward to the newest
    """
    code = OK
    with logged(as_json=log_json) as log:
        if to is None:
            _list(settings_module.load(target), log)
        else:
            with opened(target, f"rewind --to {to}") as here:
                code = _go(here, log, to)
    raise typer.Exit(code)


def _list(here: Settings, log: Log) -> None:
    from ops.history import History
    from ops.rewind import in_use

    history = History(here.history)
    own, present = history.own_bytes(), in_use(here)
    for point in reversed(history.points()):
        about = point.about
        log.say(
            "point",
            f"{point.name}  {point.kept_at[:19].replace('T', ' ')}  {about['command']:<12} "
            f"{about['loads']:>5,} loads {about['rows']:>13,} rows  {point.bytes / 1e6:,.0f} MB, "
            f"{own[point.name] / 1e6:,.0f} of its own" + ("  <- in use" * (point == present)),
            point=point.name,
            kept_at=point.kept_at,
            bytes=point.bytes,
            own_bytes=own[point.name],
            in_use=point == present,
            **{key: about[key] for key in ("command", "loads", "rows")},
        )
    if not own:
        log.say("point", "no point is kept yet: a `millrace run` that publishes keeps one")


def _go(here: Settings, log: Log, to: str) -> int:
    from ops.rewind import rewind

    done = rewind(here, log, to)
    if done.left is not None:
        log.say("left", f"the way forward: millrace rewind --to {done.left.name}", style="dim")
    log.say("rewound", f"at {done.point.name}, kept {done.point.kept_at}", point=done.point.name)
    return done.code
