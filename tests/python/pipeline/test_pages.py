"""The three pages that a whole run of the sample made, as a real browser shows them."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import browser
import pytest
from homes import Home

pytestmark = pytest.mark.xdist_group("habits")

WIDE = "document.querySelector('canvas') && document.querySelector('canvas').width > 100"
GRAPH = """(() => {
    const graph = [...document.querySelectorAll('*')].find(e => e._cyreg)._cyreg.cy;
    return {
        shown: graph.nodes().filter(n => n.visible()).map(n => n.id()),
        edges: graph.edges().map(e => [e.source().id(), e.target().id()]),
    };
})()"""
LINEAGE = [
    "source.millrace.pos.transactions",
    "model.millrace.stg_pos__transactions",
    "model.millrace.fct_basket_lines",
    "model.millrace.fct_baskets",
]
# A click, as a person would, and a word in the search box above the list of tests.
RESULTS = """(async () => {
    const text = () => document.body.innerText;
    const until = async so => { while (!so()) await new Promise(later => setTimeout(later, 50)); };
    [...document.querySelectorAll('*')].filter(e => e.innerText?.trim() === 'Test Results').pop()
        .click();
    await until(() => text().includes('Last test run'));
    const box = [...document.querySelectorAll('input[placeholder="Search"]')].pop();
    Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(box, 'every_');
    box.dispatchEvent(new Event('input', {bubbles: true}));
    await until(() => !text().includes('source_freshness'));
    return Object.keys(window.elementaryData.tests);
})()"""


def look(chromium: browser.Browser, address: str, shot: Path, **more: Any) -> browser.View:
    """What is seen at an address, where nothing went wrong and nothing was asked of the outside."""
    view = chromium.look(address, shot=shot, **more)
    assert (view.errors, view.outside) == ([], [])
    return view


def test_the_start_page(settled: Home, chromium: browser.Browser, tmp_path: Path) -> None:
    site = settled.path / "published" / "site"
    view = look(
        chromium,
        (site / "index.html").as_uri(),
        tmp_path / "start.png",
        script="""({
            links: [...document.querySelectorAll('nav a')].map(a => a.getAttribute('href')),
            plots: [...document.querySelectorAll('.plot svg')]
                .filter(s => s.getBoundingClientRect().width > 200).length,
            bars: document.querySelectorAll('.bar').length,
        })""",
    )
    assert view.result == {"links": ["docs.html", "quality.html"], "plots": 5, "bars": 4}
    assert view.text.count("fresh") >= 8
    (run_id,) = settled.query("select run_id from millrace.runs")[0]
    loads = settled.query(
        "select table_name, rows_read, rows_dead from ops.ops_loads where is_finished"
    )
    dead = settled.query("select count(*) from ops.ops_dead_letters where fate = 'open'")[0][0]
    (passed,) = settled.query("""
        select count(*) from millrace.node_results
        where resource_type in ('test', 'unit_test') and status = 'pass'
    """)[0]
    plain = view.text.replace("\u202f", "")
    assert len(loads) == 8
    assert dead > 0
    assert f"All is well. {passed} tests passed." in plain
    assert f"{dead} open" in plain
    assert run_id in plain
    for table, read, _ in loads:
        assert f"{table}\t1\t{read}\t" in plain


def test_the_docs(settled: Home, chromium: browser.Browser, tmp_path: Path) -> None:
    docs = (settled.path / "published" / "site" / "docs.html").as_uri()
    model = f"{docs}#!/model/model.millrace.fct_baskets?g_v=1"
    whole = look(chromium, model, tmp_path / "lineage.png", ready=WIDE, script=GRAPH)
    assert set(LINEAGE) <= set(whole.result["shown"])
    assert "One row per basket." in whole.text
    assert "One visit to one till." in whole.text
    line = look(
        chromium, f"{model}&g_i=%2Bfct_baskets", tmp_path / "mart.png", ready=WIDE, script=GRAPH
    )
    assert set(line.result["shown"]) == set(LINEAGE)
    edges = {tuple(edge) for edge in line.result["edges"]}
    assert edges == set(pairwise(LINEAGE))


def test_the_quality_report(settled: Home, chromium: browser.Browser, tmp_path: Path) -> None:
    view = look(
        chromium,
        (settled.path / "published" / "site" / "quality.html").as_uri(),
        tmp_path / "quality.png",
        ready="document.body.innerText.includes('Test Results')",
        script=RESULTS,
    )
    tests = settled.query(
        "select unique_id, node_name from millrace.node_results where resource_type = 'test'"
    )
    assert len(tests) > 60
    assert {unique_id for unique_id, _ in tests} <= set(view.result)
    singular = {name for _, name in tests if name.startswith("every_")}
    assert len(singular) >= 3
    assert {name for name in singular if name in view.text} == singular
    assert "Warnings (0)" in view.text
    assert "Errors (0)" in view.text
