"""Readers see one whole snapshot or the one before, whatever happens to the publisher."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest

from ops.publish import SNAPSHOT, PublishError, log_of, publish
from tests.crash.readers import tear_log

ROWS = 10_000

PUBLISHER = """
import sys
from pathlib import Path
import duckdb
from ops.publish import publish

marts, published = Path(sys.argv[1]), Path(sys.argv[2])
print("ready", flush=True)
version = int(sys.argv[3])
while True:
    version += 1
    with duckdb.connect(marts) as connection:
        connection.execute("begin")
        for table in "ab":
            connection.execute(
                f"create or replace table {table} as select {version} as v from range(10000)")
        connection.execute("commit")
    publish(marts, published)
    print(version, flush=True)
"""


def build(marts: Path, version: int) -> None:
    """Two tables that hold `version` in every row, written in one transaction."""
    with duckdb.connect(marts) as connection:
        connection.execute("begin")
        for table in "ab":
            connection.execute(
                f"create or replace table {table} as select {version} as v, range as i, "
                f"md5(range::varchar) as filling from range({ROWS})"
            )
        connection.execute("commit")


def value(snapshot: Path) -> int:
    """The one version in all rows of both tables."""
    with duckdb.connect(snapshot, read_only=True) as connection:
        rows = connection.execute("select v from a union select v from b").fetchall()
    assert len(rows) == 1
    return int(rows[0][0])


def test_a_kill_at_any_moment_leaves_a_whole_snapshot(tmp_path: Path) -> None:
    marts, published = tmp_path / "m.duckdb", tmp_path / "published"
    chance, version, left_over = random.Random(7), 0, 0
    build(marts, 0)
    publish(marts, published)
    for _ in range(12):
        worker = subprocess.Popen(
            [sys.executable, "-c", PUBLISHER, str(marts), str(published), str(version)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert worker.stdout is not None
        worker.stdout.readline()
        told = [int(worker.stdout.readline())]
        time.sleep(chance.uniform(0.0, 0.2))
        worker.send_signal(signal.SIGKILL)
        told += [int(line) for line in worker.communicate()[0].split()]
        finished = max(told)
        version = value(published / SNAPSHOT)
        assert finished <= version <= finished + 1
        left_over += len(list(published.glob(".*")))
    publish(marts, published)
    assert [p.name for p in published.iterdir()] == [SNAPSHOT]
    print(f"{version} publishes, {left_over} partial files left by 12 kills")
    # on a slow disk none gets to its second publish, but then kills fall into the first
    assert version + left_over > 12


def test_what_a_kill_in_the_midst_of_a_commit_leaves_in_the_log(tmp_path: Path) -> None:
    marts, published = tmp_path / "m.duckdb", tmp_path / "published"
    build(marts, 1)
    tear_log(marts)
    publish(marts, published)
    assert value(published / SNAPSHOT) == 1
    assert not log_of(marts).exists()


def test_a_partial_file_of_a_killed_publish_is_removed_by_the_next(tmp_path: Path) -> None:
    marts, published = tmp_path / "m.duckdb", tmp_path / "published"
    build(marts, 1)
    published.mkdir()
    (published / f".{SNAPSHOT}.partial-123").write_bytes(b"half")
    (published / "notes.txt").write_text("a reader's own file stays")
    publish(marts, published)
    assert sorted(p.name for p in published.iterdir()) == [SNAPSHOT, "notes.txt"]


def test_what_is_told_and_the_mode(tmp_path: Path) -> None:
    build(tmp_path / "m.duckdb", 1)
    before = os.umask(0o022)
    try:
        done = publish(tmp_path / "m.duckdb", tmp_path / "deep" / "published")
    finally:
        os.umask(before)
    assert done.tables == 2
    assert done.bytes == done.path.stat().st_size > 0
    assert 0 < done.seconds < 10
    assert done.path.stat().st_mode & 0o777 == 0o644
    assert not (tmp_path / "m.duckdb.wal").exists()


def test_without_copy_file_range(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError("not on this file system")

    build(tmp_path / "m.duckdb", 5)
    monkeypatch.setattr(os, "copy_file_range", refuse)
    publish(tmp_path / "m.duckdb", tmp_path / "published")
    assert value(tmp_path / "published" / SNAPSHOT) == 5


def test_a_torn_copy_is_not_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marts, published = tmp_path / "m.duckdb", tmp_path / "published"
    build(marts, 1)
    publish(marts, published)
    build(marts, 2)
    monkeypatch.setattr("ops.publish.copy", lambda _, partial: partial.write_bytes(b"torn"))
    with pytest.raises(PublishError):
        publish(marts, published)
    assert value(published / SNAPSHOT) == 1
    assert [p.name for p in published.iterdir()] == [SNAPSHOT]


def test_a_log_left_beside_the_snapshot_is_not_mistaken_for_its_own(tmp_path: Path) -> None:
    """A reader opened the snapshot for writing, wrote, and was killed."""
    marts, published = tmp_path / "m.duckdb", tmp_path / "published"
    build(marts, 1)
    publish(marts, published)
    careless = (
        "import duckdb, os, signal, sys; c = duckdb.connect(sys.argv[1]);"
        "c.execute('delete from a'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", careless, str(published / SNAPSHOT)], check=False)
    assert (published / f"{SNAPSHOT}.wal").exists()
    build(marts, 2)
    publish(marts, published)
    assert value(published / SNAPSHOT) == 2


def test_nothing_to_publish_is_said(tmp_path: Path) -> None:
    with pytest.raises(PublishError, match="millrace build"):
        publish(tmp_path / "none.duckdb", tmp_path / "published")
    duckdb.connect(tmp_path / "empty.duckdb").close()
    with pytest.raises(PublishError, match="holds no tables"):
        publish(tmp_path / "empty.duckdb", tmp_path / "published")
    (tmp_path / "junk.duckdb").write_bytes(b"not a database" * 1000)
    with pytest.raises(PublishError, match="not a DuckDB file"):
        publish(tmp_path / "junk.duckdb", tmp_path / "published")


def test_marts_in_use_by_another_process_are_not_published(tmp_path: Path) -> None:
    marts = tmp_path / "m.duckdb"
    build(marts, 1)
    hold = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(marts)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(PublishError, match="in use"):
            publish(marts, tmp_path / "published")
        holder.communicate("\n")
    publish(marts, tmp_path / "published")


def test_a_view_whose_source_lies_elsewhere_is_not_published(tmp_path: Path) -> None:
    with duckdb.connect() as connection:
        connection.execute(f"attach '{tmp_path / 'm.duckdb'}' as marts")
        connection.execute(f"attach '{tmp_path / 'w.duckdb'}' as w")
        connection.execute("create table w.t as select 1 as v")
        connection.execute("create view marts.v as select v from w.t")
    with pytest.raises(PublishError, match="cannot be published"):
        publish(tmp_path / "m.duckdb", tmp_path / "published")
