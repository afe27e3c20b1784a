"""`make clean` leaves the folder as a fresh clone has it."""

import shutil
import subprocess
from pathlib import Path

PROJECT = Path(__file__).parents[3]


def git(folder: Path, *words: str) -> str:
    call = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *words]
    return subprocess.run(call, cwd=folder, check=True, capture_output=True, text=True).stdout


def test_what_is_ignored_is_deleted_and_what_is_tracked_stays(tmp_path: Path) -> None:
    for name in ("Makefile", ".gitignore"):
        shutil.copy2(PROJECT / name, tmp_path / name)
    (tmp_path / "warehouse").mkdir()
    (tmp_path / "warehouse" / ".gitkeep").touch()
    (tmp_path / "ops").mkdir()
    (tmp_path / "ops" / "module.py").touch()
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "--force", ".")
    git(tmp_path, "commit", "-q", "-m", "all")
    made = [line for line in (tmp_path / ".gitignore").read_text().splitlines() if line]
    assert len(made) > 10
    for pattern in made:
        for below in ("", "ops/") if pattern == "__pycache__/" else ("",):
            path = tmp_path / below / pattern.replace("*", "millrace")
            file = path / "deep" / "file" if pattern.endswith("/") else path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
    assert git(tmp_path, "status", "--porcelain", "--ignored")

    done = subprocess.run(["make", "clean"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert git(tmp_path, "status", "--porcelain", "--ignored") == ""
    again = subprocess.run(["make", "clean"], cwd=tmp_path, capture_output=True, text=True)
    assert again.returncode == 0, "also where there is nothing to delete"
