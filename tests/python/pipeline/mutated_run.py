"""`millrace run`, with single rows changed behind its back at the stages that the words name.

    python mutated_run.py STAGE=KIND … -- WORDS OF MILLRACE

It is the real command in a process of its own. Behind the backs of ingest and dbt a row is changed:
`parquet` after the contract has been checked, `raw` and `dead` when the load is committed, and a
dbt node's table, by the node's name, when the node is done and before its tests begin.
"""

from __future__ import annotations

import random
import sys
from typing import Any

from mutations import mutate, mutate_file

DICE = random.Random(1)
RAW = {
    "parquet": ("pos", "transactions"),
    "raw": ("pos", "transactions"),
    "dead": ("pos", "_dead_letters"),
}
"""The tables in which rows of each stage of a load are changed."""


def behind_ingest(stages: dict[str, str]) -> None:
    """Change what a commit brings in, before and after it."""
    from ingest.destination import Destination

    inner: Any = Destination.commit

    def commit(self: Any, number: int, parts: Any, states: Any) -> None:
        parts, schema = list(parts), self._source.raw_schema
        here = {stage: table for stage, (s, table) in RAW.items() if schema == f"raw_{s}"}
        brought = {part.table: part.files for part in parts if part.files}
        if brought.get(here.get("parquet", "")) and "parquet" in stages:
            for part in parts:
                for row in part.rows:
                    row()  # the checksum of the file as it was is made
            mutate_file(brought[here["parquet"]][0], stages["parquet"], DICE)
        inner(self, number, parts, states)
        for stage in ("raw", "dead"):
            if stage in stages and here.get(stage) in brought:
                table = f"{schema}.{here[stage]}"
                done = mutate(self._con, table, stages[stage], DICE, f"_load_number = {number}")
                print(stage, done, file=sys.stderr)

    Destination.commit = commit  # type: ignore[method-assign]


def behind_dbt(stages: dict[str, str]) -> None:
    """Change a row of a node's table when the node is done."""
    from dbt.task.run import ModelRunner

    inner: Any = ModelRunner.execute

    def execute(self: Any, model: Any, manifest: Any) -> Any:
        done = inner(self, model, manifest)
        if model.name in stages:
            con = self.adapter.connections.get_thread_connection().handle.cursor()
            mutate(con, model.relation_name, stages[model.name], DICE, which(model))
        return done

    ModelRunner.execute = execute


def which(model: Any) -> str:
    """A row of the newest load, where the table has loads."""
    newest = f"_load_number = (select max(_load_number) from {model.relation_name})"
    return newest if model.resource_type == "model" else "true"


def main() -> None:
    """Arm what the words name, then be `millrace`."""
    cut = sys.argv.index("--")
    stages = dict(word.split("=") for word in sys.argv[1:cut])
    behind_ingest({k: v for k, v in stages.items() if k in RAW})
    behind_dbt({k: v for k, v in stages.items() if k not in RAW})
    sys.argv[1:] = sys.argv[cut + 1 :]
    from ops.cli import main as millrace

    millrace()


if __name__ == "__main__":
    main()
