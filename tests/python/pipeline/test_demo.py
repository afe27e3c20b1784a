"""`millrace sample demo`: what a newcomer sees first, also when it does not go well."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from copies import project_copy
from homes import Done, Home

pytestmark = pytest.mark.xdist_group("thin")

FIRST = date(2017, 1, 3)


def told(done: Done) -> None:
    assert "What the days brought" in done.text
    for table in ("pos.transactions", "loyalty.redemptions"):
        assert f"│ {table} " in done.err
    assert "lines came a day or more after their sale" in done.text
    assert "former states of products are kept in the snapshot" in done.text
    assert "Where to look next:" in done.text
    assert "Traceback" not in done.text


def test_two_demonstrations(few_tests: Path, tmp_path: Path) -> None:
    home = Home(tmp_path / "home", few_tests).start(FIRST, thin=True)
    first = home.millrace("sample", "demo")
    assert first.code == 0, first.text
    assert "First run: everything there is" in first.text
    assert "5 days pass; it is 2017-01-08" in first.text
    told(first)
    assert home.query("select count(*) from millrace.runs where status = 'success'") == [(2,)]

    second = home.millrace("sample", "demo")
    assert second.code == 0, second.text
    assert "First run" not in second.text
    assert "5 days pass; it is 2017-01-13" in second.text
    told(second)
    assert home.published("select max(sold_on) from fct_basket_lines")[0][0] > date(2017, 1, 9)


def test_sources_that_cannot_be_read_are_told_and_not_covered_up(tmp_path: Path) -> None:
    nowhere = {
        "MILLRACE_POS_URL": "nonsense",
        "MILLRACE_PROMO_PATH": str(tmp_path / "nowhere"),
        "MILLRACE_LOYALTY_URL": "http://127.0.0.1:9",
    }
    home = Home(tmp_path / "home", env=nowhere).start(FIRST)
    done = home.millrace("sample", "demo")
    assert done.code in (3, 6), done.text
    last = done.text[done.text.index("What went wrong:") :]
    assert all(source in last for source in ("pos", "promo", "loyalty"))
    assert "CatalogException" not in done.text
    assert "fault of Millrace" not in done.text
    assert "days pass" not in done.text, "there is nothing yet that days could be added to"
    assert not home.snapshot.exists()


def test_a_wrong_declaration_is_told(tmp_path: Path) -> None:
    path = "models/staging/pos/_pos__sources.yml"
    project = project_copy(
        tmp_path / "project", {path: ("primary_key: [product_id]", "primary_kye: [product_id]")}
    )
    done = Home(tmp_path / "home", project).start(FIRST).millrace("sample", "demo")
    assert done.code == 6, done.text
    assert "did you mean 'primary_key'" in done.text or "primary_key" in done.text
    assert "CatalogException" not in done.text
