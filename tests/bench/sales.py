"""Sales as messages at a steady rate, and the project that streams them into marts.

`python -m tests.bench.sales ADDRESS RATE SECONDS BEGIN` sends them. Message n is always the same
but for its times, so what the marts must hold can be said without asking the sender: every 200th
message corrects a sale, every 97th comes up to ten days late, every 1 000th is no JSON.
"""

import json
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.bench.measure import BenchError

TOPIC, PARTITIONS, STORES = "sales", 3, 50

_SOURCES = """sources:
  - name: shop
    schema: raw_shop
    config: {meta: {ingest: {kind: kafka, brokers: "env:SHOP_BROKERS"}}}
    tables:
      - name: sales
        config: {meta: {ingest: {topic: sales, primary_key: [sale_id], max_dead: 1}}}
        columns:
          - {name: sale_id, data_type: bigint, config: {meta: {required: true}}}
          - {name: store_id, data_type: bigint, config: {meta: {required: true}}}
          - {name: amount, data_type: "decimal(10,2)", config: {meta: {check: "amount >= 0"}}}
          - {name: sold_at, data_type: timestamp, config: {meta: {required: true}}}
"""
_STAGING = """{{ config(unique_key=['sale_id']) }}

with source as (
    {{ newest_versions(
        source('shop', 'sales'),
        key=['sale_id'],
        staged=this if is_incremental() else none,
        arrival='_offset',
    ) }}
)

select
    sale_id,
    store_id,
    amount,
    sold_at,
    _timestamp as sent_at,
    _load_number,
    _superseded_count,
    _repeated_count
from source
"""
_VERSIONS = """select
    sale_id,
    store_id,
    sold_at,
    _load_number
from {{ source('shop', 'sales') }}
where _load_number in ({{ finished_loads(source('shop', 'sales')) }})
"""
_FACT = """{{ config(
    materialized='incremental',
    incremental_strategy='merge',
    unique_key=['sale_id'],
) }}

select
    sale_id,
    store_id,
    amount,
    sold_at,
    sent_at,
    _load_number
from {{ ref('stg_shop__sales') }}
{% if is_incremental() %}
where _load_number > (select coalesce(max(_load_number), 0) from {{ this }})
{% endif %}
"""
_WATERMARKS = """{{ config(materialized='incremental', incremental_strategy='append') }}

{{ watermarks(
    ref('int_sales__versions'),
    at='sold_at',
    lateness='1 hour',
    built=this if is_incremental() else none,
) }}
"""
_LATE = """{{ config(materialized='incremental', incremental_strategy='append') }}

{{ late_events(
    ref('int_sales__versions'),
    key=['sale_id'],
    at='sold_at',
    watermarks=ref('sale_watermarks'),
    built=this if is_incremental() else none,
) }}
"""
_HOURS = """{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key=['store_id', 'window_start'],
    post_hook='delete from {{ this }} where event_count = 0',
) }}

{{ tumbling_windows(
    ref('stg_shop__sales'),
    versions=ref('int_sales__versions'),
    key=['sale_id'],
    at='sold_at',
    size='1 hour',
    by=['store_id'],
    aggregates={'sales_amount': 'cast(sum(amount) as decimal(18, 2))'},
    watermarks=ref('sale_watermarks'),
    late=ref('late_sales'),
    built=this if is_incremental() else none,
) }}
"""
_YAML = """models:
  - name: fct_sales
    description: One row per sale.
    columns:
      - {name: sale_id, data_type: bigint, data_tests: [unique, not_null]}
      - {name: store_id, data_type: bigint}
      - {name: amount, data_type: "decimal(10,2)"}
      - {name: sold_at, data_type: timestamp}
      - {name: sent_at, data_type: timestamp}
      - {name: _load_number, data_type: bigint}
  - name: sale_watermarks
    description: One row per load.
    config: {contract: {enforced: false}}
  - name: late_sales
    description: One row per late sale.
    config: {contract: {enforced: false}}
  - name: fct_store_hours
    description: One row per store and hour.
    config: {contract: {enforced: false}}
"""
FILES = {
    "staging/_shop__sources.yml": _SOURCES,
    "staging/stg_shop__sales.sql": _STAGING,
    "intermediate/int_sales__versions.sql": _VERSIONS,
    "marts/fct_sales.sql": _FACT,
    "marts/sale_watermarks.sql": _WATERMARKS,
    "marts/late_sales.sql": _LATE,
    "marts/fct_store_hours.sql": _HOURS,
    "marts/_sales.yml": _YAML,
}


def opened(folder: Path, address: str) -> tuple[Any, int]:
    """A home whose first run has taken a second's messages, and the number of the next message.

    Its project has a staging model, a fact, and windows with a book of late sales.

    Raises:
        BenchError: the run failed.
    """
    from homes import Home
    from real_topics import Topic
    from streams import bare_project

    Topic(address, PARTITIONS, name=TOPIC)
    project = bare_project(folder / "project", "shop", "sales", FILES)
    home = Home(folder / "home", project, {"SHOP_BROKERS": address})
    begin = send(address, 1000, 1, 0)
    first = home.millrace("run", "--quick-report")
    if first.code:
        raise BenchError(first.text[-1500:])
    return home, begin


def is_poison(n: int) -> bool:
    """Whether message n is no JSON."""
    return n % 1000 == 500


def sale(n: int) -> int:
    """The sale that message n tells of."""
    return n - 100 if n % 200 == 199 else n


def amount(n: int) -> int:
    """What message n says of its sale, in cents."""
    return n * 7 % 10_000


def days_late(n: int) -> int:
    """How many days before it is sent the sale took place."""
    return 1 + n % 10 if sale(n) % 97 == 0 else 0


def counted(count: int) -> str:
    """SQL: the sales that the first `count` messages leave, as sale_id and cents."""
    return (
        "select sale_id, arg_max(cents, n) as cents from (select n, case when n % 200 = 199 "
        f"then n - 100 else n end as sale_id, n * 7 % 10000 as cents from range({count}) t(n) "
        "where n % 1000 <> 500) group by sale_id"
    )


def message(n: int, now: datetime) -> bytes:
    """Message n as it is sent now."""
    if is_poison(n):
        return b'{"sale_id": %d' % n
    told = {
        "sale_id": sale(n),
        "store_id": sale(n) % STORES,
        "amount": amount(n) / 100,
        "sold_at": (now - timedelta(days=days_late(n))).strftime("%Y-%m-%d %H:%M:%S"),
    }
    return json.dumps(told).encode()


def send(address: str, rate: int, seconds: float, begin: int) -> int:
    """Send at a steady rate; a broker that is away is waited for.

    Returns:
        the number of the next message.
    """
    from confluent_kafka import Producer

    producer = Producer(
        {
            "bootstrap.servers": address,
            "log_level": 0,
            "enable.idempotence": True,
            "message.timeout.ms": 0,
            "reconnect.backoff.max.ms": 500,
            "linger.ms": 5,
        }
    )
    started, sent = time.monotonic(), 0
    while (passed := time.monotonic() - started) < seconds:
        now = datetime.now(UTC)
        for n in range(begin + sent, begin + int(passed * rate)):
            key = str(sale(n))
            while True:
                try:
                    producer.produce(TOPIC, message(n, now), key, partition=sale(n) % PARTITIONS)
                    break
                except BufferError:
                    producer.poll(0.1)
            sent += 1
        producer.poll(0.02)
    assert not producer.flush(120), "the broker did not take all messages"
    return begin + sent


if __name__ == "__main__":
    print(send(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])))
