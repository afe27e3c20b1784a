"""The plan: every version that a row of the tills or of the API ever has, and when it is there.

A version has the row's columns, `updated_at`, and
- `arrives_on`, `leaves_on`: it is in the source at the end of each day from `arrives_on` up to
  the day before `leaves_on`, where the next version replaces it or the row is removed
  (null: never);
- `broken_rules`: a sorted JSON list of the rules of the declaration that it breaks, null if good;
- `needs_loose_types`: true where only a database with dynamic types can hold it.
"""

from dataclasses import dataclass
from datetime import date, timedelta

import duckdb

from sample import loyalty, pos

PLAN_COLUMNS = ("arrives_on", "leaves_on", "broken_rules", "needs_loose_types")

LONGEST_LIFE = timedelta(days=30)
"""No line of a basket changes later than this after its sale."""


@dataclass(frozen=True)
class Table:
    """One table of the tills or the API.

    Attributes:
        name: its name in the source.
        key: the columns of its primary key.
        columns: column name to declared type, `updated_at` last, in the source's order.
    """

    name: str
    key: tuple[str, ...]
    columns: dict[str, str]

    @property
    def column_list(self) -> str:
        """The columns, as SQL lists them."""
        return ", ".join(self.columns)

    @property
    def key_list(self) -> str:
        """The key's columns, as SQL lists them."""
        return ", ".join(self.key)


TILLS = tuple(Table(name, key, columns) for name, key, columns in pos.TABLES)
API = tuple(Table(name, key, columns) for name, key, columns in loyalty.TABLES)


def create(con: duckdb.DuckDBPyConnection) -> None:
    """Create the table macro `versions_<table>(first, last)` of each table in `con`.

    `first` and `last` are the sale days between which lines of baskets are looked at;
    the other tables are small and come whole.
    """
    for statement in (*pos.VERSIONS, *loyalty.VERSIONS):
        con.execute(statement)


def _between(table: Table, first: date, last: date) -> str:
    return f"versions_{table.name}(date '{first}', date '{last}')"


def all_of(table: Table) -> str:
    """The SQL of every version that the table ever has."""
    return f"(from {_between(table, date(2017, 1, 1), date(2018, 12, 31))})"


def state(table: Table, day: date, loose_types: bool = True) -> str:
    """The SQL of the table's content at the end of `day`, plan columns included."""
    return f"""(from {_between(table, date(2017, 1, 1), day)}
        where arrives_on <= date '{day}' and (leaves_on is null or leaves_on > date '{day}')
            and (not needs_loose_types or {loose_types}))"""


def new_rows(table: Table, after: date, day: date, loose_types: bool = True) -> str:
    """The SQL of the rows, without plan columns, that are new or changed since the end of `after`,
    as they are at the end of `day`.
    """
    return f"""select {table.column_list} from {_touched(table, after, day, loose_types)}
        where arrives_on <= date '{day}' and (leaves_on is null or leaves_on > date '{day}')"""


def touched_keys(table: Table, after: date, day: date, loose_types: bool = True) -> str:
    """The SQL of the keys of all rows that came, changed or went since the end of `after`."""
    return f"select distinct {table.key_list} from {_touched(table, after, day, loose_types)}"


def _touched(table: Table, after: date, day: date, loose_types: bool) -> str:
    return f"""(from {_between(table, after - LONGEST_LIFE, day)}
        where ((arrives_on > date '{after}' and arrives_on <= date '{day}')
            or (leaves_on > date '{after}' and leaves_on <= date '{day}'))
            and (not needs_loose_types or {loose_types}))"""
