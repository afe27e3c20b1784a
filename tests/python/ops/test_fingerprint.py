"""The mark of a project: another one where the code, or a variable that it asks for, is another."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from ops.dbt import fingerprint
from ops.settings import Settings


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "sales.sql").write_text("select '{{ env_var('SHOP') }}' as shop")
    (tmp_path / "dbt_project.yml").write_text("+enabled: \"{{ env_var( 'BROKERS', '') != '' }}\"")
    (tmp_path / "profiles.yml").write_text("path: \"{{ env_var('MILLRACE_HOME') }}\"")
    return tmp_path


def mark(project: Path, env: Mapping[str, str]) -> tuple[str, str]:
    """Of the SQL that makes rows, and of the rest."""
    here = Settings(project, project, "dev", project / "w", project / "m", env)
    makes, rest = fingerprint(here).split()
    return makes, rest


def test_a_variable_counts_where_it_is_asked_for(project: Path) -> None:
    makes, rest = mark(project, {})
    assert mark(project, {"OTHER": "1", "MILLRACE_HOME": "/elsewhere"}) == (makes, rest)
    marks = [mark(project, {"BROKERS": value}) for value in ("", "a:1", "b:1")]
    assert [made for made, _ in marks] == [makes] * 3
    assert len({rest, *(other for _, other in marks)}) == 4
    other, same = mark(project, {"SHOP": "1"})
    assert other != makes
    assert same == rest


def test_an_edit_counts(project: Path) -> None:
    makes, rest = mark(project, {})
    (project / "models" / "sales.sql").write_text("select 1 as shop")
    edited = mark(project, {})
    assert edited[0] != makes
    assert edited[1] == rest
