"""The pages of the report, as data and as a real browser shows them."""

import re
import shutil
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import browser
import duckdb
import pretend_home
import pytest
from dbt.cli.main import dbtRunner
from pretend_home import HOSTILE, NOW

from ops import publish, report
from ops.facts import Facts, Run
from ops.gather import gather
from ops.page import count, render
from ops.plots import Bar, bars, compact


@dataclass
class Places:
    """Settings of a made-up home."""

    home: Path
    project: Path
    target: str = "dev"

    @property
    def artifacts(self) -> Path:
        return self.home / "target"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def warehouse(self) -> Path:
        return self.home / "millrace_dev.duckdb"

    @property
    def published(self) -> Path:
        return self.home / "published"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pretend_home.Totals]:
    folder = tmp_path_factory.mktemp("home")
    return folder, pretend_home.make(folder)[2]


def facts_of(folder: Path) -> Facts:
    return gather(folder / "millrace_dev.duckdb", folder / "published", now=NOW)


def test_the_facts_are_those_of_the_warehouse(home: tuple[Path, pretend_home.Totals]) -> None:
    folder, totals = home
    facts = facts_of(folder)
    assert sum(book.read for book in facts.books) == totals.read
    assert sum(book.dead for book in facts.books) == totals.dead
    assert all(book.read == book.accepted + book.dead for book in facts.books)
    assert facts.open_letters == totals.open_letters > 0
    assert sum(letter.rows for letter in facts.dead_letters) >= totals.open_letters
    assert len(facts.runs) == 36
    assert [step.name for step in facts.steps] == [
        "load",
        "freshness",
        "build",
        "publish",
        "report",
    ]
    assert {book.table: book.freshness for book in facts.books}["campaigns"] == "warn"
    assert len(facts.daily_sales) == 326
    assert len(facts.marts) == 12


def test_the_start_page_in_a_browser(
    home: tuple[Path, pretend_home.Totals], chromium: browser.Browser, tmp_path: Path
) -> None:
    folder, totals = home
    for name in ("docs.html", "quality.html"):
        (folder / "published" / "site").mkdir(exist_ok=True)
        (folder / "published" / "site" / name).touch()
    page = report.start_page(Places(folder, folder))
    for width in (1280, 390):
        for dark in (False, True):
            shot = tmp_path / f"start_{width}_{dark}.png"
            view = chromium.look(page.as_uri(), width=width, dark=dark, shot=shot, script=_SEEN)
            assert view.errors == []
            assert view.outside == []
            assert view.width == width, "the page scrolls sideways"
            assert shot.stat().st_size > 20_000
            assert "All is well. 211 tests passed, 1 warned." in view.text
            for number in (totals.read, totals.dead, totals.transactions, totals.open_letters):
                assert count(number) in view.text
            assert view.result["links"] == ["docs.html", "quality.html"]
            assert view.result["plots"] == 5
            assert view.result["bars"] >= 36 * 4
            assert view.result["title"].startswith("Millrace: All is well")
            assert view.result["dark"] == dark


@pytest.mark.parametrize(("runs", "said"), [(1, 1), (3, 1), (36, 2)])
def test_the_times_of_few_bars_stand_below_the_bars(tmp_path: Path, runs: int, said: int) -> None:
    pretend_home.make(tmp_path, runs=runs)
    text = render(facts_of(tmp_path))
    caption = re.search("<figcaption>(.*?)</figcaption>", text, re.DOTALL)
    assert caption is not None
    assert len(re.findall("<span>[^<]+</span>", caption[1])) == said
    assert (" to " in caption[1]) == (runs == 3)


_SEEN = """({
    links: [...document.querySelectorAll('nav a')].map(a => a.getAttribute('href')),
    plots: [...document.querySelectorAll('.plot svg')]
        .filter(s => s.getBoundingClientRect().width > 200).length,
    bars: document.querySelectorAll('.bar').length,
    title: document.title,
    dark: getComputedStyle(document.documentElement).backgroundColor === 'rgb(21, 24, 23)',
})"""


def test_a_failed_run_is_said_first_and_hostile_text_stays_text(
    chromium: browser.Browser, tmp_path: Path
) -> None:
    pretend_home.make(tmp_path, failing=True)
    text = render(facts_of(tmp_path))
    assert HOSTILE not in text
    assert "<script" not in text
    page = tmp_path / "index.html"
    page.write_text(text)
    view = chromium.look(page.as_uri(), script="document.images.length")
    assert view.text.index("1 test failed. Readers have the marts of") < 150
    assert 'document.title = "owned"' in view.text
    assert view.result == 0
    assert (view.errors, view.outside) == ([], [])
    # Were it not escaped, the policy would still hold: nothing runs.
    page.write_text(text.replace("<main>", f"<main>{HOSTILE}"))
    unescaped = chromium.look(page.as_uri(), script="document.title")
    assert unescaped.result.startswith("Millrace")
    assert unescaped.errors


def test_a_later_report_leaves_the_tests_of_the_build(tmp_path: Path) -> None:
    warehouse, published, totals = pretend_home.make(tmp_path, runs=3)
    with duckdb.connect(warehouse) as connection:
        connection.execute(
            "insert into millrace.runs values ('later', 'report', 'dev', $1, $1, 'success', 0)",
            [NOW],
        )
        connection.execute(
            "insert into millrace.steps values ('later', 'report', $1, $1, 'success', '')", [NOW]
        )
        for name, status in (("usual_rows", "warn"), ("totals_source_to_mart", "pass")):
            connection.execute(
                "insert into millrace.node_results values"
                " ('later', $1, 'test', $2, $3, 0.1, 0, '', $4)",
                [f"test.millrace.{name}", name, status, NOW],
            )
    facts = gather(warehouse, published, now=NOW)
    tests = [result.name for result in facts.results if result.kind == "test"]
    assert len(tests) == len(set(tests)) == totals.tests_passed + 2
    assert "211 tests passed, 2 warned. Readers" in render(facts)


def test_before_the_first_run_the_page_says_so(tmp_path: Path) -> None:
    page = report.start_page(Places(tmp_path, tmp_path))
    assert "Nothing has run yet." in page.read_text()
    assert "make run" in page.read_text()


@pytest.mark.parametrize(
    "lost",
    [
        "millrace.runs",
        "millrace.steps",
        "millrace.node_results",
        "raw_pos._loads",
        "raw_pos._dlt_loads",
        "raw_pos._dead_letters",
        "raw_pos._dead_letter_fates",
    ],
)
def test_a_table_that_is_not_there_yet_leaves_the_rest(
    lost: str, home: tuple[Path, pretend_home.Totals], tmp_path: Path
) -> None:
    shutil.copy(home[0] / "millrace_dev.duckdb", tmp_path)
    with duckdb.connect(tmp_path / "millrace_dev.duckdb") as connection:
        connection.execute(f"drop table {lost}")
    facts = facts_of(tmp_path)
    assert {book.source for book in facts.books} >= {"loyalty", "promo"}
    assert "The books" in render(facts)


def test_the_run_that_writes_the_page_is_under_way_and_a_killed_one_stopped() -> None:
    def run(name: str, hours: int) -> Run:
        return Run(name, "run", "dev", NOW - timedelta(hours=hours), None, "running", None)

    page = render(Facts(NOW, runs=[run("now", 0), run("killed", 3)]))
    assert "running after" in re.sub("<[^>]+>", "", page)
    assert re.search(r'class="bar bad"><title>[^<]*stopped \(killed\)', page)


def test_no_book_is_called_balanced_when_it_is_not(
    home: tuple[Path, pretend_home.Totals], tmp_path: Path
) -> None:
    shutil.copy(home[0] / "millrace_dev.duckdb", tmp_path)
    assert "unbalanced" not in render(facts_of(tmp_path))
    with duckdb.connect(tmp_path / "millrace_dev.duckdb") as connection:
        connection.execute(
            "update raw_pos._loads set rows_dead = rows_dead + 1"
            " where table_name = 'products' and load_number = 3"
        )
    assert "unbalanced" in render(facts_of(tmp_path))


def test_a_warehouse_that_this_process_writes_can_be_read(
    home: tuple[Path, pretend_home.Totals],
) -> None:
    with duckdb.connect(home[0] / "millrace_dev.duckdb") as connection:
        connection.execute("select 1")
        assert len(facts_of(home[0]).runs) == 36


def test_a_bar_far_above_all_others_is_cut_and_told() -> None:
    cut = bars([Bar(9_000_000, "first"), *(Bar(100, "later") for _ in range(9))], "rows")
    assert 'class="cut"' in cut
    assert "9 M" in cut
    assert 'class="cut"' not in bars([Bar(200, "x"), *(Bar(100, "y") for _ in range(9))], "rows")
    assert [compact(n) for n in (0, 0.5, 7, 999.7, 9_960, 12_400, 999_600, 1.44e6)] == [
        "0",
        "0.5",
        "7",
        "1 k",
        "10 k",
        "12 k",
        "1 M",
        "1.4 M",
    ]


MINI = {
    "dbt_project.yml": """
name: mini
profile: mini
models: {mini: {marts: {+materialized: table, +database: marts}}}
""",
    "profiles.yml": """
mini:
  target: dev
  outputs:
    dev:
      type: duckdb
      path: HOME/millrace_dev.duckdb
      threads: 2
      attach: [{path: HOME/marts_dev.duckdb, alias: marts}]
""",
    "models/staging/stg_orders.sql": "select * from {{ source('shop', 'orders') }}",
    "models/marts/fct_orders.sql": "select order_id from {{ ref('stg_orders') }}",
    "models/schema.yml": """
sources:
  - name: shop
    database: millrace_dev
    schema: raw_shop
    tables: [{name: orders, description: What was ordered.}]
models:
  - name: fct_orders
    description: |
      One row per order. </script><script>document.title = "owned"</script>
      ![map](https://example.invalid/map.png)
    columns: [{name: order_id, data_tests: [unique]}]
""",
}


@pytest.fixture(scope="module")
def documented(tmp_path_factory: pytest.TempPathFactory) -> Places:
    """A small dbt project, built and published in this process, with its docs site."""
    folder = tmp_path_factory.mktemp("mini")
    for name, text in MINI.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text.replace("HOME", str(folder)))
    places = Places(folder, folder)
    with duckdb.connect(places.warehouse) as connection:
        connection.execute(
            "create schema raw_shop; create table raw_shop.orders as "
            "select range as order_id from range(7)"
        )
    built = dbtRunner().invoke(
        [
            "--quiet",
            "--no-send-anonymous-usage-stats",
            "build",
            "--project-dir",
            str(folder),
            "--profiles-dir",
            str(folder),
            "--target-path",
            str(folder / "target"),
            "--log-path",
            str(folder / "logs"),
        ]
    )
    assert built.success, built.exception
    assert publish.publish(folder / "marts_dev.duckdb", places.published).tables == 1
    report.docs(places, built=True)
    return places


def test_marts_that_dbt_built_in_this_process_are_published(documented: Places) -> None:
    with duckdb.connect(documented.published / "marts.duckdb", read_only=True) as connection:
        assert connection.execute("select count(*) from fct_orders").fetchone() == (7,)


def test_the_docs_site_in_a_browser(
    documented: Places, chromium: browser.Browser, tmp_path: Path
) -> None:
    site = documented.published / "site" / "docs.html"
    model = chromium.look(
        f"{site.as_uri()}#!/model/model.mini.fct_orders",
        script="document.title",
        ready="document.body.innerText.includes('One row per order')",
        shot=tmp_path / "docs_model.png",
    )
    assert "owned" not in model.result
    assert "order_id" in model.text
    lineage = chromium.look(
        f"{site.as_uri()}#!/overview?g_v=1",
        ready=_GRAPH,
        shot=tmp_path / "docs_lineage.png",
        script="document.querySelectorAll('canvas').length",
    )
    assert lineage.result > 0
    assert (lineage.errors, lineage.outside) == ([], [])
    # The image that the description links to is the one thing asked for, and it is refused.
    assert set(model.outside) <= {"https://example.invalid/map.png"}
    assert all("Content Security Policy" in error for error in model.errors)


_GRAPH = "document.querySelector('canvas') && document.querySelector('canvas').width > 100"


def test_the_docs_site_without_a_build_before_it_is_the_same(documented: Places) -> None:
    site = documented.published / "site" / "docs.html"
    before = site.read_text()
    (documented.home / "target" / "manifest.json").unlink()
    after = report.docs(documented, built=True).read_text()
    for part in ("One row per order. \\u003c/script>", '"compiled_code":"select order_id from'):
        assert part in before
        assert part in after


def test_dbts_own_page_asks_for_the_outside_when_tracking_is_on(
    documented: Places, chromium: browser.Browser, tmp_path: Path
) -> None:
    """Shows that the browser notices, and that what keeps our page silent is needed."""
    site = (documented.published / "site" / "docs.html").read_text()
    page = tmp_path / "docs.html"
    flag = '"send_anonymous_usage_stats":'
    tracked = site.replace(f"{flag}false", f"{flag}true")
    assert tracked != site
    page.write_text(re.sub(r"<meta http-equiv[^>]*>", "", tracked))
    # Over file: the tracker's address, which names no scheme, is a file of that name.
    look = chromium.look(page.as_uri(), ready="document.querySelector('script[src*=\"sp.js\"]')")
    assert look.errors


def test_a_page_of_dbt_without_the_known_places_is_refused() -> None:
    with pytest.raises(report.ReportError, match=r"manifest\.json"):
        report.inline("<html></html>", {"metadata": {}}, {})
