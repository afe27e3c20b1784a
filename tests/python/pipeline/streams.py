"""A small project over one topic: its staging model, and a mart or more; with our stand-ins."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from copies import PROJECT, project_copy

from ops import packages

LEDGER = "models/ops/ops_row_ledger.sql"

SOURCES = """sources:
  - name: shop
    schema: raw_shop
    config: {{meta: {{ingest: {{kind: kafka, brokers: "env:SHOP_BROKERS"}}}}}}
    tables:
      - name: lines
        config:
          meta:
            ingest: {{topic: {topic}, primary_key: [line_id], window: {window}}}
        columns:
          - {{name: line_id, data_type: bigint, config: {{meta: {{required: true}}}}}}
          - {{name: amount, data_type: "decimal(10,2)", config: {{meta: {{required: true}}}}}}
"""

STAGING = """{{ config(unique_key=['line_id']) }}

with source as (
    {{ newest_versions(
        source('shop', 'lines'),
        key=['line_id'],
        staged=this if is_incremental() else none,
        arrival='_offset',
    ) }}
)

select
    line_id,
    amount,
    _timestamp as sent_at,
    _load_number,
    _superseded_count,
    _repeated_count
from source
"""

MART = """select
    line_id,
    amount,
    sent_at,
    _load_number
from {{ ref('stg_shop__lines') }}
"""

MART_YAML = """models:
  - name: fct_lines
    description: One row per line.
    data_tests:
      - dbt_utils.expression_is_true: {arguments: {expression: amount < 1000000}}
    columns:
      - {name: line_id, data_type: bigint, data_tests: [unique, not_null]}
      - {name: amount, data_type: "decimal(10,2)"}
      - {name: sent_at, data_type: timestamp}
      - {name: _load_number, data_type: bigint}
"""


def bare_project(
    path: Path,
    source: str,
    table: str,
    models: Mapping[str, str],
    *,
    stand_ins: bool = True,
    edits: Mapping[str, tuple[str, str]] | None = None,
) -> Path:
    """Millrace's own macros, books and tests, over one source table and some models.

    Args:
        path: where to.
        source: the source that the models declare.
        table: its only table.
        models: file below `models` to its text.
        stand_ins: with our stand-ins for dbt's packages; else with those that are installed.
        edits: as `project_copy` has them.
    """
    project = project_copy(path, edits)
    if stand_ins:
        (project / "dbt_packages").unlink()
        edr = path.with_name(f"{path.name}_edr")  # Elementary's own project is not ours to change
        shutil.copytree(
            packages.edr_project() or PROJECT / "macros",
            edr,
            ignore=shutil.ignore_patterns("dbt_packages", "target", "logs"),
        )
        packages.install(project, source="stand-ins", edr=edr, edr_config=edr / "config")
    for folder in ("models/staging", "models/intermediate", "models/marts", "snapshots", "seeds",
                   "tests/fixtures", "tests/singular", "analyses"):  # fmt: skip
        shutil.rmtree(project / folder)
        (project / folder).mkdir()
    for name in ("the_books_balance.sql", "every_accepted_row_is_staged.sql"):
        shutil.copy2(PROJECT / "tests/singular" / name, project / "tests/singular")
    ledger = (project / LEDGER).read_text()
    ours, count = re.subn(
        r"tables = \[.*?\n\] %}", f"tables = [({source!r}, {table!r})] %}}", ledger, flags=re.S
    )
    assert count == 1
    (project / LEDGER).write_text(ours)
    for name, text in models.items():
        (project / "models" / name).write_text(text)
    return project


def stream_project(path: Path, topic: str, window: int = 2_000_000, marts: int = 1) -> Path:
    """The project over `shop.lines`.

    Args:
        path: where to.
        topic: the topic of the table `shop.lines`.
        window: rows of one load.
        marts: so many models like `fct_lines`.
    """
    files = {
        "staging/_shop__sources.yml": SOURCES.format(topic=topic, window=window),
        "staging/stg_shop__lines.sql": STAGING,
    }
    for number in range(marts):
        name = "fct_lines" if not number else f"fct_lines_{number}"
        files[f"marts/{name}.sql"] = MART
        files[f"marts/{name}.yml"] = MART_YAML.replace("fct_lines", name)
    return bare_project(path, "shop", "lines", files)
