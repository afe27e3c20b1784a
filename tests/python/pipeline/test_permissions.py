"""Who may read what a run makes: its rows the owner alone, what it publishes everyone."""

import os
import stat
from pathlib import Path

import pytest
from homes import SETTLED_ON, Home

SAMPLE = "sample_data"  # the pretend sources: made by the test, not by the run


def _modes(home: Home) -> dict[Path, int]:
    """Every file and folder below the home, to its permissions."""
    found = {}
    for folder, folders, names in os.walk(home.path):
        for name in (*folders, *names):
            path = Path(folder) / name
            below = path.relative_to(home.path)
            if below.parts[0] != SAMPLE and not path.is_symlink():
                found[below] = stat.S_IMODE(path.stat().st_mode)
    return found


def _open(modes: dict[Path, int], bits: int) -> set[Path]:
    return {path for path, mode in modes.items() if mode & bits}


@pytest.mark.parametrize("umask", ["000", "022"])
def test_rows_are_their_owners_and_the_published_is_everyones(tmp_path: Path, umask: str) -> None:
    home = Home(tmp_path / "home").start(SETTLED_ON, thin=True)
    if umask == "000":  # the pages too, once
        words = "run"
    else:
        words = "load"
    done = home.call("sh", "-c", f"umask {umask}; exec millrace {words}")
    assert done.code == 0, done.text
    modes = _modes(home)
    shared = {path for path in modes if path.parts[0] == "published"}
    assert _open(modes, 0o077) == shared
    assert len(modes) - len(shared) > 20
    assert not _open(modes, 0o022)
    if words == "run":
        names = {path.name for path in shared if (home.path / path).is_file()}
        assert names >= {"marts.duckdb", "index.html", "docs.html", "quality.html"}
        for path in shared:
            assert modes[path] == (0o755 if (home.path / path).is_dir() else 0o644), path
