"""The one module that reads the environment: where everything is, and what is switched off."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ops import permissions
from ops.lock import RunLock

TARGETS = ("dev", "ci", "staging", "prod")
KEEP_RUNS = 7

# No part of the stack reports to its maker.
_QUIET = {
    "DO_NOT_TRACK": "1",
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "ANONYMOUS_TRACKING_ENABLED": "false",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "RUNTIME__LOG_LEVEL": "CRITICAL",
}


class SettingsError(Exception):
    """Millrace was called where there is no project, or for a target that there is not."""


@dataclass(frozen=True)
class Settings:
    """Where everything is. All but `project` is made by Millrace and may be deleted with it.

    `lock` is the run lock, where this command holds it.
    """

    project: Path
    home: Path
    target: str
    warehouse: Path
    marts: Path
    env: Mapping[str, str]
    lock: RunLock | None = None

    @property
    def guard(self) -> Callable[[], None]:
        """Called before anything durable is written: raises where the run lock was lost."""
        return self.lock.check if self.lock else lambda: None

    @property
    def published(self) -> Path:
        """What readers see: the marts' snapshot and the site."""
        return _of(self.target, self.home / "published")

    @property
    def site(self) -> Path:
        """The start page, the dbt docs and the Elementary report."""
        return self.published / "site"

    @property
    def scratch(self) -> Path:
        """Working folders; nothing in them matters after a run."""
        return self.home / ".millrace" / self.target

    @property
    def history(self) -> Path:
        """The points that `millrace rewind` goes to."""
        return self.home / "history" / self.target

    @property
    def keep_runs(self) -> int:
        """How many of them are kept at most; with 0, none more."""
        return int(self.env.get("MILLRACE_KEEP_RUNS") or KEEP_RUNS)

    @property
    def artifacts(self) -> Path:
        """dbt's target folder."""
        return Path(self.env["DBT_TARGET_PATH"])

    @property
    def logs(self) -> Path:
        """The log files, of dbt and of all tools."""
        return Path(self.env["DBT_LOG_PATH"])

    @property
    def metrics(self) -> Path:
        """The folder of the metrics of `millrace stream`: the logs', if not said otherwise."""
        value = self.env.get("MILLRACE_METRICS")
        return _of(self.target, Path(value) if value else self.logs)

    @property
    def sample_home(self) -> Path:
        """The sample retailer's systems."""
        return self.home / "sample_data"

    @property
    def cache(self) -> Path | None:
        """The per-user cache of dbt packages, where it is not the usual place."""
        value = self.env.get("MILLRACE_CACHE")
        return Path(value) if value else None


def load(target: str | None = None, start: Path | None = None) -> Settings:
    """The settings for the project at or above `start` (the working folder when not given).

    What dbt, dlt and Elementary must find in the environment is put there, and from here on what
    the process makes is its owner's alone: see `permissions`.

    Raises:
        SettingsError: no project here, or no such target.
    """
    project = project_folder(start)
    if project is None:
        raise SettingsError(
            f"there is no dbt_project.yml in {(start or Path.cwd()).resolve()} or above it; "
            "call millrace in the folder of the project"
        )
    target = target or os.environ.get("MILLRACE_TARGET") or "dev"
    if target not in TARGETS:
        raise SettingsError(f"there is no target {target!r}; there are {', '.join(TARGETS)}")
    if not (os.environ.get("MILLRACE_KEEP_RUNS") or "0").isdecimal():
        raise SettingsError("MILLRACE_KEEP_RUNS is how many runs are kept: a number, or 0 for none")
    home = Path(os.environ.get("MILLRACE_HOME") or project).resolve()
    warehouse = _path("MILLRACE_WAREHOUSE", home / "warehouse" / f"millrace_{target}.duckdb")
    marts = _path("MILLRACE_MARTS", home / "warehouse" / f"marts_{target}.duckdb")
    os.environ.update(
        _QUIET,
        MILLRACE_HOME=str(home),
        MILLRACE_TARGET=target,
        MILLRACE_WAREHOUSE=str(warehouse),
        MILLRACE_MARTS=str(marts),
        DBT_PROFILES_DIR=str(project),
        DBT_PROJECT_DIR=str(project),
        DBT_TARGET_PATH=str(_path("DBT_TARGET_PATH", _of(target, home / "target"))),
        DBT_LOG_PATH=str(_path("DBT_LOG_PATH", home / "logs")),
    )
    settings = Settings(project, home, target, warehouse, marts, os.environ)
    permissions.open_folder(settings.site)
    permissions.keep_private()
    for folder in (warehouse.parent, marts.parent):
        folder.mkdir(parents=True, exist_ok=True)
    return settings


@contextmanager
def over(here: Settings, warehouse: Path, marts: Path, artifacts: Path) -> Iterator[Settings]:
    """The same settings over other files, and dbt in this process over them too, for a while.

    Args:
        here: the settings.
        warehouse: its file, of the same name, which dbt calls the database by.
        marts: their file.
        artifacts: a target folder of their own.
    """
    others = {
        "MILLRACE_WAREHOUSE": str(warehouse),
        "MILLRACE_MARTS": str(marts),
        "DBT_TARGET_PATH": str(artifacts),
    }
    before = {name: os.environ.get(name) for name in others}
    os.environ.update(others)
    try:
        yield replace(here, warehouse=warehouse, marts=marts, env={**here.env, **others})
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def project_folder(start: Path | None = None) -> Path | None:
    """The project at or above `start` (the working folder when not given), or None."""
    here = (start or Path.cwd()).resolve()
    return next((p for p in (here, *here.parents) if (p / "dbt_project.yml").is_file()), None)


def environment() -> Mapping[str, str]:
    """Where `env:NAME` is looked up; known also where no settings could be loaded."""
    return os.environ


def _of(target: str, folder: Path) -> Path:
    """The folder itself for dev, one below it for any other target: targets never meet."""
    return folder if target == "dev" else folder / target


def log_folder() -> Path:
    """Where logs go; known also where no settings could be loaded."""
    return _path("DBT_LOG_PATH", Path("logs").resolve())


def _path(name: str, default: Path) -> Path:
    value = os.environ.get(name)
    return Path(value).resolve() if value else default
