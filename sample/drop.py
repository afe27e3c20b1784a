"""The file drop: weekly promotions as Parquet, coupons as gzip CSV, some of them sent twice.

The folder is a pure function of the day: delivery removes what should not be there and writes
what is missing, each file under another name first.
"""

import gzip
import shutil
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import duckdb

from sample import promo


@dataclass(frozen=True)
class File:
    """One file of the drop.

    Attributes:
        path: below the drop folder.
        table: `promotions` or `coupons`.
        part: which part of the table it holds: the week's number, or the day of delivery.
        delivered_on: the day at whose end it is there.
        original: the path of the file that it repeats byte for byte, None for most.
    """

    path: str
    table: str
    part: int | date
    delivered_on: date
    original: str | None = None


def files(con: duckdb.DuckDBPyConnection, day: date) -> list[File]:
    """The files that the drop holds at the end of `day`, originals before repeats."""
    found: list[File] = []
    for week in range(1, 54):
        path = f"promotions/promotions_week_{week:02}.parquet"
        found.append(File(path, "promotions", week, promo.week_begins(week)))
    days = con.execute(
        "select distinct delivered_on from source.campaign_descriptions order by 1"
    ).fetchall()
    for (delivered_on,) in days:
        path = f"coupons/coupons_{delivered_on:%Y_%m_%d}.csv.gz"
        found.append(File(path, "coupons", delivered_on, delivered_on))
    for file in list(found):
        delay = promo.RESENT.get(file.part)
        if delay is not None:
            stem, dot, ending = file.path.partition(".")
            again = file.delivered_on + timedelta(days=delay)
            found.append(
                File(f"{stem}_resend{dot}{ending}", file.table, file.part, again, file.path)
            )
    return [file for file in found if file.delivered_on <= day]


def deliver(con: duckdb.DuckDBPyConnection, drop: Path, day: date) -> None:
    """Make the folder `drop` hold the files of `day`, and no other."""
    wanted = {file.path: file for file in files(con, day)}
    for folder in ("promotions", "coupons"):
        (drop / folder).mkdir(parents=True, exist_ok=True)
        for path in (drop / folder).iterdir():
            if f"{folder}/{path.name}" not in wanted:
                path.unlink()
    # One thread: with more, a file's bytes can depend on how many there are, and it costs more.
    con.execute("set threads = 1")
    try:
        for file in wanted.values():
            target = drop / file.path
            if not target.exists():
                draft = target.with_name(f".{target.name}.tmp")
                _write(con, drop, file, draft)
                draft.replace(target)
    finally:
        con.execute("reset threads")


def _write(con: duckdb.DuckDBPyConnection, drop: Path, file: File, draft: Path) -> None:
    if file.original:
        shutil.copyfile(drop / file.original, draft)
    elif isinstance(file.part, int):
        quoted = str(draft).replace("'", "''")
        con.execute(
            f"copy ({promo.promotions(file.part)}) to '{quoted}' (format parquet, compression zstd)"
        )
    else:
        text = con.execute(
            f"select string_agg(text, '' order by line) from ({promo.coupon_lines()}) "
            f"where delivered_on = date '{file.part}'"
        ).fetchone()
        assert text is not None
        draft.write_bytes(gzip.compress((promo.COUPON_HEADER + text[0]).encode(), mtime=0))


def clear(drop: Path) -> None:
    """Empty the drop."""
    shutil.rmtree(drop, ignore_errors=True)
