"""What a test of the ledger found, in words: the table, the load and the difference."""

import duckdb

_SHOWN = 5


def words(con: duckdb.DuckDBPyConnection, test: str) -> str:
    """The first rows of a failing test as one line; '' where it has no `difference` to tell.

    Args:
        con: the warehouse as dbt had it, the marts attached.
        test: the test's compiled SQL, with the columns table_name, load_number and difference.
    """
    try:
        rows = con.execute(
            "select table_name, load_number, difference, count(*) over () from "
            f"({test}\n) order by all limit {_SHOWN}"
        ).fetchall()
    except duckdb.Error:
        return ""
    told = [
        f"{table}, {'any load' if load is None else f'load {load}'}: {difference}"
        for table, load, difference, _ in rows
    ]
    if rows and rows[0][3] > len(rows):
        told.append(f"and {rows[0][3] - len(rows):,} more")
    return "; ".join(told)
