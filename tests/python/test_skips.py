"""On CI a skip that is not on the list is a failure."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CACHE = "the real dbt packages are not in the user's cache: run `millrace deps` online"


@pytest.mark.parametrize(
    ("file", "reason", "code"),
    [
        ("standins/test_quality.py", CACHE, 0),
        ("standins/test_quality.py", "elementary-data is not installed", 1),
        ("pipeline/test_offline.py", "a network namespace needs root: no", 0),
        ("pipeline/test_offline.py", "unshare is not here", 1),
        ("ops/test_packages.py", CACHE, 1),
    ],
)
def test_only_what_the_list_says_may_be_skipped(
    tmp_path: Path, file: str, reason: str, code: int
) -> None:
    tests = tmp_path / "tests" / "python"
    (tests / file).parent.mkdir(parents=True)
    for name in ("conftest.py", "skips_allowed_on_ci.txt"):
        shutil.copy(HERE / name, tests)
    (tmp_path / "pytest.ini").touch()
    (tests / file).write_text(
        f"import pytest\ndef test_skipped(): pytest.skip({reason!r})\ndef test_good(): pass\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
        cwd=tmp_path,
        env={**os.environ, "CI": "true", "PYTHONPATH": str(HERE)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stdout
    assert ("skipped on CI without leave" in done.stdout) == bool(code)
