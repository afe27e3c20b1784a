"""What a retailer has delivered, in a form that two of them can be compared by."""

import hashlib
import json
import sqlite3
import time
import urllib.error
import urllib.request
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sample import api
from sample.versions import API, TILLS

Rows = set[tuple[Any, ...]]


@dataclass(frozen=True)
class World:
    """Rows of the tills and the API by table, hashes of the drop's files by path."""

    tills: dict[str, Rows]
    drop: dict[str, str]
    api: dict[str, Rows]


def tills(home: Path) -> dict[str, Rows]:
    """The rows of each table of the tills' SQLite file."""
    with closing(sqlite3.connect(home / "till.sqlite")) as db:
        return {
            table.name: set(db.execute(f"select {table.column_list} from {table.name}"))
            for table in TILLS
        }


def drop(home: Path) -> dict[str, str]:
    """The hash of each file of the drop by its path, whatever lies there."""
    folder = home / "drop"
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def get(url: str, tries: int = 2) -> Any:
    """The JSON answer, tried again after a 429 or 503 as its Retry-After says."""
    for left in reversed(range(tries)):
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code not in (429, 503) or not left:
                raise
            time.sleep(int(error.headers["Retry-After"]))
    raise AssertionError("not reached")


def items(base: str, path: str) -> list[dict[str, Any]]:
    """All items of all pages of `path`, a query included, below the URL `base`."""
    found: list[dict[str, Any]] = []
    following: str | None = path
    while following:
        answer = get(base + following)
        found += answer["items"]
        following = answer["next"]
    return found


def served(home: Path) -> dict[str, Rows]:
    """What the API answers, each table whole."""
    with api.serve(home) as base:
        return {
            table.name: {
                tuple(item[name] for name in table.columns)
                for item in items(base, f"/{table.name}")
            }
            for table in API
        }


def everything(home: Path) -> World:
    """All that the retailer below `home` has delivered."""
    return World(tills(home), drop(home), served(home))
