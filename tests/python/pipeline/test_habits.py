"""Plain dbt from the root, with a home of its own and without: nothing of ours in between."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import duckdb
import pytest
from copies import project_copy
from homes import BIN, Home

pytestmark = pytest.mark.xdist_group("habits")


@pytest.fixture(scope="module")
def root(settled: Home, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A project of its own, where plain dbt leaves `target` and `logs`; its rows are loaded."""
    where = tmp_path_factory.mktemp("habits")
    return settled.copied(where / "home", project=project_copy(where / "project"))


def test_parse_tells_of_nothing_deprecated(root: Home) -> None:
    done = root.dbt("parse", "--no-partial-parse", "--show-all-deprecations")
    assert done.code == 0, done.text
    for word in ("deprecat", "warn", "unused", "did not match"):
        assert word not in done.text.lower(), done.text


def test_build_and_then_a_full_refresh_give_the_same(root: Home) -> None:
    before = root.tables("marts", "staging")
    built = root.dbt("build")
    assert built.code == 0, built.text[-3000:]
    assert "ERROR=0" in built.text
    assert "elementary.volume" not in built.text
    assert root.tables("marts", "staging") == before
    again = root.dbt("run", "--full-refresh")
    assert again.code == 0, again.text[-3000:]
    assert root.tables("marts", "staging") == before
    assert len(before) >= 20


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("test",), "ERROR=0"),
        (("source", "freshness"), "freshness"),
        (("snapshot",), "ERROR=0"),
        (("seed",), "ERROR=0"),
        (("docs", "generate"), "Catalog written"),
        (("ls", "--select", "+fct_baskets"), "source:millrace.pos.transactions"),
        (("build", "--select", "dim_stores+"), "ERROR=0"),
    ],
)
def test_other_habits(root: Home, words: tuple[str, ...], says: str) -> None:
    done = root.dbt(*words)
    assert done.code == 0, done.text[-3000:]
    assert says in done.text


def test_sqlfluff_lints_where_a_warehouse_is(root: Home) -> None:
    """CI's `make lint` has none, and the ledger's SQL is written over the columns that raw has."""
    assert root.query("select count(*) from raw_promo.promotions") > [(0,)]
    ledger = "models/ops/ops_load_ledger.sql"
    done = root.call(str(BIN / "sqlfluff"), "lint", "--processes", "1", ledger)
    assert done.code == 0, done.text[-3000:]


def test_slim_build(root: Home, tmp_path: Path) -> None:
    state = tmp_path / "state"
    assert root.dbt("parse").code == 0
    state.mkdir()
    shutil.copy(root.project / "target" / "manifest.json", state)
    slim = ("build", "--select", "state:modified+", "--defer", "--state", str(state))
    nothing = root.dbt(*slim)
    assert nothing.code == 0
    assert "Nothing to do" in nothing.text or "TOTAL=0" in nothing.text, nothing.text
    model = root.project / "models" / "marts" / "dim_stores.sql"
    model.write_text(model.read_text().replace("from sales\n", "from sales  -- edited\n"))
    assert "edited" in model.read_text()
    done = root.dbt(*slim)
    assert done.code == 0, done.text[-3000:]
    results = json.loads((root.project / "target" / "run_results.json").read_text())["results"]
    built = {r["unique_id"] for r in results if r["unique_id"].startswith("model.")}
    assert built == {"model.millrace.dim_stores"}


def test_elementarys_own_command_makes_its_report(root: Home, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    done = root.call(
        str(BIN / "edr"), "report", "--profiles-dir", ".", "--file-path", str(page),
        "--open-browser", "false",
    )  # fmt: skip
    assert done.code == 0, done.text[-3000:]
    assert page.stat().st_size > 100_000


def test_with_no_home_named_it_is_the_projects_folder(home: Home, tmp_path: Path) -> None:
    project = project_copy(tmp_path / "project", few_tests=True)
    shutil.copytree(home.path / "warehouse", project / "warehouse")
    home = Home(project, project, home.env, named=False)
    done = home.dbt("build", "--select", "dim_stores", "fct_daily_store_sales")
    assert done.code == 0, done.text[-3000:]
    assert "every finished load is built" in home.millrace("status").text
    refused = home.millrace("publish")
    assert refused.code == 4, "what plain dbt built was not judged by Millrace"
    assert "millrace build && millrace publish" in refused.text
    assert home.millrace("build").code == 0
    published = home.millrace("publish")
    assert published.code == 0, published.text
    assert (project / "published" / "marts.duckdb").exists()


def test_a_table_that_went_silent_is_stale_where_it_says_so(root: Home, tmp_path: Path) -> None:
    home = root.copied(tmp_path / "home")
    with duckdb.connect(str(home.warehouse)) as con:
        con.execute(
            "update raw_pos._loads set extracted_at = extracted_at - interval 9 day "
            "where table_name in ('transactions', 'households')"
        )
    done = home.dbt("source", "freshness")
    assert done.code == 1
    assert "ERROR STALE freshness of pos.transactions" in done.text
    assert "PASS freshness of pos.households" in done.text, "its siblings still bring rows"
