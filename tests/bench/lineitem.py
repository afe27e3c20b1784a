"""TPC-H lineitem in PostgreSQL, and its declarations. `python -m tests.bench.lineitem URL SCALE`.

DuckDB's generator makes the rows (6 001 215 at scale 1), so every machine has the same ones.
"""

import sys
import tempfile
from pathlib import Path

SUMS = "count(*), sum(l_quantity), sum(l_extendedprice), sum(l_orderkey), count(l_comment)"

_TYPES = {
    "l_orderkey": "bigint",
    "l_partkey": "bigint",
    "l_suppkey": "bigint",
    "l_linenumber": "bigint",
    "l_quantity": "decimal(15,2)",
    "l_extendedprice": "decimal(15,2)",
    "l_discount": "decimal(15,2)",
    "l_tax": "decimal(15,2)",
    "l_returnflag": "varchar",
    "l_linestatus": "varchar",
    "l_shipdate": "date",
    "l_commitdate": "date",
    "l_receiptdate": "date",
    "l_shipinstruct": "varchar",
    "l_shipmode": "varchar",
    "l_comment": "varchar",
}
_RULES = {
    "l_orderkey": "required: true",
    "l_partkey": "required: true",
    "l_suppkey": "required: true",
    "l_quantity": 'required: true, check: "l_quantity between 1 and 50"',
    "l_extendedprice": 'required: true, check: "l_extendedprice > 0"',
    "l_discount": 'check: "l_discount between 0 and 1"',
    "l_returnflag": "accepted_values: [R, A, N]",
    "l_linestatus": "accepted_values: [O, F]",
    "l_shipdate": "required: true",
    "l_receiptdate": 'required: true, check: "l_receiptdate > l_shipdate"',
    "l_comment": 'check: "length(l_comment) <= 44"',
}


def declare(project: Path, *, contract: bool) -> None:
    """Write the declaration of `lineitem` into a project: with a key and rules, or types alone."""
    folder = project / "models" / "staging" / "tpch"
    folder.mkdir(parents=True)
    ingest = "{primary_key: [l_orderkey, l_linenumber]}" if contract else "{}"
    lines = [
        "sources:",
        "  - name: tpch",
        "    schema: raw_tpch",
        "    config: {meta: {ingest: {kind: sql, url: 'env:BENCH_URL'}}}",
        "    tables:",
        "      - name: lineitem",
        f"        config: {{meta: {{ingest: {ingest}}}}}",
    ]
    lines.append("        columns:")
    for name, kind in _TYPES.items():
        ruled = contract and name in _RULES
        rules = f", config: {{meta: {{{_RULES[name]}}}}}" if ruled else ""
        lines.append(f'          - {{name: {name}, data_type: "{kind}"{rules}}}')
    (folder / "_tpch__sources.yml").write_text("\n".join(lines) + "\n")


def make(url: str, scale: float) -> None:
    """Generate the table and copy it into the empty PostgreSQL database at `url`."""
    import duckdb

    from ingest.session import load_extension

    with tempfile.TemporaryDirectory() as folder:
        con = duckdb.connect(f"{folder}/tpch.duckdb")
        for name in ("tpch", "postgres_scanner"):
            load_extension(con, name)
        con.execute(f"call dbgen(sf = {scale})")
        con.execute(f"attach '{url}' as pg (type postgres)")
        columns = ", ".join(f"{name} {kind}" for name, kind in _TYPES.items())
        con.execute(f"call postgres_execute('pg', 'create table lineitem ({columns})')")
        con.execute("insert into pg.public.lineitem select * from lineitem")
        con.execute("call postgres_execute('pg', 'analyze lineitem')")


def main() -> None:
    """Make the table."""
    make(sys.argv[1], float(sys.argv[2]))


if __name__ == "__main__":
    main()
