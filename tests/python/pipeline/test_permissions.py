"""Who may read what a run makes: its rows the owner alone, what it publishes everyone."""

import os
import stat
from pathlib import Path

import pytest
from homes import Home

from ops import permissions

pytestmark = pytest.mark.xdist_group("thin")

OURS = ("warehouse", ".millrace", "target", "logs")


def _modes(folder: Path) -> dict[Path, int]:
    """Every file and folder below a folder, and itself, to its permissions."""
    there = [folder, *(path for path in folder.rglob("*") if not path.is_symlink())]
    return {path: stat.S_IMODE(path.stat().st_mode) for path in there}


def test_a_whole_run_under_a_umask_that_forbids_nothing(settled: Home) -> None:
    private = {p: m for name in OURS for p, m in _modes(settled.path / name).items()}
    assert len(private) > 50
    assert settled.warehouse in private
    assert settled.marts in private
    assert {path for path, mode in private.items() if mode & 0o077} == set()

    published = _modes(settled.path / "published")
    names = {"marts.duckdb", "index.html", "docs.html", "quality.html"}
    assert names <= {path.name for path in published}
    for path, mode in published.items():
        assert mode == (0o755 if path.is_dir() else 0o644), path


def test_a_folder_of_readers_is_as_open_as_the_umask_says(tmp_path: Path) -> None:
    for umask, wanted in ((0o000, 0o755), (0o022, 0o755), (0o027, 0o750), (0o077, 0o700)):
        before = os.umask(umask)
        try:
            permissions.open_folder(tmp_path / f"{umask:o}" / "site")
        finally:
            os.umask(before)
        modes = _modes(tmp_path / f"{umask:o}")
        assert set(modes.values()) == {wanted}, oct(umask)


def test_what_is_open_already_stays_so(tmp_path: Path) -> None:
    folder = tmp_path / "published"
    folder.mkdir(mode=0o770)
    folder.chmod(0o770)
    permissions.open_folder(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o770


def test_what_a_process_makes_is_private_from_then_on(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        (tmp_path / "former").write_text("")
        permissions.keep_private()
        (tmp_path / "private").write_text("")
        (tmp_path / "folder").mkdir()
        with permissions.readable():
            (tmp_path / "code").write_text("")
        (tmp_path / "private again").write_text("")
    finally:
        os.umask(before)
    modes = {path.name: mode for path, mode in _modes(tmp_path).items()}
    del modes[tmp_path.name]
    assert modes == {
        "former": 0o666,
        "private": 0o600,
        "folder": 0o700,
        "code": 0o644,
        "private again": 0o600,
    }
