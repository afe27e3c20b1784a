"""The oracle: the fate that every row must have, and what staging must hold, after some loads.

It knows the plan and the days of the loads, and looks at nothing that was delivered.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import duckdb

from sample import dataset, drop, promo, versions
from sample.versions import API, TILLS, Table

_TABLES = {
    **{f"pos.{table.name}": table for table in TILLS},
    **{f"loyalty.{table.name}": table for table in API},
}
_FILES = {"promo.promotions": promo.PROMOTIONS, "promo.coupons": promo.COUPONS}

TABLES = (*_TABLES, *_FILES)
"""The names that the oracle knows, `<source>.<table>`."""


@dataclass(frozen=True)
class Files:
    """How many files of a table there are in the drop.

    Attributes:
        distinct: files of different content.
        resent: files that repeat one of those under another name.
    """

    distinct: int
    resent: int


class Oracle:
    """What must come of the retailer's rows.

    Args:
        seed: the retailer's seed.
        loads: the days at whose end everything was loaded, in any order.
        loose_types: whether the tills can hold text in a number, as SQLite can; False for
            tills in PostgreSQL.

    Relations that it gives live as long as the oracle does.
    """

    def __init__(self, seed: int, loads: Sequence[date], loose_types: bool = True) -> None:
        self._loads = sorted(set(loads))
        self._loose_types = loose_types
        self._con = dataset.connect(seed)
        versions.create(self._con)
        self._con.execute("create table loads (load date)")
        if self._loads:
            self._con.execute("insert into loads select unnest(?::date[])", [self._loads])
        # the load at which a row that is there from `day` on is first seen
        self._con.execute(
            """create table calendar as
            select d.day, l.load
            from (select unnest(generate_series(date '2017-01-01',
                (select max(load) from loads), interval 1 day))::date as day) as d
            asof join loads as l on l.load >= d.day"""
        )
        self._known: set[str] = set()

    def fates(self, table: str) -> duckdb.DuckDBPyRelation:
        """One row for each version that a load saw, or each line of each distinct file.

        Columns: those of the declaration, then
        - first_load: the day of the load that saw it first;
        - fate: `accepted` (the newest good version of its key), `superseded` (an older good
          one) or `dead`;
        - rule: the rules that a dead row breaks, a sorted JSON list, else null.
        Files have `file`, its path in the drop, too; coupons also `line` (from 1, the header not
        counted) and `text`. Types are the declaration's; but where the plan has text in a
        number or a date (`pos.transactions.quantity`, `loyalty.redemptions.redemption_date`),
        the column is text.

        Raises:
            KeyError: no such table; the names are in `TABLES`.
        """
        name = table.replace(".", "_")
        if table not in self._known:
            if table in _TABLES:
                self._con.execute(f"create table {name} as {self._versions(_TABLES[table])}")
            else:
                sql = {"promo.promotions": self._promotions, "promo.coupons": self._coupons}
                self._con.execute(f"create view {name} as {sql[table]()}")
            self._known.add(table)
        return self._con.table(name)

    def truth(self, table: str) -> duckdb.DuckDBPyRelation:
        """The rows that staging must hold: the newest good version of each key.

        Columns and types are the declaration's.

        Raises:
            KeyError: no such table; the names are in `TABLES`.
        """
        columns = _TABLES[table].columns if table in _TABLES else _FILES[table]
        typed = ", ".join(f"{name}::{kind} as {name}" for name, kind in columns.items())
        return self.fates(table).filter("fate = 'accepted'").project(typed)

    def files(self, table: str) -> Files:
        """How many files of `promo.promotions` or `promo.coupons` the last load found."""
        found = [file for file in self._delivered() if f"promo.{file.table}" == table]
        resent = sum(file.original is not None for file in found)
        return Files(len(found) - resent, resent)

    def _delivered(self) -> list[drop.File]:
        return drop.files(self._con, self._loads[-1]) if self._loads else []

    def _versions(self, table: Table) -> str:
        return f"""
        with seen as (
            select v.*, c.load as first_load
            from {versions.all_of(table)} as v join calendar as c on c.day = v.arrives_on
            where (v.leaves_on is null or c.load < v.leaves_on)
                and (not v.needs_loose_types or {self._loose_types})
        ),
        good as (
            select {table.key_list}, first_load, updated_at, row_number() over (
                partition by {table.key_list} order by updated_at desc nulls last, first_load desc
            ) as age
            from seen where broken_rules is null
        ),
        older as (select {table.key_list}, first_load from good where age > 1)
        select {table.column_list}, first_load,
            case
                when broken_rules is not null then 'dead'
                when ({table.key_list}, first_load) in (from older) then 'superseded'
                else 'accepted'
            end as fate,
            broken_rules as rule
        from seen"""

    def _promotions(self) -> str:
        weeks = [
            file.part
            for file in self._delivered()
            if isinstance(file.part, int) and file.original is None
        ]
        bad = " union all by name ".join(
            f"select *, {week} as file_week from ({promo.bad_promotions(week)})" for week in weeks
        )
        rows = f"""select *, {promo.display_name()} as display_name, week as file_week
            from source.promotions where week <= {max(weeks, default=0)}"""
        return f"""
        select {", ".join(list(promo.PROMOTIONS)[:-1])},
            case when file_week >= {promo.FIRST_WEEK_WITH_NAME} then display_name end
                as display_name,
            c.load as first_load,
            case when broken_rules is null then 'accepted' else 'dead' end as fate,
            broken_rules as rule,
            'promotions/promotions_week_' || lpad(file_week::varchar, 2, '0') || '.parquet' as file
        from (from ({rows}) union all by name from ({bad or promo.bad_promotions(0)})) as r
        join (
            select unnest({weeks}::integer[]) as file_week,
                unnest({[str(promo.week_begins(week)) for week in weeks]}::date[]) as delivered_on
        ) as f using (file_week)
        join calendar as c on c.day = f.delivered_on"""

    def _coupons(self) -> str:
        return f"""
        select {", ".join(promo.COUPONS)}, c.load as first_load,
            case when broken_rules is null then 'accepted' else 'dead' end as fate,
            broken_rules as rule,
            'coupons/coupons_' || strftime(delivered_on, '%Y_%m_%d') || '.csv.gz' as file, line,
            rtrim(text, chr(10)) as text
        from ({promo.coupon_lines()}) as r join calendar as c on c.day = r.delivered_on"""
