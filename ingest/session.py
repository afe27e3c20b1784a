"""The DuckDB session that reads every source: in memory, bounded, with extensions from wheels."""

import threading
from pathlib import Path

import duckdb
import duckdb_extensions

FRESH_FILES = {"enable_external_file_cache": False}
"""Every connection that reads a batch's files. Of two files written at one path within a second,
DuckDB 1.5.5 takes the second for the first when their sizes are the same, footer and all: of 40
batches in a row, 20 had the fates of the one before."""

_INSTALLING = threading.Lock()


def open_session(scratch: Path, memory: str = "900MB") -> duckdb.DuckDBPyConnection:
    """A connection that keeps to `memory`, puts the rest below `scratch`, and downloads nothing."""
    con = duckdb.connect(
        config={
            "extension_directory": str(scratch.parent / "extensions"),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "memory_limit": memory,
            "temp_directory": str(scratch / "spill"),
            "preserve_insertion_order": False,
            **FRESH_FILES,
        }
    )
    con.execute("set TimeZone = 'UTC'")
    return con


def beside(session: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """A connection of the same session, extensions and all, with temporary tables of its own."""
    con = session.cursor()
    con.execute("set TimeZone = 'UTC'")
    return con


def load_extension(con: duckdb.DuckDBPyConnection, name: str) -> None:
    """Load an extension from its wheel, installing it into the session's folder the first time."""
    with _INSTALLING:
        try:
            con.execute(f"load {name}")
        except duckdb.Error:
            duckdb_extensions.import_extension(name, con=con)
            con.execute(f"load {name}")
