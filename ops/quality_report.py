"""Elementary's report, made in this process and with Elementary's dbt project parsed once."""

from __future__ import annotations

import contextlib
import functools
import gc
import logging
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

from ops import packages
from ops.permissions import open_file, open_folder

NO_NETWORK = (
    '<meta http-equiv="Content-Security-Policy" '
    """content="default-src 'unsafe-inline' 'unsafe-eval' data: blob:">"""
)
# The page asks for an account that a file has not; refused, that is an error in the console.
NO_ACCOUNT = "<script>XMLHttpRequest.prototype.send = () => {}</script>"


class QualityError(Exception):
    """Elementary's tables or report cannot be made; the message says what to do."""


class Places(Protocol):
    """What is needed of the settings."""

    @property
    def home(self) -> Path: ...
    @property
    def project(self) -> Path: ...
    @property
    def target(self) -> str: ...
    @property
    def artifacts(self) -> Path: ...


def report(places: Places, out: Path, *, days: int = 7, edr: Path | None = None) -> Path:
    """Makes the page of `edr report` with no telemetry, no version check and no network.

    Elementary's command line asks dbt some twenty things, and each time dbt reads its project
    again. Here the project is parsed once for all of them.

    Args:
        places: the settings; ``profiles.yml`` in the project holds the profile ``elementary``.
        out: the file to write, ``*.html``; it is replaced when the new one is whole.
        days: how many days of history the report shows.
        edr: the dbt project of Elementary's command line; the installed one when not given.

    Raises:
        QualityError: Elementary could not make the report; the message says why.
    """
    cli = edr or packages.edr_project()
    if cli is None or not (cli / "dbt_packages" / "elementary").is_dir():
        raise QualityError("the packages of Elementary's command line are missing: `millrace deps`")
    scratch = places.artifacts / "edr"
    scratch.mkdir(parents=True, exist_ok=True)
    open_folder(out.parent)
    draft = out.with_name(f".{out.stem}.draft.html")
    environment = {
        "DBT_LOG_PATH": str(scratch),
        "DBT_TARGET_PATH": str(scratch),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "EDR_INTERNAL_TARGET_PATH": str(scratch),
        "MILLRACE_HOME": str(places.home.resolve()),
    }
    with _environment(environment), _parsed_once(cli, places) as elementary:
        config = elementary.Config(
            config_dir=str(scratch),
            profiles_dir=str(places.project),
            profile_target=places.target,
            target_path=str(scratch),
            run_dbt_deps_if_needed=False,
            env=places.target,
        )
        maker = elementary.DataMonitoringReport(config=config, tracking=None)
        made, _ = maker.generate_report(
            days_back=days,
            file_path=str(draft),
            should_open_browser=False,
            exclude_elementary_models=True,
        )
    if not made:
        draft.unlink(missing_ok=True)
        raise QualityError(f"Elementary made no report; see {scratch / 'dbt.log'}")
    draft.write_text(_closed(draft.read_text(encoding="utf-8")), encoding="utf-8")
    open_file(draft)
    draft.replace(out)
    return out


def _closed(page: str) -> str:
    """The page without its way out: no fonts, no counters, whatever its scripts try."""
    page = re.sub(r'<link[^>]*(?:rel="icon"|href="https://)[^>]*>', "", page)
    return page.replace("<head>", f"<head>{NO_NETWORK}{NO_ACCOUNT}", 1)


@contextlib.contextmanager
def _parsed_once(cli: Path, places: Places) -> Iterator[SimpleNamespace]:
    """Elementary's classes, with each of their dbt commands given the one parsed project."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner
    from elementary.clients.dbt import api_dbt_runner
    from elementary.config.config import Config
    from elementary.monitor import dbt_project_utils
    from elementary.monitor.data_monitoring.report.data_monitoring_report import (
        DataMonitoringReport,
    )

    command = ["--quiet", "parse", "--project-dir", str(cli)]
    command += ["--profiles-dir", str(places.project), "--target", places.target]
    parsed = dbtRunner().invoke(command)
    if not parsed.success:
        raise QualityError(f"dbt cannot read the project of Elementary: {parsed.exception}")
    manifest: Any = parsed.result
    connections: Any = DuckDBConnectionManager
    path = dbt_project_utils.CLI_DBT_PROJECT_PATH
    levels = {
        name: logging.getLogger(name).level
        for name in logging.root.manager.loggerDict
        if name.startswith("elementary")
    }
    for name in levels:
        logging.getLogger(name).setLevel(logging.WARNING)
    runner: Any = api_dbt_runner
    runner.dbtRunner = functools.partial(dbtRunner, manifest)
    dbt_project_utils.CLI_DBT_PROJECT_PATH = str(cli)
    try:
        yield SimpleNamespace(Config=Config, DataMonitoringReport=DataMonitoringReport)
    finally:
        runner.dbtRunner = dbtRunner
        dbt_project_utils.CLI_DBT_PROJECT_PATH = path
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        # dbt keeps the warehouse open, and with it the lock that others wait for.
        connections.close_all_connections()
        gc.collect()


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for what runs inside; the former ones come back after it."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
