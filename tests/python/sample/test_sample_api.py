"""The loyalty API over real HTTP: pages, filters, failures, and what the clock has reached."""

import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import date
from itertools import pairwise
from pathlib import Path

import pytest
import worlds
from dlt.sources.helpers.rest_client.client import RESTClient
from dlt.sources.helpers.rest_client.paginators import JSONLinkPaginator

from sample import api, clock, services
from sample.oracle import Oracle

MID_YEAR, SEED = date(2017, 7, 14), 7


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A retailer whose clock stands; the API needs no more of it."""
    clock.write(tmp_path, clock.Clock(MID_YEAR, SEED))
    return tmp_path


@pytest.fixture
def base(home: Path) -> Iterator[str]:
    with api.serve(home) as url:
        yield url


@pytest.mark.parametrize(
    ("path", "size"), [("/campaigns", 1), ("/campaign_targets", 500), ("/redemptions", 50)]
)
def test_pages_give_every_item_once(base: str, path: str, size: int) -> None:
    whole = worlds.items(base, path)
    paged = worlds.items(base, f"{path}?page_size={size}")
    assert paged == whole
    assert len(whole) > 10
    assert len({json.dumps(item) for item in whole}) == len(whole)
    fates = Oracle(SEED, [MID_YEAR]).fates(f"loyalty.{path[1:]}")
    assert fates.aggregate("count(*)").fetchall() == [(len(whole),)]


def test_a_page_is_what_was_asked_for(base: str) -> None:
    first = worlds.get(f"{base}/redemptions?page=1&page_size=7&updated_since=2017-03-01")
    assert len(first["items"]) == 7
    assert first["next"].startswith("/redemptions?")
    assert "page=2" in first["next"]
    assert "updated_since=2017-03-01" in first["next"]
    assert worlds.get(f"{base}/redemptions?page=9999") == {"items": [], "next": None}


def test_updated_since_is_inclusive_and_undated_items_always_come(base: str) -> None:
    whole = worlds.items(base, "/redemptions")
    dated = sorted(item["updated_at"] for item in whole if item["updated_at"])
    undated = [item for item in whole if item["updated_at"] is None]
    since = dated[len(dated) // 2]
    found = worlds.items(base, f"/redemptions?updated_since={since}")
    assert [item for item in found if item["updated_at"] is None] == undated
    assert undated
    assert sorted(item["updated_at"] for item in found if item["updated_at"]) == [
        time for time in dated if time >= since
    ]
    in_zone = worlds.items(base, f"/redemptions?updated_since={since}%2B00:00")
    assert in_zone == found
    assert worlds.items(base, "/redemptions?updated_since=2030-01-01T00:00:00Z") == undated


def test_it_knows_what_the_clock_has_reached(home: Path, base: str) -> None:
    before = worlds.items(base, "/campaigns")
    clock.write(home, clock.Clock(date(2017, 8, 7), SEED))
    after = worlds.items(base, "/campaigns")
    assert [item["campaign_id"] for item in after if item not in before] == [13]
    (home / "clock.json").unlink()
    assert worlds.items(base, "/campaigns") == []


def test_bad_items_are_there_until_they_are_put_right(home: Path, base: str) -> None:
    fates = Oracle(SEED, [date(2017, 1, 1 + day) for day in range(31)]).fates
    bad = fates("loyalty.redemptions").filter("rule = '[\"type:redemption_date\"]'")
    household, coupon, day = bad.project("household_id, coupon_upc, first_load").fetchall()[0]
    clock.write(home, clock.Clock(day, SEED))
    (item,) = (
        item
        for item in worlds.items(base, "/redemptions")
        if (item["household_id"], item["coupon_upc"]) == (household, coupon)
    )
    assert item["redemption_date"] == "not-a-date"
    clock.write(home, clock.Clock(MID_YEAR, SEED))
    mended = [
        other
        for other in worlds.items(base, "/redemptions")
        if (other["household_id"], other["coupon_upc"]) == (household, coupon)
    ]
    assert any(other["updated_at"] > item["updated_at"] for other in mended)
    assert all(date.fromisoformat(other["redemption_date"]) for other in mended)


def _status(url: str) -> tuple[int, str | None]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return int(answer.status), None
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Retry-After"]


def test_failures_come_by_the_count_and_never_twice_in_a_row(home: Path) -> None:
    runs = []
    for _ in range(2):
        with api.serve(home) as base:
            runs.append([_status(f"{base}/campaigns") for _ in range(60)])
    assert runs[0] == runs[1]
    failed = [place for place, (status, _) in enumerate(runs[0]) if status != 200]
    assert {runs[0][place] for place in failed} == {(429, "0"), (503, "0")}
    assert len(failed) == 4
    assert min(b - a for a, b in pairwise(failed)) > 1


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/nowhere", 404),
        ("/campaigns?page=0", 400),
        ("/campaigns?page=x", 400),
        ("/campaigns?page_size=-1", 400),
        ("/campaigns?page_size=100000", 400),
        ("/campaigns?updated_since=yesterday", 400),
        ("/campaigns?updated_since=", 200),
    ],
)
def test_a_question_that_makes_no_sense_is_told(base: str, path: str, status: int) -> None:
    assert _status(base + path)[0] == status


def test_dlt_follows_its_links(base: str) -> None:
    client = RESTClient(
        base_url=base, paginator=JSONLinkPaginator(next_url_path="next"), data_selector="items"
    )
    pages = list(client.paginate("/campaign_targets", params={"page_size": 1500}))
    assert [len(page) for page in pages[:-1]] == [1500] * (len(pages) - 1)
    assert sum(len(page) for page in pages) == len(worlds.items(base, "/campaign_targets"))


def test_nothing_is_logged(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with api.serve(home) as base:
        _status(f"{base}/campaigns")
        _status(f"{base}/nowhere")
    assert capfd.readouterr() == ("", "")


NAMES = ("MILLRACE_POS_URL", "MILLRACE_PROMO_PATH", "MILLRACE_LOYALTY_URL")


def test_services_set_what_is_unset_and_take_it_back(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    with services(home):
        assert os.environ["MILLRACE_POS_URL"] == f"sqlite:///{home / 'till.sqlite'}"
        assert os.environ["MILLRACE_PROMO_PATH"] == str(home / "drop")
        assert worlds.get(os.environ["MILLRACE_LOYALTY_URL"] + "/campaigns")["items"]
    assert not set(NAMES) & set(os.environ)
    monkeypatch.setenv("MILLRACE_LOYALTY_URL", "https://elsewhere.example")
    with services(home):
        assert os.environ["MILLRACE_LOYALTY_URL"] == "https://elsewhere.example"
        assert "MILLRACE_POS_URL" in os.environ
    assert "MILLRACE_POS_URL" not in os.environ


def test_services_without_a_sample_do_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    with services(tmp_path):
        assert not set(NAMES) & set(os.environ)
