"""Processes that play with the run lock: `python lock_player.py <what> <folder> …`.

The lock is that of `<folder>/warehouse`. What is printed is read by the test.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

from ops.cli_run import said
from ops.lock import run_lock

FOLDER = Path(sys.argv[2])
WAREHOUSE = FOLDER / "warehouse"


def say(text: str) -> None:
    print(text, flush=True)


def contender(start: int, go_on: int, place: Path) -> int:
    """Take the lock when told, stay until told; the exit code."""
    os.read(start, 1)
    try:
        with run_lock(WAREHOUSE, "run"):
            inside = FOLDER / "inside"
            inside.touch(exist_ok=False)  # nobody else is in here
            os.read(go_on, 1)
            inside.unlink()
    except Exception as error:
        code, _, text = said(error)
        place.write_text(text)
        return code
    return 0


def forked(work: Callable[[], int]) -> int:
    """The pid of a child that ends with what `work` gives."""
    if pid := os.fork():
        return pid
    try:
        os._exit(work())
    finally:
        os._exit(99)


def race(pairs: int) -> None:
    """So many pairs of starts; for each the exit codes, the winner and what the loser was told.

    Before some the lock's file is not there, and some winners are killed: the next pair then
    finds the entry of a dead holder.
    """
    told = FOLDER / "told"
    for number in range(pairs):
        if number % 5 == 0:
            (FOLDER / "warehouse.lock").unlink(missing_ok=True)
        told.unlink(missing_ok=True)
        (start, begin), (go_on, end) = os.pipe(), os.pipe()
        children = [forked(partial(contender, start, go_on, told)) for _ in range(2)]
        os.write(begin, b"12")
        loser, status = os.wait()
        (winner,) = set(children) - {loser}
        if number % 3 == 0:
            os.kill(winner, signal.SIGKILL)
            (FOLDER / "inside").unlink(missing_ok=True)
        os.write(end, b"1")
        _, other = os.waitpid(winner, 0)
        codes = [os.waitstatus_to_exitcode(each) for each in (status, other)]
        text = told.read_text() if told.exists() else ""
        say(json.dumps({"codes": codes, "winner": winner, "told": text, "killed": number % 3 == 0}))
        for descriptor in (start, begin, go_on, end):
            os.close(descriptor)


def write(guarded: bool) -> None:
    """Hold the lock and write a line again and again, each after a look at the lock."""
    with run_lock(WAREHOUSE, "run") as lock, (FOLDER / "written").open("a") as file:
        say("held")
        while True:
            if guarded:
                lock.check()
            file.write(f"{lock.token}\n")
            file.flush()
            time.sleep(0.01)


def contend(lease: float) -> None:
    """Take the lock, over from who does not move."""
    with run_lock(WAREHOUSE, "load", say, lease):
        say("held")


def query(seconds: float) -> None:
    """Hold the lock through one query of DuckDB that takes about so long."""
    con = duckdb.connect()
    with run_lock(WAREHOUSE, "run"):
        say("held")
        begun, rows = time.monotonic(), 100_000_000
        while time.monotonic() - begun < seconds:
            con.execute(f"select sum(md5_number_lower(i::varchar) % 7) from range({rows}) t(i)")
            con.execute("select i, i::varchar from range(2000000) t(i)").fetchall()


def grip() -> None:
    """Hold the lock and let no other thread work: a regular expression keeps Python to itself."""
    with run_lock(WAREHOUSE, "run"):
        say("held")
        re.match(r"(a+)+$", "a" * 60 + "b")  # until it is killed


PLAYS: dict[str, Callable[[Any], None]] = {
    "race": lambda n: race(int(n)),
    "write": lambda how: write(how == "guarded"),
    "contend": lambda lease: contend(float(lease)),
    "query": lambda seconds: query(float(seconds)),
    "grip": lambda _: grip(),
}

if __name__ == "__main__":
    try:
        PLAYS[sys.argv[1]](sys.argv[3])
    except Exception as error:
        code, _, text = said(error)
        say(text)
        sys.exit(code)
