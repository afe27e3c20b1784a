"""Named points within dlt and dbt, where they do what lasts."""

import functools
from collections.abc import Callable
from typing import Any

from tests.crash.control import Control

DLT = (
    "dlt: extract",
    "dlt: normalize",
    "dlt: load",
    "dlt: update the stored schema",
    "dlt: start a job",
    "dlt: complete jobs",
    "dlt: mark the load as finished",
)
DBT = "dbt: "
COMMIT = "dbt: commit"


def arm(control: Control) -> None:
    """Wrap the functions that do it."""
    from dbt.adapters.sql.connections import SQLConnectionManager
    from dbt.task.runnable import GraphRunnableTask
    from dlt.destinations.impl.duckdb.duck import DuckDbClient
    from dlt.load.load import Load
    from dlt.pipeline.pipeline import Pipeline

    places: list[tuple[type, str]] = [
        (Pipeline, "extract"),
        (Pipeline, "normalize"),
        (Pipeline, "load"),
        (DuckDbClient, "update_stored_schema"),
        (Load, "start_new_jobs"),
        (Load, "complete_jobs"),
        (DuckDbClient, "complete_load"),
    ]
    for name, (owner, method) in zip(DLT, places, strict=True):
        _wrap(control, owner, method, lambda *given, name=name: name)
    _wrap(control, GraphRunnableTask, "call_runner", lambda task, runner: _node(runner))
    _wrap(control, SQLConnectionManager, "commit", lambda *given: COMMIT)


def _node(runner: Any) -> str:
    return f"{DBT}{runner.node.resource_type} {runner.node.name}"


def _wrap(control: Control, owner: type, method: str, named: Callable[..., str]) -> None:
    inner = getattr(owner, method)

    @functools.wraps(inner)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        name = named(*args)
        control.before(name)
        return control.after(name, None, inner(*args, **kwargs))

    setattr(owner, method, wrapped)
