"""The small dbt project of ``standins/project``, built with the real packages or our stand-ins."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from ops import packages

ROOT = Path(__file__).parents[2]
PROJECT = Path(__file__).parent / "standins" / "project"
SCHEMA = "main_elementary"  # the target has the schema `main`; the package's models `elementary`
HOOKS = (
    "disable_dbt_artifacts_autoupload",
    "disable_run_results",
    "disable_dbt_invocation_autoupload",
    "disable_freshness_results",
    "disable_tests_results",
)


@dataclass(frozen=True)
class World:
    """A copy of the project with its packages, its warehouse and its own copy of edr's project."""

    home: Path
    edr: Path
    target: str = "dev"
    logs: list[str] = field(default_factory=list)

    @property
    def project(self) -> Path:
        return self.home

    @property
    def artifacts(self) -> Path:
        return self.home / "target"

    @cached_property
    def warehouse(self) -> Path:
        return self.home / "planted.duckdb"

    def environment(self) -> dict[str, str]:
        """The environment for commands in this world, with nothing of the caller's dbt settings."""
        mine = {k: v for k, v in os.environ.items() if not k.startswith(("DBT_", "MILLRACE_"))}
        quiet = {"DBT_SEND_ANONYMOUS_USAGE_STATS": "false", "NO_COLOR": "1"}
        return {**mine, **quiet, "PLANTED_DB": str(self.warehouse)}

    def dbt(self, *arguments: str, fails: bool = False) -> str:
        """Runs a plain dbt command, as a user does; gives back what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "dbt.cli.main", "--no-use-colors", *arguments],
            cwd=self.home,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert fails or done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
        return done.stdout

    def results(self) -> dict[str, dict[str, Any]]:
        """The results of the last command, by node; without those of Elementary's own models."""
        found = json.loads((self.artifacts / "run_results.json").read_text())["results"]
        return {r["unique_id"]: r for r in found if ".elementary." not in r["unique_id"]}


def user_cache() -> Path:
    """The user's cache of dbt packages, as `millrace deps` would use it."""
    return Path(os.environ.get("MILLRACE_CACHE") or Path.home() / ".cache" / "millrace")


def have_real_packages() -> bool:
    """Whether the user's cache holds the real packages of this project and of edr."""
    edr = packages.edr_project()
    wanted = [packages.asked(ROOT), packages.asked(edr) if edr else {}]
    folder = user_cache() / "dbt_packages"
    return all((folder / f"{n}-{v}").is_dir() for pins in wanted for n, v in pins.items())


def world(folder: Path, source: str) -> World:
    """A world below ``folder`` with packages from ``source``; skips where they are not there."""
    if source == "cache" and not have_real_packages():
        pytest.skip("the real dbt packages are not in the user's cache: run `millrace deps` online")
    home, edr = folder / "project", folder / "edr"
    shutil.copytree(PROJECT, home)
    shutil.copy(ROOT / "packages.yml", home)
    shutil.copytree(
        packages.edr_project() or pytest.skip("elementary-data is not installed"),
        edr,
        ignore=shutil.ignore_patterns("dbt_packages", "target", "logs"),
    )
    packages.install(
        home,
        source="cache" if source == "cache" else "stand-ins",
        cache=user_cache(),
        edr=edr,
        edr_config=folder / "edr_config",
    )
    return World(home, edr)
