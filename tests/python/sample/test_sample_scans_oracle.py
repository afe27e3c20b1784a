"""The oracle of the scans is right: judged by the tills' declaration, and at the end of time.

That the topic holds just these messages is proved beside (`test_sample_scans.py`).
"""

import json
import os
from collections import Counter
from datetime import date
from typing import Any

import duckdb
import pyarrow as pa
import pytest
import rules

from sample import dataset
from sample.scans_oracle import ScansOracle

SEED, LAST = 7, date(2017, 1, 9)


@pytest.fixture(scope="module")
def oracle() -> ScansOracle:
    return ScansOracle(SEED, LAST)


def test_fates_are_those_that_the_declaration_gives(oracle: ScansOracle) -> None:
    judged = _judged(oracle.messages().project("partition, place, key, value").fetchall())
    known = {
        (part, place): (fate, rule)
        for part, place, fate, rule in oracle.fates()
        .project("partition, place, fate, rule")
        .fetchall()
    }
    assert judged == known
    fates = Counter(fate for fate, _ in judged.values())
    assert fates.keys() == {
        "accepted", "superseded", "repeated", "deleted", "tombstone", "dead"
    }  # fmt: skip
    assert min(fates.values()) > 10
    dead = Counter(rule for fate, rule in judged.values() if fate == "dead")
    assert dead.keys() >= {
        '["unparsable"]', '["tombstone"]', '["type:quantity"]', '["type:household_id"]',
        '["type:store_id"]', '["type:sales_value"]', '["type:transaction_timestamp"]',
        '["required:household_id"]', '["check:quantity"]', '["check:week"]',
    }  # fmt: skip


def test_the_largest_message_can_be_too_large(oracle: ScansOracle) -> None:
    small = ScansOracle(SEED, LAST, max_message_bytes=1 << 20)
    large = small.fates().filter("rule = '[\"too_large\"]'").project("partition, place").fetchall()
    assert len(large) == 1
    ((partition, place),) = large
    same = oracle.fates().filter(f"partition = {partition} and place = {place}")
    assert same.project("fate, rule").fetchall() == [("repeated", None)]
    assert small.truth().order("all").fetchall() == oracle.truth().order("all").fetchall()


def test_the_truth_is_the_data_set() -> None:
    """A month after the last sale; of the whole year with MILLRACE_TEST_YEAR."""
    whole = bool(os.environ.get("MILLRACE_TEST_YEAR"))
    until, sold = (
        (date(2018, 1, 31), date(2018, 1, 1)) if whole else (date(2017, 2, 20), date(2017, 1, 20))
    )
    truth = ScansOracle(SEED, until).truth()
    columns = [name for name in rules.declared("pos.transactions").types if name != "updated_at"]
    digest = f"count(*), sum(hash({', '.join(columns)})::hugeint)"
    before = f"transaction_timestamp < date '{sold}'"
    con = dataset.connect(SEED)
    of_source = con.execute(f"select {digest} from source.transactions where {before}").fetchall()
    assert truth.filter(before).aggregate(digest).fetchall() == of_source
    assert of_source[0][0] > 70_000
    assert truth.types[-1] == "TIMESTAMP"


def _judged(found: list[tuple[Any, ...]]) -> dict[tuple[int, int], tuple[str, str | None]]:
    """Fate and rule by partition and place: a second opinion, from the declaration alone."""
    declared = rules.declared("pos.transactions")
    verdicts: dict[tuple[int, int], tuple[str, str | None]] = {}
    rows: list[dict[str, Any]] = []
    steps: list[tuple[tuple[int, int], Any]] = []
    for partition, place, named, value in found:
        where = partition, place
        if value is None:
            key = _object(named)
            if key and key.keys() == set(declared.key):
                verdicts[where] = "tombstone", None
                steps.append((where, tuple(key[name] for name in declared.key)))
            else:
                verdicts[where] = "dead", '["tombstone"]'
        elif (row := _object(value)) is None:
            verdicts[where] = "dead", '["unparsable"]'
        else:
            rows.append({name: row.get(name) for name in declared.types})
            steps.append((where, rows[-1]))
    schema = pa.schema([(name, pa.string()) for name in declared.types])
    con = duckdb.connect()
    con.register("rows", pa.Table.from_pylist(rows, schema))
    broken = iter(con.execute(f"select {declared.broken()} from rows").fetchall())
    alive: dict[tuple[str, ...], dict[tuple[Any, ...], tuple[int, int]]] = {}
    for where, step in steps:
        if isinstance(step, tuple):
            for gone in alive.pop(step, {}).values():
                verdicts[gone] = "deleted", None
            continue
        (rule,) = next(broken)
        if rule is not None:
            verdicts[where] = "dead", rule
            continue
        of_key = alive.setdefault(tuple(step[name] for name in declared.key), {})
        content = step["updated_at"] or "", *step.values()
        verdicts[where] = "repeated" if content in of_key else "superseded", None
        of_key.setdefault(content, where)
    for of_key in alive.values():
        verdicts[of_key[max(of_key, key=lambda content: content[0])]] = "accepted", None
    return verdicts


def _object(text: bytes | None) -> dict[str, Any] | None:
    """The members of a JSON object as text, None for anything else."""
    try:
        found = json.loads((text or b"").decode(), parse_int=str, parse_float=str)
    except ValueError:
        return None
    if not isinstance(found, dict):
        return None
    return {k: json.dumps(v) if isinstance(v, dict) else v for k, v in found.items()}
