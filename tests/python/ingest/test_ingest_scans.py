"""The sample's scans by the real reader: each message has the fate that the oracle gives it."""

import json
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from projects import Project, source

from sample import dataset, scans, versions
from sample.broker import Broker
from sample.scanner import Scanner
from sample.scans_oracle import ScansOracle

pytestmark = pytest.mark.xdist_group("kafka")

SEED, DAYS, LARGEST = 7, (date(2017, 1, 3), date(2017, 1, 9)), 1 << 20
POS = Path(__file__).parents[3] / "models/staging/pos/_pos__sources.yml"


def declared(broker: Broker) -> dict[str, Any]:
    """The lines of the tills, but from the topic."""
    lines = yaml.safe_load(POS.read_text())["sources"][0]["tables"][0]
    key = ["basket_id", "product_id"]
    ingest = {
        "topic": scans.TOPIC, "primary_key": key, "key": key, "version": "updated_at",
        "deletes": "tombstones", "max_message_bytes": LARGEST,
    }  # fmt: skip
    table = {**lines, "name": "scans", "config": {"meta": {"ingest": ingest}}}
    return source("scanner", table, kind="kafka", brokers=broker.address)


def test_each_message_has_the_fate_that_the_oracle_gives_it(
    project: Project, broker: Broker
) -> None:
    con = dataset.connect(SEED)
    versions.create(con)
    scans.create(con)
    for day in DAYS:
        Scanner(con, broker.address, SEED).deliver(day, afresh=False)
        assert not (result := project.load(declared(broker))).errors, result.errors
    project.check_books("scanner")
    rows = project.sql("select _source, case when _deleted then 'tombstone' else 'row' end, null "
                       "from raw_scanner.scans")  # fmt: skip
    dead = project.sql("select _source, 'dead', broken_rules from raw_scanner._dead_letters")
    found = {}
    places: Counter[int] = Counter()
    for at, fate, rules in sorted(rows + dead, key=lambda row: int(row[0].rpartition("/")[2])):
        partition = int(at.split("/")[1])
        told = json.dumps(sorted(json.loads(rules)), separators=(",", ":")) if rules else None
        found[partition, places[partition]] = fate, told
        places[partition] += 1
    fates = ScansOracle(SEED, DAYS[-1], LARGEST).fates()
    known = fates.project("partition, place, fate, rule").fetchall()
    wanted = {
        (partition, place): (fate if fate in ("dead", "tombstone") else "row", rule)
        for partition, place, fate, rule in known
    }
    assert found == wanted
    assert len(found) > 30_000
