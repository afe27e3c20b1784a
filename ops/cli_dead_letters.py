"""`millrace dead-letters`: see, replay and discard the rows that broke their contract."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from ingest.declaration import load_sources, nearest
from ops.cli_run import LogJson, Target, as_run, logged, opened
from ops.codes import OK, CallError
from ops.log import Log
from ops.settings import Settings

if TYPE_CHECKING:
    from ingest.dead_letters import DeadLetter, DeadLetters

app = typer.Typer(
    help="The rows that broke their contract: kept until they are replayed or discarded.",
    no_args_is_help=True,
)

_WORD = "`source`, `source.table`, or a dead letter's id, of which 8 characters are enough"
Which = Annotated[str, typer.Argument(help=f"{_WORD}.")]
WhichOrAll = Annotated[str | None, typer.Argument(help=f"{_WORD}; everything when not given.")]


@app.command("list")
def list_(which: WhichOrAll = None, target: Target = None, log_json: LogJson = False) -> None:
    """Count the open dead letters by table and rule.

    \b
    Examples:
      millrace dead-letters list
      millrace dead-letters list pos.transactions
    """
    with _chosen("list", which, target, log_json) as (_, log, chosen):
        counts = sorted(
            (f"{part.source}.{table}", ", ".join(rules), count)
            for part in chosen
            for table, rules, count in part.letters.counts(part.table, part.id)
        )
        for table, rules, count in counts:
            line = f"{count:>8,}  {table}  {rules}"
            log.say("dead_letters", line, table=table, rules=rules, count=count)
        if not counts:
            log.say("dead_letters", "no open dead letters")
        else:
            log.say("next", "see them: millrace dead-letters show SOURCE.TABLE", style="dim")


@app.command()
def show(
    which: Which,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 10,
    target: Target = None,
    log_json: LogJson = False,
) -> None:
    """Show open dead letters with their rules, payload and origin, the oldest first.

    \b
    Examples:
      millrace dead-letters show pos.transactions --limit 3
      millrace dead-letters show 4f1c09aa
    """
    with _chosen("show", which, target, log_json) as (_, log, (part,)):
        letters = part.letters.open_letters(part.table, limit, part.id)
        for letter in letters:
            log.say("dead_letter", _told(letter), letter=vars(letter))
        if not letters:
            log.say("dead_letters", f"no open dead letter in {which}")


@app.command()
def replay(which: WhichOrAll = None, target: Target = None, log_json: LogJson = False) -> None:
    """Check open dead letters against the rules of today; what holds goes into raw.

    A replayed row stands where it stood when it was first read: it never replaces a newer version.

    \b
    Example, after a rule in the source's YAML was mended:
      millrace dead-letters replay pos.products && millrace run
    """
    with _chosen("replay", which, target, log_json) as (here, log, chosen):

        def work(run_id: str) -> tuple[str, int]:
            replayed = broken = 0
            for part in chosen:
                for done in part.letters.replay(run_id, part.table, part.id):
                    replayed += done.replayed
                    broken += done.still_broken
                    log.say(
                        "replayed",
                        f"{done.source}.{done.table}: {done.replayed} replayed, "
                        f"{done.still_broken} still break a rule",
                        **vars(done),
                    )
            found = replayed or broken
            return f"{replayed:,} replayed, {broken:,} still break a rule" if found else "", OK

        if as_run(here, log, "replay", _command("replay", which), work)[0]:
            log.say("next", "`millrace run` takes replayed rows into the marts", style="dim")
        else:
            log.say("dead_letters", "no open dead letters to replay")


@app.command()
def discard(
    which: Which,
    reason: Annotated[str, typer.Option(help="Why they are not needed; it is kept.")],
    target: Target = None,
    log_json: LogJson = False,
) -> None:
    """Close open dead letters for good, with a reason.

    \b
    Example:
      millrace dead-letters discard promo.coupons --reason "the agency sent the file again"
    """
    with _chosen("discard", which, target, log_json) as (here, log, (part,)):
        if not reason.strip():
            raise CallError('a dead letter is discarded with a reason: --reason "…"')
        letters = part.letters.open_letters(part.table, letter=part.id)
        if not letters:
            raise CallError(f"no open dead letter in {which}; nothing was discarded")

        def work(run_id: str) -> tuple[str, int]:
            closed = part.letters.discard(letters, reason, run_id)
            return f"{closed:,} dead letter{'' if closed == 1 else 's'} discarded", OK

        told, _ = as_run(here, log, "discard", _command("discard", which), work)
        log.say("discarded", told, count=len(letters))


@dataclass(frozen=True)
class _Part:
    """What was chosen of a source's dead letters: all, those of a table, or one."""

    source: str
    letters: "DeadLetters"
    table: str | None = None
    id: str | None = None


@contextmanager
def _chosen(
    command: str, which: str | None, target: str | None, log_json: bool
) -> Iterator[tuple[Settings, Log, list[_Part]]]:
    """The chosen dead letters, under the run lock; with a word, of one source."""
    with (
        logged(as_json=log_json) as log,
        opened(target, f"dead-letters {command}", log) as here,
    ):
        yield here, log, _picked(here, which)


def _picked(here: Settings, which: str | None) -> list[_Part]:
    """What a word names.

    Raises:
        CallError: nothing, or more than one dead letter by the beginning of their ids.
    """
    from ingest.load import Loader  # and with it dlt

    sources = load_sources(here.project, here.env)

    def letters(source: str) -> "DeadLetters":
        declared = next(each for each in sources if each.name == source)
        scratch = here.scratch / "load" / source
        return Loader(declared, here.warehouse, scratch, here.env, guard=here.guard).dead_letters()

    names: dict[str, tuple[str, str | None]] = {}
    for source in sources:
        names[source.name] = (source.name, None)
        names |= {table.label: (source.name, table.name) for table in source.tables}
    if which is None:
        return [_Part(source.name, letters(source.name)) for source in sources]
    if which in names:
        name, table = names[which]
        return [_Part(name, letters(name), table)]
    if not re.fullmatch("[0-9a-f]{8,32}", which):
        raise CallError(
            f"{which!r} is no source, no table of a source, and no dead letter's id or its first "
            f"8 characters{nearest(which, names)}"
        )
    found = []
    for source in sources:
        opened_letters = letters(source.name)
        found += [
            _Part(source.name, opened_letters, letter.table, letter.id)
            for letter in opened_letters.find(which)
        ]
    if not found:
        raise CallError(f"no open dead letter has an id that begins with {which}")
    if len(found) > 1:
        raise CallError(
            f"{len(found)} open dead letters have ids that begin with {which}; give more of it"
        )
    return found


def _command(step: str, which: str | None) -> str:
    return " ".join(filter(None, ["dead-letters", step, which]))


def _told(letter: "DeadLetter") -> str:
    return (
        f"{letter.id}  {letter.source}.{letter.table}\n"
        f"  breaks   {', '.join(letter.rules)}\n"
        f"  came in  load {letter.load_number} from {letter.origin}\n"
        f"  payload  {_shown(letter.payload)}"
    )


def _shown(payload: str) -> str:
    try:
        return json.dumps(json.loads(payload), ensure_ascii=False)
    except ValueError:
        return repr(payload)
