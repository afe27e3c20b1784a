"""Copies for tests to change: of the project, and of the sample's drop with fewer rows."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

PROJECT = Path(__file__).parents[2]
VERSION = 'version: "0.1.0"'
"""Another one in a copy with few tests, so that its reading by dbt is not taken for the whole's."""


def shared(factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of this run of the tests have in common."""
    base = factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


def project_copy(
    path: Path, edits: Mapping[str, tuple[str, str]] | None = None, *, few_tests: bool = False
) -> Path:
    """A copy of the project's folder to edit: code copied, what is installed linked.

    Args:
        path: where to.
        edits: file to (text, other text); where the text is empty the file is made.
        few_tests: of its YAML's tests keep those of the models of the tills, of their scans and of
            `ops`. Tests leave nothing behind, and are most of what a whole build takes.
    """
    path.mkdir(parents=True)
    for name in ("models", "macros", "seeds", "snapshots", "tests/generic", "tests/singular",
                 "tests/fixtures", "analyses"):  # fmt: skip
        if (PROJECT / name).is_dir():
            shutil.copytree(PROJECT / name, path / name)
    for name in ("dbt_project.yml", "packages.yml", "profiles.yml", "selectors.yml", ".dbtignore",
                 ".sqlfluff"):  # fmt: skip
        if (PROJECT / name).is_file():
            shutil.copy2(PROJECT / name, path / name)
    (path / "dbt_packages").symlink_to(PROJECT / "dbt_packages")
    for name, (text, other) in (edits or {}).items():
        file = path / name
        before = "" if not text else file.read_text()
        assert text in before, f"{name} no longer says {text!r}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(other if not text else before.replace(text, other))
    if few_tests:
        _drop_tests(path)
    return path


def _drop_tests(project: Path) -> None:
    declared = project / "dbt_project.yml"
    text = declared.read_text()
    assert VERSION in text
    declared.write_text(text.replace(VERSION, f'{VERSION[:-1]}-few-tests"'))
    for file in (project / "models").rglob("*.yml"):
        if not {"pos", "ops", "scanner"} & set(file.relative_to(project).parts):
            told = yaml.safe_load(file.read_text())
            told.pop("unit_tests", None)
            file.write_text(yaml.safe_dump(_untested(told), sort_keys=False))


def _untested(node: Any) -> Any:
    if isinstance(node, list):
        return [_untested(each) for each in node]
    if isinstance(node, dict):
        return {key: _untested(value) for key, value in node.items() if key != "data_tests"}
    return node


def thin_drop(drop: Path, thin: Path, which: str) -> None:
    """Beside the drop, one with some rows of each promotion file and all else as it is.

    Args:
        drop: the sample's.
        thin: the other; files that it has already stay.
        which: the SQL after `from`, such as `limit 5000`.
    """
    for file in sorted(drop.rglob("*.*")):
        copy = thin / file.relative_to(drop)
        if copy.exists():
            continue
        copy.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix == ".parquet":
            duckdb.sql(f"from '{file}' {which}").write_parquet(str(copy))
        else:
            shutil.copy2(file, copy)
