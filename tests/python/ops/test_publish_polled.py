"""Readers poll through many publishes, in every way that DuckDB knows, and never see a mix."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import duckdb
import poller
import pytest

from ops.publish import SNAPSHOT, publish

TIMES = 1_000 if os.environ.get("MILLRACE_TEST_SEEDS") else 40


def build(marts: Path, version: int) -> None:
    """Marts of one version that agree with each other, written in one transaction."""
    with duckdb.connect(marts) as con:
        con.begin()
        con.execute(f"create or replace table version as select {version} as v")
        con.execute(
            f"create or replace table lines as select {version} as v, range % 31 as day, "
            f"(range * {version + 1} % 997 / 100)::decimal(10, 2) as amount, "
            f"md5(range::varchar) as filling from range({poller.ROWS})"
        )
        con.execute(
            "create or replace table days as select v, day, sum(amount) as amount from lines "
            "group by all"
        )
        con.commit()


def copy_over(marts: Path, published: Path) -> None:
    """No rename: the snapshot is written in place, at a pace as of some gigabytes."""
    with marts.open("rb") as source, (published / SNAPSHOT).open("wb", buffering=0) as copy:
        while piece := source.read(1 << 16):
            copy.write(piece)
            time.sleep(0.005)


def away_and_copy(marts: Path, published: Path) -> None:
    """A moment without a snapshot."""
    (published / SNAPSHOT).unlink()
    time.sleep(0.02)
    shutil.copyfile(marts, published / SNAPSHOT)


def table_by_table(marts: Path, published: Path) -> None:
    """What needs no copy at all: the readers' file is opened and written."""
    with (
        contextlib.suppress(duckdb.IOException),  # a reader has it open
        duckdb.connect(published / SNAPSHOT) as con,
    ):
        con.execute(f"attach '{marts}' as built (read_only)")
        for table in poller.TABLES:
            con.execute(f"create or replace table {table} as from built.{table}")
            time.sleep(0.02)


@dataclass(frozen=True)
class Watch:
    """What a poller saw: looks, different versions, faults, the first faults."""

    looks: int
    versions: int
    faults: int
    what: list[str]


def watched(
    tmp_path: Path, deliver: Callable[[Path, Path], object], times: int, *manners: str
) -> dict[str, Watch]:
    """What readers, each a process of its own, see through so many publishes."""
    marts, published, stop = tmp_path / "m.duckdb", tmp_path / "published", tmp_path / "stop"
    build(marts, 0)
    publish(marts, published)
    readers = {}
    for manner in manners:
        command = [poller.__file__, str(published / SNAPSHOT), str(stop), manner]
        reader = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True)
        assert reader.stdout is not None
        assert reader.stdout.readline() == "ready\n"
        readers[manner] = reader
    try:
        for version in range(1, times + 1):
            build(marts, version)
            deliver(marts, published)
    finally:
        stop.touch()
    return {
        manner: Watch(**json.loads(reader.communicate(timeout=60)[0]))
        for manner, reader in readers.items()
    }


def test_pollers_see_one_whole_version_in_every_look(tmp_path: Path) -> None:
    begun = time.monotonic()
    seen = watched(tmp_path, publish, TIMES, *poller.MANNERS)
    print(f"{TIMES} publishes in {time.monotonic() - begun:.1f} s: {seen}")
    assert {manner: watch.what for manner, watch in seen.items() if watch.faults} == {}
    for manner, watch in seen.items():
        assert watch.looks >= TIMES / 2, manner
        assert watch.versions >= (1 if manner == "kept" else TIMES / 20), manner
    with duckdb.connect(tmp_path / "published" / SNAPSHOT, read_only=True) as con:
        assert poller.look(con) == TIMES


@pytest.mark.parametrize(
    ("wrong", "told"),
    [("update version set v = 4", "a mix"), ("update days set amount = amount + 1", "lines of"),
     ("delete from lines where day = 3", "lines of"), ("drop table days", "days")],
)  # fmt: skip
def test_a_look_sees_marts_that_do_not_agree(tmp_path: Path, wrong: str, told: str) -> None:
    build(tmp_path / "m.duckdb", 3)
    with duckdb.connect(tmp_path / "m.duckdb") as con:
        assert poller.look(con) == 3
        con.execute(wrong)
        with pytest.raises((AssertionError, duckdb.CatalogException), match=told):
            poller.look(con)


@pytest.mark.parametrize(
    ("deliver", "manners"),
    [
        (copy_over, ("fresh", "attached")),
        (away_and_copy, ("fresh", "attached")),
        (table_by_table, ("fresh", "attached")),
    ],
)
def test_the_same_pollers_catch_other_ways_of_publishing(
    tmp_path: Path, deliver: Callable[[Path, Path], object], manners: tuple[str, ...]
) -> None:
    """A look falls into the moment by chance: ten versions at a time, until each has met it."""
    caught: set[str] = set()
    for nth in range(5):
        folder = tmp_path / str(nth)
        folder.mkdir()
        seen = watched(folder, deliver, 10, *manners)
        print(seen)
        caught |= {manner for manner, watch in seen.items() if watch.faults}
        if caught == set(manners):
            break
    assert caught == set(manners), seen
