"""The start page: facts in, one self-contained HTML document out.

Nothing in it runs and nothing in it is fetched; a content security policy says so to the browser,
so a hostile dead letter stays text.
"""

import shlex
from datetime import date, datetime, timedelta

from jinja2 import Environment, PackageLoader, StrictUndefined

from ops.facts import Delivery, Facts, Result, Run, Step
from ops.plots import Bar, bars, line

BARS_SHOWN = 48
"""A plot shows so many runs that brought rows."""

_GOOD = {"success", "pass", "passed", "ok", "done", "finished", "balanced"}
_BAD = {"fail", "failed", "error", "runtime error", "stopped", "unbalanced"}
_THIN = "\u202f"
_DASH = "\u2013"
_WORDS = {"success": "done", "pass": "passed", "fail": "failed", "warn": "warned"}
_FRESHNESS = {"pass": "fresh", "warn": "late", "error": "stale"}
_COMMANDS = (
    ("millrace status", "The last runs, the books and what is open, in the terminal."),
    ("millrace run --every 5s", "Keep the marts fresh; with nothing new it builds nothing."),
    ("millrace load pos.transactions", "Bring in one table only."),
    ("millrace dead-letters list", "Rows that broke their contract; show, replay and discard too."),
)


def render(facts: Facts) -> str:
    """The start page as HTML. Every text that comes from `facts` is escaped."""
    environment = Environment(
        loader=PackageLoader("ops"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "clip": clip,
        "count": count,
        "duration": duration,
        "glyph": glyph,
        "size": size,
        "tone": tone,
        "word": word,
    }
    environment.globals["seconds"] = lambda run: _seconds(run, facts)
    environment.globals["when"] = lambda at: when(at, facts.now)
    environment.globals["age"] = lambda at: age(facts.now - at)
    tests = [result for result in facts.results if result.kind in ("test", "unit_test")]
    brought = _of_last_runs(facts.deliveries)
    return environment.get_template("start.html.j2").render(
        facts=facts,
        steps=_timeline(facts.steps),
        balanced=all(book.read == book.accepted + book.dead for book in facts.books),
        commands=_commands(facts),
        freshness=_FRESHNESS,
        run=facts.runs[0] if facts.runs else None,
        state=_state(facts),
        headline=_headline(facts, tests),
        tests=_tallies(tests),
        models=[
            r for r in facts.results if r.kind in ("model", "snapshot") and tone(r.status) == "good"
        ],
        unsound=sorted((t for t in tests if tone(t.status) != "good"), key=_severity),
        letters=facts.dead_letters,
        durations=bars(
            [_run_bar(run, facts) for run in reversed(facts.runs)],
            "Seconds per run, the latest at the right",
            f"{_THIN}s",
        ),
        deliveries=[
            (source, bars(_per_run(brought, source), f"Rows per run from {source}", "", 1))
            for source in sorted({delivery.source for delivery in brought})
        ],
        brought=brought,
        sales=line(facts.daily_sales, "Sales value per day, all stores"),
    )


def count(number: float) -> str:
    """A whole number with its thousands apart: 1 474 221."""
    return f"{number:,.0f}".replace(",", _THIN)


def duration(seconds: float | None) -> str:
    """Seconds in words: 0.4 s, 31.2 s, 4 min 10 s."""
    if seconds is None:
        return _DASH
    if seconds < 99.95:
        return f"{seconds:.1f}{_THIN}s" if seconds >= 0.095 else f"{1000 * seconds:.0f}{_THIN}ms"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}{_THIN}min {rest}{_THIN}s"


def age(span: timedelta) -> str:
    """A span of time, roughly: 23 min, 5 h, 3 days."""
    minutes = span.total_seconds() / 60
    if minutes < 100:
        return f"{max(minutes, 0):.0f}{_THIN}min"
    return f"{minutes / 60:.0f}{_THIN}h" if minutes < 2880 else f"{minutes / 1440:.0f}{_THIN}days"


def size(number: int) -> str:
    """Bytes in decimal units: 148 MB."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if number >= unit:
            return f"{number / unit:.{0 if number >= 10 * unit else 1}f}{_THIN}{name}"
    return f"{number}{_THIN}bytes"


def when(at: datetime | date, now: datetime) -> str:
    """A day, and the minute if known; the year where it is not this one."""
    year = "" if at.year == now.year else f" {at.year}"
    clock = f", {at:%H:%M}" if isinstance(at, datetime) else ""
    return f"{at.day} {at:%b}{year}{clock}"


def tone(status: str) -> str:
    """How a status is to be taken: good, bad, or mild (waiting, skipped, warned, unknown)."""
    return "good" if status in _GOOD else "bad" if status in _BAD else "mild"


def glyph(status: str) -> str:
    """A sign beside a status, for those who do not see its colour."""
    quiet = _DASH if status in ("skipped", "none") else "!" if status.startswith("warn") else "…"
    return {"good": "✓", "bad": "✕"}.get(tone(status), quiet)


def clip(text: str, length: int) -> str:
    """The beginning of a text."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def word(status: str) -> str:
    """A status as it is shown."""
    return _WORDS.get(status, status)


def _timeline(steps: list[Step]) -> list[tuple[Step, float, float]]:
    """Each step with its start and its length in per cent of all steps' time."""
    whole = sum(step.seconds or 0 for step in steps) or 1.0
    placed, start = [], 0.0
    for step in steps:
        share = 100 * (step.seconds or 0) / whole
        placed.append((step, round(start, 2), round(share, 2)))
        start += share
    return placed


def _state(facts: Facts) -> str:
    """The latest run's status. One that has not finished is the run that writes this page."""
    if not facts.runs:
        return "none"
    run = facts.runs[0]
    if run.finished_at is None:
        return "failed" if any(tone(s.status) == "bad" for s in facts.steps) else "running"
    return run.status


def _headline(facts: Facts, tests: list[Result]) -> str:
    """The one sentence that a person in a hurry reads."""
    if not facts.runs:
        return "Nothing has run yet."
    bad = sum(tone(test.status) == "bad" for test in tests)
    failed_step = next((s.name for s in facts.steps if tone(s.status) == "bad"), None)
    marts = (
        f"Readers have the marts of {when(facts.published_at, facts.now)}."
        if facts.published_at
        else "No marts are published yet."
    )
    if bad:
        return f"{_plural(bad, 'test')} failed. {marts}"
    if failed_step:
        return f"The last run failed at {failed_step}. {marts}"
    if tone(_state(facts)) == "bad":
        return f"The last run failed. {marts}"
    sound = sum(tone(test.status) == "good" for test in tests)
    warned = sum(test.status == "warn" for test in tests)
    passed = f"{_plural(sound, 'test')} passed{f', {warned} warned' if warned else ''}. "
    return f"All is well. {passed if tests else ''}{marts}"


def _commands(facts: Facts) -> list[tuple[str, str]]:
    """What to call next for this page's target, and what it does."""
    option = "" if facts.target == "dev" else f" --target {facts.target}"
    return [
        *((command + option, meaning) for command, meaning in _COMMANDS),
        ("millrace sample advance --days 3", "Let the sample retailer live three days more."),
        (
            f"duckdb -readonly {shlex.quote(facts.snapshot)}",
            "Ask the marts, also while a run goes on.",
        ),
    ]


def _plural(number: int, noun: str) -> str:
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"


def _tallies(tests: list[Result]) -> dict[str, int]:
    """Number of tests by word, the good first."""
    tallies = {"passed": 0, "warned": 0, "failed": 0}
    for test in tests:
        kind = {"good": "passed", "bad": "failed"}.get(tone(test.status), word(test.status))
        tallies[kind] = tallies.get(kind, 0) + 1
    return tallies


def _severity(result: Result) -> tuple[int, int, str]:
    return (tone(result.status) != "bad", -result.failures, result.name)


def _run_bar(run: Run, facts: Facts) -> Bar:
    status = run.status
    if run.finished_at is None:
        status = _state(facts) if run is facts.runs[0] else "stopped"
    seconds = _seconds(run, facts)
    words = f"{when(run.started_at, facts.now)}: {duration(seconds)}, {word(status)} ({run.run_id})"
    return Bar(seconds, words, "bad" if tone(status) == "bad" else "good")


def _seconds(run: Run, facts: Facts) -> float:
    """How long a run took; up to now for the latest, unknown and so 0 for one that was killed."""
    end = run.finished_at or (facts.now if run is facts.runs[0] else run.started_at)
    return max((end - run.started_at).total_seconds(), 0.0)


def _of_last_runs(deliveries: list[Delivery]) -> list[Delivery]:
    shown = set(list(dict.fromkeys(delivery.run_id for delivery in deliveries))[-BARS_SHOWN:])
    return [delivery for delivery in deliveries if delivery.run_id in shown]


def _per_run(deliveries: list[Delivery], source: str) -> list[Bar]:
    """A bar for every run that brought rows from any source, so that all sources' bars align."""
    runs = dict.fromkeys(delivery.run_id for delivery in deliveries)
    own = {delivery.run_id: delivery for delivery in deliveries if delivery.source == source}
    return [
        Bar(own[run].rows, f"{own[run].at:%d %b %H:%M}: {count(own[run].rows)} rows ({run})")
        if run in own
        else Bar(0, "no rows")
        for run in runs
    ]
