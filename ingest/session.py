"""The DuckDB session that reads every source: in memory, bounded, with extensions from wheels."""

from importlib import resources
from pathlib import Path

import duckdb

from ingest.types import literal

FRESH_FILES = {"enable_external_file_cache": False}
"""Every connection that reads a batch's files. Of two files written at one path within a second,
DuckDB 1.5.5 takes the second for the first when their sizes are the same, footer and all: of 40
batches in a row, 20 had the fates of the one before."""


def open_session(scratch: Path, memory: str = "900MB") -> duckdb.DuckDBPyConnection:
    """A connection that keeps to `memory`, puts the rest below `scratch`, and downloads nothing."""
    con = duckdb.connect(
        config={
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
    """Load an extension from where its wheel has put it; nothing is copied, nothing downloaded.

    Raises:
        ModuleNotFoundError: the wheel is not installed.
    """
    wheel = resources.files(f"duckdb_extension_{name}")
    file = wheel / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
    con.execute(f"load {literal(str(file))}")
