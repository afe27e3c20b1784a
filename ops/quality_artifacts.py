"""dbt's artifacts as rows of Elementary's tables.

Each function takes pieces of ``manifest.json``, ``run_results.json`` or ``sources.json`` and
returns rows as Elementary's own hooks would have stored them: lists and mappings as JSON text,
times as ``YYYY-MM-DD HH:MM:SS`` in UTC. Nothing here touches a database.

Columns that differ from the hooks' on purpose: ``metadata_hash`` (ours, of the row itself),
``generated_at`` and ``detected_at`` (the time of the result, not of its upload), ``description``
of a test that has none of its own, and what only dbt's process knows (``threads``).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

Row = dict[str, Any]
Node = Mapping[str, Any]

# What a test without a description says of itself, and which side of quality it watches.
KNOWN_TESTS = {
    "unique": ("No value occurs twice.", "uniqueness"),
    "not_null": ("Every row has a value.", "completeness"),
    "accepted_values": ("Every value is one of the listed ones.", "validity"),
    "relationships": ("Every value is found in the other table.", "consistency"),
    "unique_combination_of_columns": ("No combination occurs twice.", "uniqueness"),
    "expression_is_true": ("The condition holds for every row.", "accuracy"),
    "expect_compound_columns_to_be_unique": ("No combination occurs twice.", "uniqueness"),
    "expect_column_proportion_of_unique_values_to_be_between": (
        "As many values are unique as expected.",
        "uniqueness",
    ),
    "expect_column_distinct_count_to_be_greater_than": ("There are enough values.", "accuracy"),
    "expect_column_pair_values_A_to_be_greater_than_B": ("One value exceeds another.", "accuracy"),
    "expect_table_row_count_to_be_between": ("The number of rows is in its range.", "accuracy"),
    "expect_table_row_count_to_equal_other_table": ("Both have as many rows.", "consistency"),
    "expect_row_values_to_have_recent_data": ("The newest row is recent.", "freshness"),
    "expect_column_values_to_be_between": ("Every value is in its range.", "validity"),
    "expect_column_values_to_match_regex": ("Every value has the right form.", "validity"),
    "expect_column_value_lengths_to_be_between": ("Every text is of a fit length.", "validity"),
    "expect_column_mean_to_be_between": ("The mean is in its range.", "validity"),
    "expect_column_stdev_to_be_between": ("The spread is in its range.", "validity"),
    "expect_column_quantile_values_to_be_between": ("The quantile is in its range.", "validity"),
}


def artifacts(manifest: Mapping[str, Any], now: str) -> dict[str, list[Row]]:
    """The rows of Elementary's tables of artifacts, by table.

    Args:
        manifest: dbt's ``manifest.json``.
        now: when, as Elementary writes it; goes to ``generated_at``, not into the hash.
    """
    nodes: Mapping[str, Node] = manifest["nodes"]
    everything = {**nodes, **manifest["sources"]}
    owners = {g["name"]: g["owner"] for g in manifest["groups"].values()}
    kinds: dict[str, list[Node]] = {}
    for node in nodes.values():
        kinds.setdefault(node["resource_type"], []).append(node)
    tables = {
        "dbt_models": [model(n, owners) for n in kinds.get("model", [])],
        "dbt_snapshots": [model(n, owners) for n in kinds.get("snapshot", [])],
        "dbt_seeds": [model(n, owners) for n in kinds.get("seed", [])],
        "dbt_tests": [test(n, everything, owners) for n in kinds.get("test", [])],
        "dbt_sources": [source(n) for n in manifest["sources"].values()],
        "dbt_exposures": [exposure(n) for n in manifest["exposures"].values()],
        "dbt_groups": [group(n) for n in manifest["groups"].values()],
        "dbt_columns": [c for n in everything.values() for c in columns(n)],
    }
    for rows in tables.values():
        for row in rows:
            for key, value in row.items():
                if isinstance(value, list | dict):
                    row[key] = json.dumps(value)
            text = json.dumps(row, sort_keys=True).encode()
            row |= {"metadata_hash": hashlib.md5(text).hexdigest(), "generated_at": now}
    return tables


def model(node: Node, group_owners: Mapping[str, Node]) -> Row:
    """A row of ``dbt_models``, ``dbt_snapshots`` or ``dbt_seeds``."""
    config = node["config"]
    meta = _meta(node)
    in_group = config.get("group") or node.get("group")
    owner = _names(meta.get("owner") or config.get("owner"))
    if not owner and in_group in group_owners:
        contact = group_owners[str(in_group)]
        owner = [str(contact.get("email") or contact.get("name"))]
    return _common(node, meta) | {
        "alias": node["alias"],
        "checksum": node["checksum"]["checksum"],
        "materialization": config.get("materialized"),
        "owner": _sorted(owner),
        "depends_on_macros": _sorted(node.get("depends_on", {}).get("macros", [])),
        "depends_on_nodes": _sorted(node.get("depends_on", {}).get("nodes", [])),
        "patch_path": node.get("patch_path"),
        "unique_key": config.get("unique_key"),
        "incremental_strategy": config.get("incremental_strategy"),
        "group_name": in_group,
        "access": config.get("access") or node.get("access"),
    }


def source(node: Node) -> Row:
    """A row of ``dbt_sources``."""
    meta = {**node.get("meta", {}), **node.get("source_meta", {}), **node["config"].get("meta", {})}
    freshness = node.get("freshness") or {}
    return _common(node, meta) | {
        "source_name": node["source_name"],
        "identifier": node["identifier"],
        "loaded_at_field": node.get("loaded_at_field"),
        "freshness_warn_after": freshness.get("warn_after") or {},
        "freshness_error_after": freshness.get("error_after") or {},
        "freshness_filter": freshness.get("filter"),
        "freshness_description": "The newest row is not older than the source's freshness allows.",
        "relation_name": node.get("relation_name"),
        "owner": _names(meta.get("owner")),
        "source_description": node.get("source_description"),
    }


def exposure(node: Node) -> Row:
    """A row of ``dbt_exposures``."""
    keep = ("unique_id", "name", "label", "maturity", "type", "url", "description", "package_name")
    return {key: node.get(key) for key in keep} | {
        "owner_email": node["owner"].get("email"),
        "owner_name": node["owner"].get("name"),
        "depends_on_macros": _sorted(node["depends_on"].get("macros", [])),
        "depends_on_nodes": _sorted(node["depends_on"].get("nodes", [])),
        "tags": _sorted(node.get("tags", [])),
        "meta": node.get("meta", {}),
        "original_path": node["original_file_path"],
        "path": node["path"],
    }


def group(node: Node) -> Row:
    """A row of ``dbt_groups``."""
    contact = node["owner"]
    return {
        "unique_id": node["unique_id"],
        "name": node["name"],
        "owner_email": contact.get("email"),
        "owner_name": contact.get("name"),
    }


def columns(node: Node) -> Iterable[Row]:
    """Rows of ``dbt_columns``: the columns that say more than their name."""
    for column in (node.get("columns") or {}).values():
        config = column.get("config") or {}
        meta = {**(column.get("meta") or {}), **(config.get("meta") or {})}
        tags = [*(config.get("tags") or []), *(column.get("tags") or []), *_list(meta.get("tags"))]
        if not (column.get("description") or meta or tags):
            continue
        yield {
            "unique_id": f"column.{node['unique_id']}.{column['name']}",
            "parent_unique_id": node["unique_id"],
            "name": column["name"],
            "data_type": column.get("data_type"),
            "tags": _sorted(tags),
            "meta": meta,
            "description": column.get("description") or None,
            "database_name": node.get("database"),
            "schema_name": node.get("schema"),
            "table_name": node.get("alias"),
            "resource_type": node["resource_type"],
        }


def test(node: Node, everything: Mapping[str, Node], group_owners: Mapping[str, Node]) -> Row:
    """A row of ``dbt_tests``; ``everything`` holds nodes and sources by their unique id."""
    config, about = node["config"], node.get("test_metadata") or {}
    meta = {**(config.get("meta") or {}), **(node.get("meta") or {})}
    parents = [p for p in node["depends_on"]["nodes"] if f".{node['package_name']}." in p]
    parent_id = meta.get("override_primary_test_model_id") or _parent(parents, about)
    tags, owners = [], []
    for unique_id in parents:
        if unique_id in everything:
            tags += _tags(everything[unique_id], _meta(everything[unique_id]))
    parent = everything.get(parent_id or "")
    if parent is not None:
        kind = parent["resource_type"]
        owners = (source(parent) if kind == "source" else model(parent, group_owners))["owner"]
    known = KNOWN_TESTS.get(about.get("name", ""), (None, None))
    own_description = meta.pop("description", None) if not node.get("description") else None
    row = _common(node, meta) | {
        "short_name": _short_name(node["name"], about),
        "alias": node["alias"],
        "test_column_name": node.get("column_name") or about.get("kwargs", {}).get("column_name"),
        "severity": config.get("severity"),
        "warn_if": config.get("warn_if"),
        "error_if": config.get("error_if"),
        "test_params": about.get("kwargs", {}),
        "test_namespace": about.get("namespace"),
        "test_original_name": about.get("name"),
        "model_tags": _sorted(tags),
        "model_owners": _sorted(owners),
        "meta": meta,
        "depends_on_macros": _sorted(node["depends_on"].get("macros", [])),
        "depends_on_nodes": _sorted(node["depends_on"].get("nodes", [])),
        "parent_model_unique_id": parent_id,
        "description": node.get("description") or own_description or known[0],
        "type": _test_type(node["original_file_path"], about.get("namespace")),
        "quality_dimension": meta.get("quality_dimension") or known[1],
        "group_name": config.get("group") or node.get("group") or (parent or {}).get("group"),
    }
    if parent is not None:
        row |= {"database_name": parent.get("database"), "schema_name": parent.get("schema")}
    return row


def _common(node: Node, meta: Mapping[str, Any]) -> Row:
    return {
        "unique_id": node["unique_id"],
        "database_name": node.get("database"),
        "schema_name": node.get("schema"),
        "name": node["name"],
        "package_name": node["package_name"],
        "original_path": node["original_file_path"],
        "path": node["path"],
        "description": node.get("description"),
        "tags": _sorted(_tags(node, meta)),
        "meta": dict(meta),
    }


def _parent(parents: list[str], about: Node) -> str | None:
    """The one table that a test is about, among those it reads."""
    if len(parents) == 1:
        return parents[0]
    named = re.findall(
        r"""(?:ref|source)\((?:['"]\w+['"], *)?['"](\w+)['"]\)""",
        about.get("kwargs", {}).get("model") or "",
    )
    matches = [p for p in parents if len(named) == 1 and p.rpartition(".")[2] == named[0]]
    return matches[-1] if matches else None


def _short_name(name: str, about: Node) -> str:
    generic, package = about.get("name"), about.get("namespace")
    if generic is None or package == "elementary":
        return generic or name
    before = f"{package}_" if package else ""
    generated = name.startswith((f"{before}{generic}", f"{before}source_{generic}"))
    return str(generic) if generated else name


def _test_type(path: str, package: str | None) -> str:
    if package == "dbt_expectations":
        return "expectation"
    generic = any(part in path for part in ("tests/generic", "macros/", "generic_tests/"))
    return "singular" if "tests/" in path and not generic else "generic"


def _meta(node: Node) -> dict[str, Any]:
    return {**(node.get("meta") or {}), **(node["config"].get("meta") or {})}


def _tags(node: Node, meta: Mapping[str, Any]) -> list[str]:
    config = node.get("config", {}).get("tags") or []
    return [*_list(config), *(node.get("tags") or []), *_list(meta.get("tags"))]


def _names(owner: Any) -> list[str]:
    return [o.strip() for o in owner.split(",")] if isinstance(owner, str) else list(owner or [])


def _list(value: Any) -> list[Any]:
    return [value] if isinstance(value, str) else list(value or [])


def _sorted(values: Iterable[str | None]) -> list[str]:
    """Without nulls and repeats, in an order that ignores case: so Elementary compares them."""
    unique = {value.lower(): value for value in values if value is not None}
    return [unique[key] for key in sorted(unique)]
