"""One contender a process: `python -m tests.bench.contenders NAME URL FOLDER` loads `lineitem`.

Each brings the table from PostgreSQL at URL into a fresh DuckDB file FOLDER/out.duckdb, with the
settings that it has by itself.
"""

import sys
from pathlib import Path
from typing import Any


def limit(url: str, folder: Path) -> None:
    """DuckDB alone: its PostgreSQL scanner straight into a table; no contract, no state."""
    import duckdb

    from ingest.session import load_extension

    con = duckdb.connect(str(folder / "out.duckdb"))
    load_extension(con, "postgres_scanner")
    con.execute(f"attach '{url}' as pg (type postgres, read_only)")
    con.execute("create table lineitem as select * from pg.public.lineitem")
    con.close()


def millrace(url: str, folder: Path) -> None:
    """Millrace with the contract of FOLDER's declaration."""
    from ingest.declaration import load_sources
    from ingest.load import Loader

    (source,) = load_sources(folder)
    loader = Loader(source, folder / "out.duckdb", folder / "scratch", {"BENCH_URL": url}, print)
    for error in loader.load("bench").errors:
        raise SystemExit(str(error))


def land(url: str, folder: Path) -> None:
    """A reader of Millrace, which lands the messages for the load."""
    from ingest.declaration import load_sources
    from ingest.readers.land import Lander, Share

    (source,) = load_sources(folder)
    done = Lander(source, source.tables[0], {"BENCH_URL": url}, Share()).round()
    print(done)
    if done.problem:
        raise SystemExit(str(done.problem))


def dlt_consumer(url: str, folder: Path) -> None:
    """The Python way: a consumer's messages, each parsed, as the rows of a dlt resource."""
    import json
    from collections.abc import Iterator

    import dlt
    from confluent_kafka import Consumer

    @dlt.resource(name="sales", write_disposition="append")
    def messages() -> Iterator[list[dict[str, object]]]:
        consumer = Consumer(
            {"bootstrap.servers": url, "group.id": "bench", "enable.auto.commit": False}
        )
        left = _whole(consumer)
        while left:
            given = [each for each in consumer.consume(10_000, 1.0) if each.error() is None]
            left -= len(given)
            yield [json.loads(each.value() or b"") for each in given]
        consumer.close()

    pipeline = dlt.pipeline(
        "bench",
        pipelines_dir=str(folder / "dlt"),
        destination=dlt.destinations.duckdb(str(folder / "out.duckdb")),
        dataset_name="raw",
    )
    pipeline.run(messages())


def direct(url: str, folder: Path) -> None:
    """The same client and DuckDB, and no more: no contract, no state, no Parquet, no ledger.

    Two threads: one reads the next 200,000 messages while the other inserts those before. Of where
    a message stood it keeps partition, offset and key.
    """
    from collections.abc import Iterator

    import duckdb
    import pyarrow as pa
    from confluent_kafka import Consumer, Message

    from ingest.readers import kafka_broker
    from ingest.readers.ahead import ahead

    # as Millrace's reader has it, but that no message says where a partition ends
    reading = {**kafka_broker._READING, "enable.partition.eof": False}
    consumer = Consumer({"bootstrap.servers": url, "group.id": "bench", **reading})
    left = _whole(consumer)

    def pieces() -> Iterator[pa.Table]:
        nonlocal left
        while left:
            batches: list[pa.RecordBatch] = []
            while left and sum(batch.num_rows for batch in batches) < 200_000:
                given = consumer.consume(min(10_000, left), 20.0)
                if not given or any(map(Message.error, given)):
                    raise SystemExit(f"the broker sent {given[:1]}, {left} messages are left")
                left -= len(given)
                columns = [
                    pa.array(list(map(Message.partition, given)), pa.int32()),
                    pa.array(list(map(Message.offset, given)), pa.int64()),
                    pa.array(list(map(Message.key, given)), pa.binary()),
                    pa.array(list(map(Message.value, given)), pa.string()),
                ]
                names = ["_partition", "_offset", "_key", "value"]
                batches.append(pa.RecordBatch.from_arrays(columns, names))
            yield pa.Table.from_batches(batches)

    con = duckdb.connect(str(folder / "out.duckdb"))
    con.execute("set preserve_insertion_order = false")
    types = (
        '{"event_id": "bigint", "customer_id": "bigint", "product": "varchar", '
        '"quantity": "integer", "amount": "decimal(12, 2)", "currency": "varchar", '
        '"channel": "varchar", "sold_at": "timestamp", "note": "varchar"}'
    )
    values = f"unnest(json_transform(value::json, '{types}'))"
    rows = f"select {values}, _partition, _offset, _key from piece"
    for piece in ahead(pieces()):
        con.register("piece", piece)
        con.execute(f"create table if not exists sales as {rows} limit 0")
        con.execute(f"insert into sales {rows}")
    con.close()
    consumer.close()


def _whole(consumer: Any) -> int:
    """Assign all that the topic holds; how many messages that is."""
    from confluent_kafka import TopicPartition

    places = [TopicPartition("sales", number, 0) for number in range(3)]
    consumer.assign(places)
    return sum(consumer.get_watermark_offsets(place)[1] for place in places)


def dlt_pyarrow(url: str, folder: Path) -> None:
    """dlt's own reader over SQLAlchemy, rows turned into Arrow."""
    _dlt(url, folder, "pyarrow")


def dlt_connectorx(url: str, folder: Path) -> None:
    """dlt's own reader over ConnectorX."""
    _dlt(url, folder, "connectorx")


def _dlt(url: str, folder: Path, backend: str) -> None:
    import dlt
    from dlt.sources.sql_database import sql_table

    pipeline = dlt.pipeline(
        "bench",
        pipelines_dir=str(folder / "dlt"),
        destination=dlt.destinations.duckdb(str(folder / "out.duckdb")),
        dataset_name="raw",
    )
    address = url.replace("postgresql://", "postgresql+psycopg://")
    more = {"backend_kwargs": {"return_type": "arrow", "conn": url}}
    table = sql_table(
        credentials=address,
        table="lineitem",
        backend=backend,  # type: ignore[arg-type]
        **(more if backend == "connectorx" else {}),  # type: ignore[arg-type]
    )
    pipeline.run(table, write_disposition="append")


if __name__ == "__main__":
    globals()[sys.argv[1]](sys.argv[2], Path(sys.argv[3]))
