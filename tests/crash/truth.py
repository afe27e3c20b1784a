"""What the sample's oracle says of raw and marts, and what is there."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
from homes import LOAD_COLUMNS, Home
from projects import Project
from test_sample_in_any_steps import MISSPELT_RULE, THIN
from truths import tell

from sample.oracle import TABLES, Oracle
from tests.crash.stores import settled

SEED = 7
SOURCES = ("pos", "promo", "loyalty")
_OF_FATES = ("first_load", "fate", "rule", "file", "line", "text")
Hashes = dict[str, tuple[int, str]]
"""Table to its rows and the hash of them in order, load columns aside."""

_seen: dict[tuple[int, int, str], Hashes] = {}


def hashes(file: Path) -> Hashes:
    """Every table of a DuckDB file. What was hashed once is known by size and time of change."""
    stat = file.stat()
    key = (stat.st_size, stat.st_mtime_ns, file.name)
    if key not in _seen:
        found = {}
        with duckdb.connect() as con:
            con.execute(f"attach '{file}' as found (read_only)")
            for (name,) in con.execute(
                "select table_name from duckdb_tables() where database_name = 'found' order by all"
            ).fetchall():
                columns = f"columns(c -> not regexp_matches(c, '{LOAD_COLUMNS}'))"
                found[name] = con.execute(
                    "select count(*), md5(string_agg(h, '' order by h)) from "
                    f"(select md5(r::varchar) as h from (select {columns} from found.{name}) as r)"
                ).fetchall()[0]
        _seen[key] = found
    return _seen[key]


@dataclass(frozen=True)
class Raw:
    """A raw table: (rows, different ones, the greatest, all their hashes), and its dead letters."""

    good: tuple[object, ...]
    dead: int


class Truth:
    """What the oracle says after loads at the end of some days.

    `raw` has each table; `timed` as it is where the last day was read by a backfill.

    Args:
        days: the days.
        mended_on: the day on which the misspelt brand's dead letters were replayed, the last but
            for those that came with the mended rule.
    """

    def __init__(self, days: tuple[date, ...], mended_on: date | None) -> None:
        self.con, oracle = duckdb.connect(), Oracle(SEED, days)
        tell(self.con, oracle)
        self.con.execute(f"delete from promo_promotions where not ({THIN})")
        self.raw, self.timed, self.columns = {}, {}, {}
        for table in TABLES:
            self.con.register("told", oracle.fates(table).to_arrow_table())
            self.con.execute("create or replace table fates as from told")
            self.con.unregister("told")
            if table == "promo.promotions":
                self.con.execute(f"delete from fates where not ({THIN})")
            if mended_on:
                self.con.execute(
                    "update fates set fate = case when first_load > $1 then 'mended' else "
                    "'replayed' end where rule = $2",
                    [mended_on, MISSPELT_RULE],
                )
                if table == "pos.products":
                    self._mend()
            columns = self.con.table("fates").columns
            names = self.columns[table] = [c for c in columns if c not in _OF_FATES]
            self.raw[table] = self._raw(names)
            if "updated_at" in names:  # what has no time is in no stretch of time
                new = f"first_load = date '{max(days)}' and updated_at is null"
                self.timed[table] = self._raw(names, f"not ({new})")
            if table == "pos.products":
                self.misspelt = self._one("select count(*) from fates where fate = 'replayed'")

    def check_raw(
        self, home: Home, closed: tuple[int, int], later: Mapping[str, Raw] | None = None
    ) -> int:
        """Compare the raw zone of a home, one query for each table.

        Args:
            home: whose no command is at work.
            closed: dead letters that were replayed, and discarded.
            later: what is true of tables that were read later than the others.

        Returns:
            How many rows there are.

        Raises:
            AssertionError: it holds anything else.
        """
        rows = 0
        for source in SOURCES:
            _Zone(home.path, home).check_books(source)
        with duckdb.connect(str(home.warehouse), read_only=True) as con:
            for source in SOURCES:
                settled(con, source)
            for table, told in {**self.raw, **(later or {})}.items():
                source, _, name = table.partition(".")
                found = con.execute(one(f"raw_{source}.{name}", self.columns[table])).fetchall()[0]
                assert found == told.good, f"raw of {table}: {found}, not {told.good}"
                letters = f"raw_{source}._dead_letters where table_name = '{name}'"
                dead = con.execute(f"select count(*) from {letters}").fetchall()[0][0]
                assert dead == told.dead, f"{dead} dead letters of {table}, not {told.dead}"
                rows += found[0] + dead
            fates = con.execute(
                "select count(*) filter (fate = 'replayed'), count(*) filter (fate = 'discarded'), "
                "count(distinct dead_letter_id) from raw_pos._dead_letter_fates"
            ).fetchall()[0]
            assert fates == (*closed, sum(closed)), f"closed dead letters: {fates}, not {closed}"
        return rows

    def _raw(self, names: list[str], only: str = "true") -> Raw:
        dead = f"select count(*) from fates where fate in ('dead', 'replayed') and {only}"
        good = one(f"fates where fate <> 'dead' and {only}", names)
        return Raw(self.con.execute(good).fetchall()[0], self._one(dead))

    def _mend(self) -> None:
        columns = ", ".join(self.con.table("pos_products").columns)
        self.con.execute(
            f"""create or replace table pos_products as select {columns} from (
                select *, row_number() over (
                    partition by product_id order by updated_at desc nulls last, first_load desc
                ) as age
                from fates where fate <> 'dead'
            ) where age = 1"""
        )

    def _one(self, sql: str) -> int:
        return int(self.con.execute(sql).fetchall()[0][0])


def one(table: str, columns: list[str]) -> str:
    """The one query for a table: total, distinct, greatest, and the hashes of all rows."""
    listed = ", ".join(f"{column}::varchar" for column in columns)
    return (
        "select count(*), count(distinct r), max(r), bit_xor(md5_number_lower(r)) "
        f"from (select [{listed}]::varchar as r from {table})"
    )


@dataclass
class _Zone(Project):
    """The raw zone of a home, whose books a project knows how to check."""

    def __init__(self, root: Path, home: Home) -> None:
        super().__init__(root)
        self._home = home

    @property
    def warehouse(self) -> Path:
        return self._home.warehouse
