"""dbt in the process of the test, on a warehouse of the test's own."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import duckdb
from copies import PROJECT
from parses import Parse

from ops.lean import leaner
from ops.publish import release


def seeds(everyday: int) -> range:
    """The seeds of a property test: so many every day, or what MILLRACE_TEST_SEEDS says."""
    return range(int(os.environ.get("MILLRACE_TEST_SEEDS", everyday)))


def marked(folder: str, marts: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Edits of a project by which each row of these marts says which build wrote it.

    Args:
        folder: of the marts.
        marts: models whose last line selects all of a query of their name.
    """
    edits = {
        f"{folder}/{mart}.sql": (
            f"select * from {mart}\n",
            f"select *, '{{{{ invocation_id }}}}' as _written_by from {mart}\n",
        )
        for mart in marts
    }
    contract = ("+contract: {enforced: true}", "+contract: {enforced: false}")
    return {"dbt_project.yml": contract, **edits}


class Dbt:
    """dbt in this process, on files of its own; the project is parsed once.

    Args:
        home: where the files are.
        project: whose models.
        only: of staging, intermediate and marts only these, in the words of `--select`.
        fewest: a run of fewer nodes is a mistake; so many as Millrace's own has, unless given.
    """

    def __init__(
        self,
        home: Path,
        project: Path = PROJECT,
        only: Sequence[str] = (),
        fewest: int | None = None,
    ) -> None:
        from dbt.cli.main import dbtRunner

        (home / "warehouse").mkdir(parents=True, exist_ok=True)
        self.warehouse = home / "warehouse" / "millrace_dev.duckdb"
        self.marts = home / "warehouse" / "marts_dev.duckdb"
        self._places = [
            *("--project-dir", str(project), "--profiles-dir", str(project)),
            *("--target", "dev", "--target-path", str(home / "target")),
            *("--log-path", str(home / "logs"), "--quiet", "--no-write-json"),
        ]
        self._selected = only or ("staging", "intermediate", "marts")
        self._fewest = fewest or (11 if only else 21)
        parse = Parse(project, home / "target", os.environ)
        parse.hand_on()
        parsed = dbtRunner().invoke(["parse", *self._places])
        assert parsed.success, parsed.exception
        parse.remember()
        self._runner = dbtRunner(manifest=leaner(parsed.result))

    def run(self, *arguments: str, only: Sequence[str] = ()) -> None:
        """Every model of staging, intermediate and marts, or `only` these."""
        self._invoke("run", *arguments, only=only)

    def build(self) -> None:
        """The models, and the snapshots where a build has them; no test."""
        self._invoke("build", "resource_type:snapshot", "--resource-types", "model", "snapshot")

    def test(self, kind: str) -> int:
        """Tests of a kind (`test`, `unit_test`), which must pass; how many there are."""
        return self._invoke("test", "--resource-types", kind)

    def _invoke(self, command: str, *arguments: str, only: Sequence[str] = ()) -> int:
        try:
            answer = self._runner.invoke(
                [command, "--select", *(only or self._selected), *arguments, *self._places]
            )
        finally:
            release()
        failed = (
            []
            if answer.result is None
            else [r for r in answer.result if r.status not in ("success", "pass")]
        )
        assert answer.success, answer.exception or [(r.node.name, r.message) for r in failed]
        assert len(answer.result) >= (1 if only else self._fewest)
        return len(answer.result)

    def tables(self) -> dict[str, tuple[int, str]]:
        """Rows and an order-free hash of every staging table and mart, by name."""
        found = {}
        with duckdb.connect(str(self.warehouse)) as con:
            con.execute(f"attach if not exists '{self.marts}' as marts")
            for database, schema, name in con.execute(
                "select database_name, schema_name, table_name from duckdb_tables()"
                " where schema_name = 'staging' or database_name = 'marts'"
            ).fetchall():
                found[name] = con.execute(
                    "select count(*), md5(string_agg(md5(r::varchar), '' order by md5(r::varchar)))"
                    f" from {database}.{schema}.{name} as r"
                ).fetchall()[0]
        return found
