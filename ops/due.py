"""Which steps there is anything to do for, and why: the run asks, and `millrace status` tells."""

from dataclasses import dataclass

from ops.standing import Before


@dataclass(frozen=True)
class Facts:
    """How things stand when a run has loaded.

    Attributes:
        before: what the journal says.
        project: the fingerprint of the project as it is now.
        waiting: source tables with loads that no good build has taken, to the newest.
        marked: the mark of the marts' file as it is now.
        marts: there are marts.
        snapshot: readers have a snapshot.
        goes_on: the killed build that the next one goes on with, in words, if there is one.
        thorough: the run also does what quick ones leave out.
        news: the load brought something, or went wrong.
    """

    before: Before
    project: str
    waiting: dict[tuple[str, str], int]
    marked: str
    marts: bool
    snapshot: bool
    goes_on: str
    thorough: bool
    news: bool


def due(facts: Facts) -> dict[str, list[str]]:
    """The steps after the load that a run would take, each with its reasons."""
    before, found = facts.before, dict[str, list[str]]()
    if build := _build(facts):
        found["build"] = build
        found["publish"] = ["what is built is published"]
    elif before.unpublished:
        found["publish"] = ["the last good build was not published"]
    elif facts.marts and not facts.snapshot:
        found["publish"] = ["readers have no snapshot"]
    if found or facts.news:
        found["report"] = ["it tells of the run"]
    if found or facts.thorough:
        # a source that has fallen silent brings nothing
        found["freshness"] = ["it is asked with every build, and by every thorough run"]
    if "report" not in found and before.unreported:
        found["report"] = ["the last publish was not reported"]
    elif "report" not in found and facts.thorough and before.unpaged:
        found["report"] = ["the docs and quality pages are older than the last good build"]
    return found


def _build(facts: Facts) -> list[str]:
    before, why = facts.before, []
    for (source, table), number in sorted(facts.waiting.items()):
        why.append(f"{source}.{table}: load {number} waits for a build")
    why += before.edited(facts.project)
    why += [facts.goes_on] if facts.goes_on else before.disturbed(facts.marked)
    if facts.thorough and before.shallow:
        why.append("the last good build left the deep tests out")
    return why
