"""`millrace dead-letters`: see, replay and discard the rows that broke their contract."""

import json
from collections import Counter
from typing import Annotated

import typer

from ingest.declaration import Source, load_sources, pick
from ingest.errors import DeclarationError
from ingest.load import Loader
from ops.log import Log
from ops.settings import Settings

app = typer.Typer(
    help="The rows that broke their contract: kept until they are replayed or discarded.",
    no_args_is_help=True,
)

Which = Annotated[
    str | None, typer.Argument(help="`source` or `source.table`; everything when not given.")
]


@app.command("list")
def list_() -> None:
    """Count the open dead letters by table and rule."""
    with _Loaders(None) as (log, loaders):
        counts: Counter[tuple[str, str]] = Counter()
        for loader in loaders:
            for letter in loader.dead_letters().open_letters():
                counts[f"{letter.source}.{letter.table}", ", ".join(letter.rules)] += 1
        for (table, rules), count in sorted(counts.items()):
            log.say("dead_letters", f"{count:>8,}  {table}  {rules}")
        if not counts:
            log.say("dead_letters", "no open dead letters")
        else:
            log.say("next", "see them: millrace dead-letters show SOURCE.TABLE", style="dim")


@app.command()
def show(
    which: Annotated[str, typer.Argument(help="`source.table`, or the beginning of an id.")],
    limit: Annotated[int, typer.Option(help="How many at most.")] = 10,
) -> None:
    """Show open dead letters with their rules, payload and origin.

    \b
    Examples:
      millrace dead-letters show pos.transactions --limit 3
      millrace dead-letters show 4f1c
    """
    is_table = "." in which
    with _Loaders(which if is_table else None) as (log, loaders):
        shown = 0
        for loader in loaders:
            letters = loader.dead_letters()
            tables = {table.name for table in loader.source.tables}
            found = letters.open_letters() if is_table else letters.find(which)
            for letter in [x for x in found if x.table in tables][: limit - shown]:
                shown += 1
                log.say("dead_letter", f"{letter.id}  {letter.source}.{letter.table}", style="bold")
                log.say("rules", f"  breaks   {', '.join(letter.rules)}")
                log.say("origin", f"  came in  load {letter.load_number} from {letter.origin}")
                log.say("payload", f"  payload  {_shown(letter.payload)}")
        if not shown:
            log.say("dead_letters", f"no open dead letter fits {which!r}")


@app.command()
def replay(which: Which = None) -> None:
    """Check open dead letters against the rules of today; what holds goes into raw.

    A replayed row stands where it stood when it was first read: it never replaces a newer version.

    \b
    Example, after a rule in the source's YAML was mended:
      millrace dead-letters replay pos.products && millrace run
    """
    with _Loaders(which) as (log, loaders):
        any_letters = False
        for loader in loaders:
            letters = loader.dead_letters()
            for table in loader.source.tables:
                for done in letters.replay("replay", table.name):
                    any_letters = True
                    log.say(
                        "replayed",
                        f"{done.source}.{done.table}: {done.replayed} replayed, "
                        f"{done.still_broken} still break a rule",
                    )
        if any_letters:
            log.say("next", "`millrace run` takes replayed rows into the marts", style="dim")
        else:
            log.say("dead_letters", "no open dead letters")


@app.command()
def discard(
    which: Annotated[str, typer.Argument(help="`source.table`, or the beginning of an id.")],
    reason: Annotated[str, typer.Option(help="Why they are not needed; it is kept.")],
) -> None:
    """Close open dead letters for good, with a reason.

    \b
    Example:
      millrace dead-letters discard promo.coupons --reason "the agency sent the file again"
    """
    is_table = "." in which
    with _Loaders(which if is_table else None) as (log, loaders):
        closed = 0
        for loader in loaders:
            letters = loader.dead_letters()
            tables = {table.name for table in loader.source.tables}
            found = letters.open_letters() if is_table else letters.find(which)
            closed += letters.discard([x for x in found if x.table in tables], reason, "discard")
        log.say("discarded", f"{closed} dead letters discarded")


class _Loaders:
    """The loaders of the chosen sources, under the run lock; errors end in their message."""

    def __init__(self, which: str | None) -> None:
        self._which = which

    def __enter__(self) -> tuple[Log, list[Loader]]:
        from ops import cli_run

        self._log = Log()
        self._opened = cli_run.opened(None, "dead-letters")
        settings = self._opened.__enter__()
        try:
            sources = load_sources(settings.project)
            chosen = _picked(sources, self._which)
        except BaseException:
            self._opened.__exit__(None, None, None)
            raise
        return self._log, [_loader(source, settings) for source in chosen]

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._opened.__exit__(None, None, None)


def _picked(sources: tuple[Source, ...], which: str | None) -> tuple[Source, ...]:
    try:
        return pick(sources, (which,) if which else ())
    except DeclarationError as error:
        raise typer.BadParameter(str(error)) from None


def _loader(source: Source, settings: Settings) -> Loader:
    scratch = settings.scratch / "load" / source.name
    return Loader(source, settings.warehouse, scratch, settings.env)


def _shown(payload: str) -> str:
    try:
        return json.dumps(json.loads(payload), ensure_ascii=False)
    except ValueError:
        return repr(payload)
