"""A reader of the live lines: `python live_poller.py SNAPSHOT DELETES STOP`.

It looks at every snapshot that is published, until the file STOP is there, and prints as JSON how
many lines were unsettled in each, and what was wrong with any: a line twice, or one that was there
and is not, though it was settled or is not in DELETES (a Parquet file of `basket_id` and
`product_id`).
"""

import json
import sys
import time
from pathlib import Path

import duckdb

ONE = {"threads": 1}
LINES = "select basket_id, product_id, is_settled from shop.live_basket_lines"


KEY = "basket_id bigint, product_id bigint"
TWICE = "select count(*) - count(distinct (basket_id, product_id)) from present"
UNSETTLED_AGAIN = (
    "select count(*) from before semi join (from present where not is_settled) "
    "using (basket_id, product_id) where is_settled"
)
GONE = (
    "select count(*) from (from before anti join present using (basket_id, product_id)) as b "
    "where is_settled or not exists (from deletes as d "
    "where d.basket_id = b.basket_id and d.product_id = b.product_id)"
)
OPEN = "select count(*) from present where not is_settled"


class Reader:
    """What it saw last, and what was wrong so far."""

    def __init__(self, deletes: Path) -> None:
        self._con = duckdb.connect(config=ONE)
        self._con.execute(f"create table deletes as from '{deletes}'")
        self._con.execute(f"create table before ({KEY}, is_settled boolean)")
        self.unsettled: list[int] = []
        self.faults: list[str] = []

    def look(self, snapshot: Path) -> None:
        """Hold the snapshot against the one before; attached under a name of the reader's own."""
        self._con.execute(f"attach '{snapshot}' as shop (read_only)")
        self._con.execute(f"create or replace table present as {LINES}")
        self._con.execute("detach shop")
        twice, settled, gone, open_ = (
            self._con.execute(sql).fetchall()[0][0] for sql in (TWICE, UNSETTLED_AGAIN, GONE, OPEN)
        )
        if twice or settled or gone:
            self.faults.append(f"{twice} twice, {settled} unsettled again, {gone} gone")
        self.unsettled.append(open_)
        self._con.execute("create or replace table before as from present")


def main(snapshot: Path, deletes: Path, stop: Path) -> None:
    """Look until told to stop."""
    reader, seen = Reader(deletes), (0, 0)
    print("ready", flush=True)
    while True:
        last = stop.exists()
        stat = snapshot.stat()
        now = (stat.st_ino, stat.st_mtime_ns)
        if now != seen:
            seen = now
            reader.look(snapshot)
        if last:
            break
        time.sleep(0.02)
    print(json.dumps({"unsettled": reader.unsettled, "faults": reader.faults}))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
