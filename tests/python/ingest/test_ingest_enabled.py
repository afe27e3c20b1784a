"""A source that dbt does not have, for it is switched off, is not loaded either."""

from pathlib import Path

import pytest

from ingest.declaration import load_sources
from ingest.errors import DeclarationError

YAML = """\
sources:
  - name: shop
    schema: raw_shop
    config:
      {source}
      meta: {{ingest: {{kind: sql, url: "env:SHOP"}}}}
    tables:
      - name: orders
        columns: [{{name: order_id}}]
      - name: wares
        config:
          {table}
        columns: [{{name: ware_id}}]
"""
WHERE_SET = "enabled: \"{{ env_var('BROKERS', '') != '' }}\""


@pytest.mark.parametrize(
    ("source", "table", "env", "tables"),
    [
        ("tags: []", "tags: []", {}, ["orders", "wares"]),
        ("enabled: true", "enabled: false", {}, ["orders"]),
        ("enabled: false", "tags: []", {}, None),
        ("enabled: false", "enabled: true", {}, ["wares"]),
        (WHERE_SET, "tags: []", {"BROKERS": "here:1"}, ["orders", "wares"]),
        (WHERE_SET, "tags: []", {"BROKERS": ""}, None),
        (WHERE_SET, "tags: []", {}, None),
        ("enabled: \"{{ env_var('ON') | as_bool }}\"", "tags: []", {"ON": "False"}, None),
    ],
)
def test_what_is_switched_off_is_not_there(
    tmp_path: Path, source: str, table: str, env: dict[str, str], tables: list[str] | None
) -> None:
    project = _project(tmp_path, source, table)
    found = [[one.name for one in each.tables] for each in load_sources(project, env)]
    assert found == ([] if tables is None else [tables])


@pytest.mark.parametrize(
    ("enabled", "why"),
    [
        ("'yes'", "'yes' is neither true nor false"),
        ("3", "3 is neither true nor false"),
        ("", "None is neither true nor false"),
        ("\"{{ env_var('ON') }}\"", "the variable ON is not set and has no default"),
        ("\"{{ env_var('ON', 'false') }}\"", "'false' is neither true nor false"),
        ("\"{{ var('on') }}\"", "'var' is undefined"),
        ("\"{{ target.name == 'dev' }}\"", "'target' is undefined"),
        ('"{{ env_var( }}"', "unexpected"),
        ('"{{ env_var() }}"', "missing 1 required"),
    ],
)
def test_a_switch_that_is_not_understood_is_an_error(
    tmp_path: Path, enabled: str, why: str
) -> None:
    with pytest.raises(DeclarationError) as raised:
        load_sources(_project(tmp_path, f"enabled: {enabled}", "tags: []"))
    assert why in str(raised.value)
    assert raised.value.where == "models/shop.yml:5"


def _project(folder: Path, source: str, table: str) -> Path:
    (folder / "models").mkdir()
    (folder / "models" / "shop.yml").write_text(YAML.format(source=source, table=table))
    return folder
