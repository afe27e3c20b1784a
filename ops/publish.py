"""Publish: readers see one whole snapshot of all marts, or the one before.

dbt builds the marts in a file of their own. Publishing copies that file beside the readers' file
and renames the copy over it. A rename within a folder is atomic and leaves the old file to those
who have it open, so no reader ever waits, sees a half-written table or meets a lock.
"""

import gc
import os
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import duckdb

from ingest.disk import sync_folder
from ops.permissions import open_file, open_folder

SNAPSHOT = "marts.duckdb"
"""The readers' file in the published folder."""

_PARTIAL = f".{SNAPSHOT}.partial-"


class PublishError(Exception):
    """The marts cannot be published; the former snapshot stays as it was."""


@dataclass(frozen=True)
class Published:
    """A snapshot as published: its file, size in bytes, duration in seconds, number of tables."""

    path: Path
    bytes: int
    seconds: float
    tables: int


def publish(marts: Path, published: Path, guard: Callable[[], None] = lambda: None) -> Published:
    """Replace `published/marts.duckdb` by the present state of the file `marts`, atomically.

    A kill at any moment leaves the former snapshot or the new one, whole; what it leaves besides
    is removed by the next publish. No one else can write `marts` meanwhile. What `guard` raises
    just before the rename forbids it.

    Raises:
        PublishError: `marts` is missing, empty, in use by someone else, or does not survive the
            copy.
    """
    started = time.monotonic()
    if not marts.is_file():
        raise PublishError(f"{marts} is missing: there are no marts yet. Run: millrace build")
    open_folder(published)
    target = published / SNAPSHOT
    partial = published / f"{_PARTIAL}{os.getpid()}"
    connection = _sole_writer(marts)
    # DuckDB locks its file with POSIX locks, which a process loses as soon as it closes any
    # descriptor of that file. So ours stays open to the end: it closes after the rename.
    with marts.open("rb") as source:
        try:
            settle(connection, marts)
            wanted = _inventory(connection, connection.execute("select current_database()"))
            if not wanted:
                raise PublishError(f"{marts} holds no tables. Run: millrace build")
            _no_log(marts)
            for stale in published.glob(f"{_PARTIAL}*"):
                stale.unlink(missing_ok=True)
            copy(source, partial)
            _verify(partial, wanted)
            # A reader who opened the old snapshot for writing may have left a log beside it.
            # It belongs to that file; DuckDB must not look for it in the new one.
            guard()
            log_of(target).unlink(missing_ok=True)
            open_file(partial)
            partial.replace(target)
            sync_folder(published)
        except (duckdb.Error, OSError) as error:
            raise PublishError(f"{marts} cannot be published: {error}") from error
        finally:
            connection.close()
            partial.unlink(missing_ok=True)
    seconds = time.monotonic() - started
    return Published(target, target.stat().st_size, seconds, len(wanted))


def after_dbt(
    opening: Callable[[], duckdb.DuckDBPyConnection],
) -> duckdb.DuckDBPyConnection:
    """Open a DuckDB file that dbt had open in this process.

    dbt leaves a connection in a ring of objects: open, until they are collected.

    Raises:
        duckdb.BinderException: someone else here has it open, with other settings.
    """
    try:
        return opening()
    except duckdb.BinderException:
        gc.collect()
        return opening()


def release() -> None:
    """Close the DuckDB files that dbt holds open in this process, if it ran here."""
    adapter = sys.modules.get("dbt.adapters.duckdb.connections")
    if adapter is not None:
        adapter.DuckDBConnectionManager.close_all_connections()


def _sole_writer(marts: Path) -> duckdb.DuckDBPyConnection:
    """Open `marts` for writing, which keeps every other writer out."""
    release()
    try:
        return duckdb.connect(marts)
    except (duckdb.IOException, duckdb.BinderException) as error:
        raise PublishError(
            f"{marts} is in use or is not a DuckDB file. Publish again when its user is done: "
            f"millrace publish\n{error}"
        ) from error


Inventory = dict[tuple[str, str], tuple[int, int]]
"""(schema, table or view) -> (number of columns, number of rows)."""


def _inventory(
    connection: duckdb.DuckDBPyConnection, database: duckdb.DuckDBPyConnection
) -> Inventory:
    """What a database holds. Every relation is read, so a view with a lost source is an error."""
    (name,) = database.fetchone() or ("",)
    columns = connection.execute(
        "select schema_name, table_name, count(*) from duckdb_columns()"
        " where database_name = ? and not internal group by all",
        [name],
    ).fetchall()
    found: Inventory = {}
    for schema, table, count in columns:
        relation = ".".join('"' + part.replace('"', '""') + '"' for part in (name, schema, table))
        (rows,) = connection.execute(f"select count(*) from {relation}").fetchone() or (0,)
        found[schema, table] = (count, rows)
    return found


def _no_log(marts: Path) -> None:
    """Refuse to copy a file whose last changes are still in its write-ahead log."""
    if _logged(marts):
        raise PublishError(
            f"{log_of(marts)} is not empty after a checkpoint. Try again: millrace publish"
        )


def log_of(database: Path) -> Path:
    """Where DuckDB keeps a file's write-ahead log."""
    return database.with_name(f"{database.name}.wal")


def settle(connection: duckdb.DuckDBPyConnection, database: Path) -> None:
    """Bring what is in the log of `database` into the file, so that the log goes.

    Who was killed in the midst of a commit leaves a log that ends within it. DuckDB reads over
    that, but with nothing else in the log a checkpoint lets it stand; after a commit, of nothing
    here, it goes.
    """
    connection.execute("checkpoint")
    if _logged(database):
        connection.execute("begin; create schema settling_log; drop schema settling_log; commit")
        connection.execute("checkpoint")


def _logged(database: Path) -> bool:
    log = log_of(database)
    return log.exists() and log.stat().st_size > 0


def copy(source: BinaryIO, partial: Path) -> None:
    """Copy to a new file, on the disk when this returns; readable as the umask says.

    The kernel copies, and where the file system can share blocks (XFS, Btrfs) it copies nothing.
    """
    with partial.open("xb") as file:
        left = os.fstat(source.fileno()).st_size
        with suppress(OSError):  # another file system, or one that cannot: the plain copy below
            while left and (done := os.copy_file_range(source.fileno(), file.fileno(), left)):
                left -= done
        if left:
            source.seek(0)
            file.seek(0)
            file.truncate()
            shutil.copyfileobj(source, file, 8 << 20)
        file.flush()
        os.fsync(file.fileno())


def _verify(partial: Path, wanted: Inventory) -> None:
    """Open the copy as readers will, under the name it will have, and compare it."""
    with duckdb.connect() as reader:
        path = str(partial).replace("'", "''")
        alias = SNAPSHOT.removesuffix(".duckdb")
        reader.execute(f"attach '{path}' as {alias} (read_only)")
        found = _inventory(reader, reader.execute(f"select '{alias}'"))
    if found != wanted:
        parts = sorted(
            f"{s}.{t}"
            for s, t in wanted.keys() | found.keys()
            if wanted.get((s, t)) != found.get((s, t))
        )
        raise PublishError(
            f"the copy differs from the marts in {', '.join(parts)}; nothing was "
            "published. Look at the disk, then: millrace publish"
        )


def mark(database: Path) -> str:
    """What changes whenever anything is written to a DuckDB file: sizes and times of change."""
    there = [path.stat() for path in (database, log_of(database)) if path.exists()]
    return " ".join(f"{stat.st_size} {stat.st_mtime_ns}" for stat in there)
