"""Our way to dlt's DuckDB says of it what dlt says, and is the same destination in a state."""

from __future__ import annotations

from pathlib import Path

import dlt

from ingest.factory import DuckDb


def test_it_can_do_what_dlt_says(tmp_path: Path) -> None:
    ours, its = (kind(str(tmp_path / "a.duckdb")) for kind in (DuckDb, dlt.destinations.duckdb))
    said = dict(its.capabilities())
    assert len(said) > 30
    assert dict(ours.capabilities()) == said
    assert ours.destination_type == its.destination_type
    assert ours.destination_name == its.destination_name
    assert ours.config_params == its.config_params
