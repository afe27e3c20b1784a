"""What a build needs of a parsed project, and no more: the same nodes, made by fewer macros."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from copies import PROJECT, project_copy
from dbt.cli.main import dbtRunner
from parses import Parse

from ops.lean import leaner, without_hooks

READS_ITS_TABLE = "{{ config(database='millrace_dev') }}\nselect * from {{ ref('dbt_models') }}\n"

GUARDED = (
    "{{ config(materialized='incremental') }}\nselect 1 as one\n",
    "{% if is_incremental() %}{{ elementary.edr_log('again') }}{% endif %}\n",
)


def manifest(project: Path, home: Path) -> Any:
    parse = Parse(project, home / "target", {**os.environ, "MILLRACE_HOME": str(home)})
    parse.hand_on()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MILLRACE_HOME", str(home))
        where = ["--project-dir", str(project), "--profiles-dir", str(project), "--target", "dev"]
        made = ["--target-path", str(parse.artifacts), "--log-path", str(parse.artifacts)]
        done = dbtRunner().invoke(["parse", *where, *made, "--quiet", "--no-write-json"])
    assert done.success, done.exception
    parse.remember()
    return done.result


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return manifest(PROJECT, tmp_path_factory.mktemp("lean"))


def packages(nodes: dict[str, Any]) -> Counter[str]:
    return Counter(node.package_name for node in nodes.values())


def test_own_nodes_and_what_they_call_stay(whole: Any) -> None:
    lean = leaner(whole)
    of_all = packages(whole.nodes)
    assert of_all["millrace"] > 100
    assert of_all["elementary"] > 10
    assert packages(lean.nodes) == {"millrace": of_all["millrace"]}
    for node in [*lean.nodes.values(), *lean.unit_tests.values()]:
        called = getattr(node.depends_on, "macros", ())
        assert lean.macros.keys() >= set(called) & whole.macros.keys(), node.name
    macros, lean_macros = packages(whole.macros), packages(lean.macros)
    less = macros.pop("elementary") - lean_macros.pop("elementary")
    assert less > 0
    assert lean_macros == macros


def test_the_project_itself_stays_whole(whole: Any) -> None:
    nodes, macros = dict(whole.nodes), dict(whole.macros)
    whole.nodes["model.elementary.dbt_models"].config.post_hook = ["select 1"]
    hooks = {key: len(node.config.post_hook) for key, node in nodes.items() if hooked(node)}
    assert "model.elementary.dbt_models" in hooks
    leaner(whole)
    bare = without_hooks(whole)
    assert whole.nodes == nodes
    assert whole.macros == macros
    assert {key: len(whole.nodes[key].config.post_hook) for key in hooks} == hooks
    assert not [node for node in bare.nodes.values() if hooked(node)]
    assert nodes.keys() - bare.nodes.keys() == {
        key for key, node in nodes.items() if node.resource_type == "operation"
    }


def hooked(node: Any) -> bool:
    return node.package_name == "elementary" and bool(getattr(node.config, "post_hook", None))


def test_a_macro_that_runs_only_in_an_incremental_build_stays(tmp_path: Path) -> None:
    """dbt does not see it called while it reads the project."""
    project = project_copy(
        tmp_path / "project", {"models/marts/guarded.sql": ("", "".join(GUARDED))}
    )
    whole = manifest(project, tmp_path)
    seen = whole.nodes["model.millrace.guarded"].depends_on.macros
    assert "macro.elementary.edr_log" in whole.macros
    assert "macro.elementary.edr_log" not in seen
    assert "macro.elementary.edr_log" in leaner(whole).macros


def test_a_table_of_elementary_that_a_model_reads_stays(tmp_path: Path) -> None:
    """With the macros that make it, or a build that selects it could not."""
    project = project_copy(
        tmp_path / "project", {"models/marts/of_models.sql": ("", READS_ITS_TABLE)}
    )
    whole = manifest(project, tmp_path)
    lean = leaner(whole)
    kept = [key for key in lean.nodes if key.startswith("model.elementary.")]
    assert kept == ["model.elementary.dbt_models"]
    needs = set(whole.nodes[kept[0]].depends_on.macros)
    assert needs
    assert lean.macros.keys() >= needs & whole.macros.keys()
