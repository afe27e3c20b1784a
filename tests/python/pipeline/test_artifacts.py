"""dbt's artifacts after a run are as dbt would have left them: slim CI and the docs read them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from copies import project_copy
from homes import Home

pytestmark = pytest.mark.xdist_group("settled")


def read(home: Home, name: str) -> dict[str, Any]:
    return dict(json.loads((home.path / "target" / name).read_bytes()))


def test_a_run_leaves_the_manifest_with_the_sql_that_ran(settled: Home) -> None:
    nodes = read(settled, "manifest.json")["nodes"]
    own = [n for n in nodes.values() if n["package_name"] == "millrace"]
    made = [n for n in own if n["resource_type"] in ("model", "snapshot", "test")]
    left = [n["name"] for n in made if "elementary-tests" not in n["tags"] and not compiled(n)]
    assert len(made) > 100
    assert left == []
    assert "elementary" in {n["package_name"] for n in nodes.values()}
    assert read(settled, "sources.json")["results"]


def compiled(node: dict[str, Any]) -> bool:
    return bool(node.get("compiled_code"))


def test_each_build_leaves_its_results(home: Home) -> None:
    file = home.path / "target" / "manifest.json"
    written = file.stat().st_mtime_ns
    before = read(home, "run_results.json")
    home.advance(1)
    done = home.millrace("run", "--quick")
    assert done.code == 0, done.text
    after = read(home, "run_results.json")
    assert after["metadata"]["invocation_id"] != before["metadata"]["invocation_id"]
    ran = {row["unique_id"] for row in after["results"]}
    assert "model.millrace.fct_baskets" in ran
    assert file.stat().st_mtime_ns == written, "the project is the same"


def test_a_manifest_of_another_hand_is_written_anew(home: Home) -> None:
    """As plain dbt leaves it, and torn by a kill: the results of a build are told by it."""
    file = home.path / "target" / "manifest.json"
    before = read(home, "manifest.json")
    file.write_text(file.read_text()[:1000])
    home.advance(1)
    done = home.millrace("run", "--quick")
    assert done.code == 0, done.text
    nodes = read(home, "manifest.json")["nodes"]
    assert nodes.keys() == before["nodes"].keys()
    ran = {row["unique_id"] for row in read(home, "run_results.json")["results"]}
    assert all(compiled(nodes[key]) for key in ran if key.startswith(("model.", "test.")))


def test_a_build_of_all_completes_the_manifest_of_a_part(home: Home, tmp_path: Path) -> None:
    path = "models/marts/dim_stores.sql"
    project = project_copy(tmp_path / "project", few_tests=True)
    (project / path).write_text((project / path).read_text() + "\n-- edited\n")
    edited = Home(home.path, project, home.env)
    for words in (["build", "--select", "dim_stores"], ["run", "--quick"]):
        done = edited.millrace(*words)
        assert done.code == 0, done.text
        nodes = read(home, "manifest.json")["nodes"].values()
        left = [
            node["name"]
            for node in nodes
            if node["resource_type"] == "model"
            and node["package_name"] == "millrace"
            and not compiled(node)
        ]
        assert bool(left) == ("--select" in words), left


def test_dbt_compares_with_the_state_of_a_run(home: Home) -> None:
    """Slim CI by the manifest that a run left: nothing is modified."""
    state = home.path / "state"
    state.mkdir()
    shutil.copy(home.path / "target" / "manifest.json", state)
    target = ["--target", "dev", "--target-path", str(home.path / "target")]
    words = ["--quiet", "ls", "--select", "state:modified", "--state", str(state), *target]
    words += ["--log-path", str(state)]
    done = home.dbt(*words)
    assert done.code == 0, done.text
    assert "millrace." not in done.out, done.out
    words[3] = "state:unmodified"
    assert "millrace.marts.fct_baskets" in home.dbt(*words).out
