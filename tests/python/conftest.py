"""On CI a test may be left out only where the list says so; a skip says what to install.

A line of the list is the beginning of a test's id, two blanks, and the beginning of its reason.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import copies
import parses
import pytest

if TYPE_CHECKING:
    from browser import Browser

ALLOWED = Path(__file__).parent / "skips_allowed_on_ci.txt"


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config
) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    terminalreporter.write_line(f"skipped: {len(skipped)}")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if os.environ.get("CI") != "true" or hasattr(session.config, "workerinput"):
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return
    allowed = [line.split("  ", 1) for line in ALLOWED.read_text().splitlines() if line]
    wrong = [
        report.nodeid
        for report in reporter.stats.get("skipped", [])
        if not any(
            report.nodeid.startswith(test) and f"Skipped: {reason}" in str(report.longrepr)
            for test, reason in allowed
        )
    ]
    if wrong:
        reporter.write_line(f"skipped on CI without leave: {', '.join(wrong)}", red=True)
        session.exitstatus = 1


@pytest.fixture(scope="session", autouse=True)
def handed_on(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What dbt has read of a project goes from home to home, and between the workers."""
    parses.FOLDER = copies.shared(tmp_path_factory) / "parses"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Browser"]:
    """A real browser; without one the test is skipped."""
    import browser  # what asks for no browser needs none of it

    if browser.find() is None:
        pytest.skip(browser.INSTALL)
    with browser.chromium(tmp_path_factory.mktemp("profile")) as running:
        yield running
