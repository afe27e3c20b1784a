"""dbt's results as rows of Elementary's tables: runs, tests, freshness and invocations."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ops.quality_artifacts import Row


def runs(results: Mapping[str, Any], nodes: Mapping[str, Any]) -> list[Row]:
    """Rows of ``dbt_run_results``: one per node that a command ran, skipped or gave up.

    Args:
        results: dbt's ``run_results.json``.
        nodes: everything in the manifest, by unique id. Hooks have no row.
    """
    invocation = results["metadata"]["invocation_id"]
    rows = []
    for result in results["results"]:
        node = nodes.get(result["unique_id"])
        if node is None or node["resource_type"] == "operation":
            continue
        config = node.get("config", {})
        answer = result.get("adapter_response") or {}
        row = {
            "model_execution_id": f"{invocation}.{result['unique_id']}",
            "unique_id": result["unique_id"],
            "invocation_id": invocation,
            "name": node["name"],
            "message": result.get("message"),
            "status": result["status"],
            "resource_type": node["resource_type"],
            "execution_time": result.get("execution_time"),
            "rows_affected": _count(answer.get("rows_affected")),
            "full_refresh": bool(results["args"].get("full_refresh")),
            "compiled_code": result.get("compiled_code"),
            "failures": result.get("failures"),
            "query_id": answer.get("query_id"),
            "thread_id": result.get("thread_id"),
            "materialization": config.get("materialized"),
            "adapter_response": json.dumps(answer),
            "group_name": config.get("group"),
            "generated_at": _finished(result, results["metadata"]),
        }
        rows.append(row | _timing(result))
    return rows


def tests(
    results: Mapping[str, Any], nodes: Mapping[str, Any], about: Mapping[str, Row]
) -> list[Row]:
    """Rows of ``elementary_test_results``: one per test that ran.

    Args:
        results: dbt's ``run_results.json``.
        nodes: everything in the manifest, by unique id.
        about: the rows of ``dbt_tests``, by unique id.
    """
    invocation = results["metadata"]["invocation_id"]
    rows = []
    for result in results["results"]:
        test = about.get(result["unique_id"])
        if test is None:
            continue
        identity = f"{invocation}.{result['unique_id']}"
        parent = nodes.get(test["parent_model_unique_id"] or "", {})
        tags = json.loads(test["model_tags"]) + json.loads(test["tags"])
        rows.append(
            {
                "id": identity,
                "test_execution_id": identity,
                "test_unique_id": result["unique_id"],
                "model_unique_id": test["parent_model_unique_id"],
                "invocation_id": invocation,
                "detected_at": _finished(result, results["metadata"]),
                "database_name": test["database_name"],
                "schema_name": test["schema_name"],
                "table_name": parent.get("identifier") or parent.get("alias"),
                "column_name": test["test_column_name"],
                "test_type": "dbt_test",
                "test_sub_type": test["type"],
                "test_results_description": result.get("message"),
                "owners": test["model_owners"],
                "tags": json.dumps(tags),
                "test_results_query": result.get("compiled_code"),
                "test_name": test["name"],
                "test_params": test["test_params"],
                "severity": test["severity"],
                "status": result["status"],
                "failures": result.get("failures"),
                "test_short_name": test["short_name"],
                "test_alias": test["alias"],
            }
        )
    return rows


def freshness(sources: Mapping[str, Any]) -> list[Row]:
    """Rows of ``dbt_source_freshness_results`` from dbt's ``sources.json``."""
    invocation = sources["metadata"]["invocation_id"]
    rows = []
    for result in sources["results"]:
        criteria = result.get("criteria") or {}
        row = {
            "source_freshness_execution_id": f"{invocation}.{result['unique_id']}",
            "unique_id": result["unique_id"],
            "invocation_id": invocation,
            "max_loaded_at": result.get("max_loaded_at"),
            "snapshotted_at": result.get("snapshotted_at"),
            "max_loaded_at_time_ago_in_s": result.get("max_loaded_at_time_ago_in_s"),
            "status": result["status"],
            "error": result.get("error"),
            "warn_after": _text(criteria.get("warn_after")),
            "error_after": _text(criteria.get("error_after")),
            "filter": criteria.get("filter"),
            "generated_at": _finished(result, sources["metadata"]),
        }
        rows.append(row | _timing(result))
    return rows


def invocation(
    artifact: Mapping[str, Any],
    project: Mapping[str, Any],
    target: Mapping[str, Any],
    job: Mapping[str, str | None],
) -> Row:
    """The row of ``dbt_invocations`` for one ``run_results.json`` or ``sources.json``.

    Args:
        artifact: the artifact; its ``metadata`` and ``args`` are read.
        project: the project's ``dbt_project.yml``.
        target: ``target_name``, ``target_database`` and ``target_schema``.
        job: ``job_name``, ``job_run_id`` and the like, for runs that a scheduler started.
    """
    metadata, args = artifact["metadata"], artifact.get("args") or {}
    own_vars = args.get("vars") or {}
    return {
        "invocation_id": metadata["invocation_id"],
        "run_started_at": _stamp(metadata.get("invocation_started_at") or metadata["generated_at"]),
        "run_completed_at": _stamp(metadata["generated_at"]),
        "generated_at": _stamp(metadata["generated_at"]),
        "command": args.get("which") or "freshness",
        "dbt_version": metadata["dbt_version"],
        "full_refresh": bool(args.get("full_refresh")),
        "invocation_vars": json.dumps(own_vars),
        "vars": json.dumps({**(project.get("vars") or {}), **own_vars}),
        "target_profile_name": args.get("profile") or project.get("profile"),
        "threads": args.get("threads"),
        "selected": json.dumps(list(args.get("select") or [])),
        "yaml_selector": args.get("selector") or None,
        "project_name": project["name"],
        "target_adapter_specific_fields": "",
        **target,
        **job,
    }


def _timing(result: Mapping[str, Any]) -> Row:
    times = {t["name"]: t for t in result.get("timing") or []}
    return {
        f"{name}_{moment}": times.get(name, {}).get(moment)
        for name in ("compile", "execute")
        for moment in ("started_at", "completed_at")
    }


def _finished(result: Mapping[str, Any], metadata: Mapping[str, Any]) -> str:
    """When a result was there: the end of its last step, else of the whole command."""
    ends = [t["completed_at"] for t in result.get("timing") or [] if t.get("completed_at")]
    return _stamp(max(ends) if ends else metadata["generated_at"])


def _stamp(moment: str) -> str:
    """A time of dbt's (ISO 8601) as Elementary writes times: to the second, in UTC."""
    return datetime.fromisoformat(moment).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def _count(rows: Any) -> int | None:
    """Rows affected; an adapter that does not know says -1."""
    return None if rows in (None, "-1", -1) else int(rows)


def _text(value: Any) -> str | None:
    return None if value is None else json.dumps(value)
