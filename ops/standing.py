"""How things stand before a build, by what the journal says of the runs so far."""

from dataclasses import dataclass
from datetime import datetime

import duckdb

_BEFORE = """
with good as (
    select coalesce(max(marked_at) filter (where name = 'project'), timestamp '-infinity') as at,
        max(value) filter (where name = 'project') as project,
        max(value) filter (where name = 'marts') as marts,
        max(value) filter (where name = 'elementary') as elementary,
        max(value) filter (where name = 'anew') as anew,
        max(marked_at) filter (where name = 'deep') as deep,
        max(marked_at) filter (where name = 'pages') as pages,
        max(marked_at) filter (where name in ('deep', 'thorough')) as thorough
    from millrace.marks
),
done as (
    select max(started_at) filter (where step = 'publish') as published,
        max(started_at) filter (where step = 'report') as reported
    from millrace.steps where status = 'success'
)
select project, marts, elementary, thorough,
    coalesce(good.anew = 'owed', false),
    exists (
        from millrace.steps
        where step = 'build' and started_at > good.at
            and (status in ('failed', 'killed') or (status = 'running' and $nobody))
    ),
    project is not null and coalesce(done.published < good.at, true),
    coalesce(done.reported < done.published, done.published is not null),
    project is not null and coalesce(good.deep < good.at, true),
    project is not null and coalesce(good.pages < good.at, true)
from good, done
"""


@dataclass(frozen=True)
class Before:
    """How things stand before a build.

    Attributes:
        project: the fingerprint of the project at its last good build; None before the first.
        marts: the mark of the marts' file as that build or its publish left it.
        elementary: the packages that Elementary's tables were made by, all of them.
        thorough_at: when a run last was thorough.
        anew_owed: a build made rows by other SQL since the last good one, and did not end well.
        spoiled: a build failed or was killed since the last good one.
        unpublished: no publish came after the last good build.
        unreported: no report came after the last publish.
        shallow: the last good build left the deep tests out, as quick runs do.
        unpaged: no docs and quality pages came after the last good build.
    """

    project: str | None
    marts: str | None
    elementary: str | None
    thorough_at: datetime | None
    anew_owed: bool
    spoiled: bool
    unpublished: bool
    unreported: bool
    shallow: bool
    unpaged: bool

    def edited(self, project: str) -> list[str]:
        """Why the nodes themselves are not as they were built last, if they are not.

        Args:
            project: the fingerprint of the project as it is now.
        """
        if self.project is None:
            return ["no build has gone well yet"]
        if self.project != project:
            return ["the project was edited since the last good build"]
        if self.anew_owed:
            return ["rows were made by an edit that was taken back: everything is built anew"]
        return []

    def disturbed(self, marts: str) -> list[str]:
        """Why nobody vouches for the marts as they stand, if nobody does.

        A kill between a build or a publish and its mark leaves such marts, and so does plain dbt.

        Args:
            marts: the mark of the marts' file as it is now.
        """
        if self.spoiled:
            return ["the last build failed or was killed, so everything is built"]
        if self.project is not None and self.marts != marts:
            return ["something wrote to the marts since the last good build: everything is built"]
        return []


def how_things_stand(con: duckdb.DuckDBPyConnection, *, nobody: bool) -> Before:
    """What the journal in this warehouse comes to.

    Args:
        con: the warehouse.
        nobody: no run is at work, so what seems to run was killed.
    """
    found = con.execute(_BEFORE, {"nobody": nobody}).fetchall()[0]
    project, marts, elementary, thorough, *flags = found
    return Before(project, marts, elementary, thorough, *map(bool, flags))
