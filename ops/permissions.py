"""Who may read what Millrace makes: its working files their owner alone, what it publishes all.

The warehouse, the marts, states, logs and working folders hold rows of the sources, persons among
them. Readers get the published files, in a folder that is as open as the umask made it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PRIVATE = 0o077
_CODE = 0o022
_READ = 0o644
_ENTER = 0o755


def keep_private() -> None:
    """From here on, what this process and its children make is their owner's alone.

    By the umask, so that it holds for what DuckDB, dlt and dbt make as well: logs of changes, spilt
    rows, Parquet files. What is there already stays as it is.
    """
    os.umask(os.umask(_PRIVATE) | _PRIVATE)


@contextmanager
def readable() -> Iterator[None]:
    """What is made meanwhile, code and not rows, can be read by all."""
    before = os.umask(_CODE)
    try:
        yield
    finally:
        os.umask(before)


def open_folder(folder: Path) -> None:
    """Make the folder, and those above it, so that all may enter whom the umask lets."""
    for each in (*reversed(folder.parents), folder):
        if not each.exists():
            each.mkdir(mode=_ENTER, exist_ok=True)


def open_file(path: Path) -> None:
    """Let everyone who can enter the file's folder read it."""
    path.chmod(_READ)
