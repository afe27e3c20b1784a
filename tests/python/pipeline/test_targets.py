"""A run for one target leaves what the others have as it is, and its pages name its own files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from homes import Home

pytestmark = pytest.mark.xdist_group("runs")

DEV = ("target/*.json", "target/index.html", "warehouse/*dev*", "published/*.*", "published/site/*")


def files(home: Home, *patterns: str) -> dict[Path, tuple[int, int, int]]:
    """Inode, size and time of change of each file."""
    found = [path for pattern in patterns for path in home.path.glob(pattern) if path.is_file()]
    return {p: (p.stat().st_ino, p.stat().st_size, p.stat().st_mtime_ns) for p in found}


def test_a_run_for_ci_leaves_dev_alone(home: Home) -> None:
    before = files(home, *DEV)
    names = {path.name for path in before}
    assert names >= {"manifest.json", "catalog.json", "marts.duckdb", "marts_dev.duckdb",
                     "millrace_dev.duckdb", "index.html", "docs.html", "quality.html"}  # fmt: skip
    done = home.millrace("run", "--target", "ci")
    assert done.code == 0, done.text
    assert files(home, *DEV) == before

    ci = home.path / "published" / "ci"
    assert {page.name for page in (ci / "site").iterdir()} == names & {
        "index.html", "docs.html", "quality.html"
    }  # fmt: skip
    assert (home.path / "target" / "ci" / "catalog.json").exists()
    manifest = json.loads((home.path / "target" / "ci" / "manifest.json").read_bytes())
    assert manifest["metadata"]["invocation_id"] in (ci / "site" / "docs.html").read_text()
    start = (ci / "site" / "index.html").read_text()
    assert f"<code>{ci / 'marts.duckdb'}</code>" in start
    assert f"duckdb -readonly {ci / 'marts.duckdb'}" in start
    assert "published/marts.duckdb" not in start
    assert "millrace status --target ci" in start
