"""A small warehouse whose rewind is killed before its effects on the disk, one after the other.

`python killed_rewind.py HOME STEP [unsafe]` kills at every STEP-th effect, until a rewind comes to
its end, and prints one JSON object for each. Every command runs in a fork of this process, which
itself never opens a database; so it costs no start of Python. With `unsafe` the note that makes a
rewind go on is not written.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pandas  # noqa: F401  read once here, not in every fork

import ops.report
import ops.run  # noqa: F401
from ops import publish, rewind, swap
from ops.dbt import fingerprint
from ops.journal import Journal, now
from ops.log import Log
from ops.settings import Settings

PROJECT = Path(__file__).parents[3]
EFFECTS = ("fsync", "replace", "unlink", "utime")
FIRST, SECOND = "20170101T000000-000001", "20170102T000000-000002"


def settings(home: Path) -> Settings:
    """Of the target dev in a home of its own; the environment stays as it is."""
    env = {"DBT_TARGET_PATH": str(home / "target"), "DBT_LOG_PATH": str(home / "logs")}
    folder = home / "warehouse"
    folder.mkdir(parents=True, exist_ok=True)
    return Settings(PROJECT, home, "dev", folder / "w.duckdb", folder / "m.duckdb", env)


def run(here: Settings, version: int, run_id: str) -> None:
    """What a good run leaves: a version in the warehouse and in the marts, published and kept."""
    for file in (here.warehouse, here.marts):
        with duckdb.connect(file) as con:
            con.execute(
                f"create or replace table version as select {version} as v, "
                f"md5(range::varchar) as filling from range({20_000 * version})"
            )
    journal = Journal(here.warehouse)
    journal.start(run_id, "run", "dev")
    publish.publish(here.marts, here.published)
    mark = {"project": fingerprint(here), "marts": publish.mark(here.marts)}
    journal.built(run_id, {}, mark)
    journal.end_step(run_id, "publish", now(), "success", "")
    journal.finish(run_id, "success", 0)
    rewind.keep(here, run_id)


def go(here: Settings, to: str = FIRST, kill_at: int = 0) -> rewind.Rewound:
    """The command `millrace rewind --to …`; killed before an effect, in a fork."""
    if kill_at:
        deadly(kill_at)
    swap.complete(here, Log())
    log = Log()
    log.run_id = "20170103T000000-000003"
    return rewind.rewind(here, log, to)


def versions(here: Settings) -> dict[str, int]:
    """The version in each of the three files."""
    files = {"published": here.published / publish.SNAPSHOT, "warehouse": here.warehouse,
             "marts": here.marts}  # fmt: skip
    found = {}
    for name, file in files.items():
        with duckdb.connect(file, read_only=True) as con:
            version, rows = con.execute("select min(v), count(*) from version").fetchall()[0]
        assert rows == 20_000 * version
        found[name] = version
    return found


def main(home: Path, step: int, *, unsafe: bool) -> None:
    """Kill, look; let another command begin in a copy; the same command again; and forward."""
    here, kept, other = settings(home), home.with_name("kept"), home.with_name("other")
    forked(lambda: (run(here, 1, FIRST), run(here, 2, SECOND)))
    shutil.copytree(home, kept)
    if unsafe:
        swap.write_json = lambda path, content: None
    number, killed = 0, True
    while killed:
        number += step
        shutil.rmtree(home)
        shutil.copytree(kept, home)
        killed = forked(partial(go, here, FIRST, number))[0] == -signal.SIGKILL
        told: dict[str, Any] = {"kill": number, "killed": killed, "then": state(here)}
        shutil.copytree(home, other)
        told["other_code"], _ = forked(lambda: swap.complete(here, Log()))
        told["other"] = state(here)
        shutil.rmtree(home)
        other.rename(home)
        if not unsafe:
            told["again_code"], _ = forked(lambda: go(here))
            told["again"] = state(here)
            if number % 2 == 0:
                told["forward_code"], _ = forked(lambda: go(here, SECOND))
                told["forward"] = state(here)
        print(json.dumps(told), flush=True)
        killed &= not unsafe or told["other"]["warehouse"] == told["other"]["marts"]


def deadly(number: int) -> None:
    """Let this process die just before its effect of that number."""
    left = iter(range(number - 1, -1, -1))
    for name in EFFECTS:
        setattr(os, name, _counted(getattr(os, name), left))


def _counted(effect: Callable[..., Any], left: Iterator[int]) -> Callable[..., Any]:
    def call(*args: Any, **named: Any) -> Any:
        if next(left, -1) == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return effect(*args, **named)

    return call


def state(here: Settings) -> dict[str, Any]:
    """The versions in the files, and what lies beside them."""
    _, told = forked(lambda: versions(here))
    beside = {
        "drafts": len(list(here.warehouse.parent.glob("*.rewind"))),
        "note": (here.history / "rewind.json").exists(),
        "points": len(list((here.history / "points").glob("*.json"))),
    }
    return {**told, **beside}


def forked(work: Callable[[], Any]) -> tuple[int, Any]:
    """Do something in a fork: 0, 1 after an error or the negative signal, and what it returned."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        code = 1
        try:
            os.write(write, json.dumps(work(), default=str).encode())
            code = 0
        finally:
            os._exit(code)
    os.close(write)
    with os.fdopen(read) as pipe:
        told = pipe.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return code, json.loads(told) if told else None


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), unsafe=sys.argv[3:] == ["unsafe"])
