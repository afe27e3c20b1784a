"""Which cases whole runs take: every point of theirs once, where it is cheapest."""

import random
from collections.abc import Callable, Iterator

from copies import PROJECT

from tests.crash.engine import Case, Disturber, onwards

# dbt's tests leave nothing behind: some are enough. A node that has ended, another begins.
_TESTS = 12
_DAILY = 1
"""The step of both ways that is every day's: random moments and all troubles come there."""

_OF_THEIR_OWN = {
    "backfill of a day": (
        "ingest.load.",
        "ingest.loading.",
        "ingest.destination.Destination.",
        "dlt: ",
    ),
    "rewind": ("ops.history.", "ops.rewind.", "ops.swap.", "ops.publish.", "ops.journal."),
    "forward again": ("ops.rewind.", "ops.swap.", "ops.publish."),
}
"""Steps that are killed also at points that others pass, since there it means something else."""

_ELEMENTARYS = {
    path.stem for path in (PROJECT / "dbt_packages" / "elementary" / "models").rglob("*.sql")
}
_FEW = 3
"""Of Elementary's models: each is an empty table, made like the others by the first build."""

_MODELS = {
    path.stem
    for folder in ("staging", "intermediate", "marts")
    for path in (PROJECT / "models" / folder).rglob("*.sql")
}

STOPPED = (
    "ops.journal.Journal.begin_step",
    "dlt: mark the load as finished",
    "dbt: model fct_",
    "ops.publish.publish: partial.replace",
)


def every_point(
    disturber: Disturber, ours: Callable[[str], bool]
) -> Iterator[tuple[int, list[Case], str]]:
    """(step, cases, what they are) for each line of the table: each point once.

    Args:
        disturber: walked.
        ours: whether a point is one to be killed at.
    """
    met: set[str] = set()
    # a point is met in the quickest command that passes it
    for step in sorted(range(len(disturber.walked)), key=lambda s: disturber.walked[s].seconds):
        new = [case for case in disturber.cases(step) if ours(case.point) and case.point not in met]
        met.update(case.point for case in new)
        alike = [case for case in new if is_elementarys(case.point)]
        cases = [case for case in new if case not in alike[_FEW:]]
        tests = _tests(disturber, step) if step == _DAILY else []
        if cases:
            some = onwards(disturber, step, [*cases, *tests])
            yield step, some, "SIGKILL at every point and model not met before"


def of_the_shop(disturber: Disturber) -> Iterator[tuple[int, list[Case], str]]:
    """The same for the small shop: every point of a run, and all troubles."""
    yield from every_point(disturber, _is_ours)
    for step, starts in _own(disturber):
        cases = [case for case in disturber.cases(step) if case.point.startswith(starts)]
        yield step, onwards(disturber, step, cases), "SIGKILL at every point of its own"
    between = [
        case
        for start in ("ops.journal.Journal.begin_step", "ops.journal.Journal.end_step: con.begin")
        for case in _at(disturber, start, "scratch")
    ]
    some = disturber.dice.sample(between, min(6, len(between)))
    yield _DAILY, some, "the scratch folder lost between two steps, and the run goes on"
    for action, what in (("io", "an I/O error"), ("full", "the disk full")):
        every = disturber.cases(_DAILY, action, "(before)")
        chosen = [case for case in every if case.point.startswith("ops.")]
        yield _DAILY, disturber.dice.sample(chosen, 10), f"{what} at 10 points"
    stopped = [case for start in STOPPED for case in _at(disturber, start, "stop")[:1]]
    yield _DAILY, stopped, "stopped beyond its lease, taken over and woken"


def of_the_sample(disturber: Disturber, moments: int) -> Iterator[tuple[int, list[Case], str]]:
    """The same for the sample: what dbt builds there alone, and random moments.

    All else is met in the small shop, whose runs take a third of the time.
    """
    yield from every_point(disturber, _is_the_samples)
    for step, _ in _own(disturber):
        some = disturber.moments(step, moments // 4)
        yield step, some, f"SIGKILL at {len(some)} random moments"
    yield _DAILY, disturber.moments(_DAILY, moments), f"SIGKILL at {moments} random moments"


def _own(disturber: Disturber) -> Iterator[tuple[int, tuple[str, ...]]]:
    for step, name in enumerate(disturber.scenario.steps):
        if name in _OF_THEIR_OWN:
            yield step, _OF_THEIR_OWN[name]


def is_elementarys(point: str) -> bool:
    """Whether a model of Elementary has ended there."""
    return point.startswith("dbt: model ") and point.split()[2] in _ELEMENTARYS


def _is_ours(point: str) -> bool:
    """Ingestion is met where it is quick; of dbt, what lasts counts, and its end is its commit."""
    if point.startswith(("ingest.", "dlt:")):
        return False
    if point.startswith("dbt: "):
        kept = ("dbt: model", "dbt: snapshot", "dbt: seed", "dbt: commit")
        return point.startswith(kept) and point.endswith("(after)")
    return True


def _is_the_samples(point: str) -> bool:
    """Not so Elementary's models, and the books', which every project has."""
    kind, _, name = point.removeprefix("dbt: ").removesuffix(" (after)").partition(" ")
    return _is_ours(point) and (
        kind in ("seed", "snapshot") or (kind == "model" and name in _MODELS)
    )


def _tests(disturber: Disturber, step: int) -> list[Case]:
    found = [p for p in disturber.walked[step].counts if p.startswith(("dbt: test", "dbt: unit"))]
    dice: random.Random = disturber.dice
    return [Case(point) for point in dice.sample(found, min(_TESTS, len(found)))]


def _at(disturber: Disturber, start: str, action: str) -> list[Case]:
    """Each pass, in the run a day later, of the point whose name begins so."""
    return [
        Case(point, nth, action, goes_on=action == "scratch")
        for point, count in disturber.walked[_DAILY].counts.items()
        if point.startswith(start) and point.endswith("(before)")
        for nth in range(1, count + 1)
    ]
