"""A home of their own for the tests of the models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("home")
        for name in ("MILLRACE_WAREHOUSE", "MILLRACE_MARTS", "DBT_TARGET_PATH", "DBT_LOG_PATH",
                     "MILLRACE_POS_URL", "MILLRACE_LOYALTY_URL",
                     "MILLRACE_SCANNER_BROKERS"):  # fmt: skip
            patch.delenv(name, raising=False)
        patch.setenv("MILLRACE_HOME", str(home))
        patch.setenv("DBT_SEND_ANONYMOUS_USAGE_STATS", "false")
        yield home
