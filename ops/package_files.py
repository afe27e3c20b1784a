"""Folders of dbt packages on disk: put in place whole, and marked with where they came from."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

Origin = Literal["hub", "cache", "stand-ins"]
Pins = Mapping[str, str]  # package name -> exact version

STAND_INS = Path(__file__).parent / "standins"
MARKER = ".millrace.json"


class PackagesError(Exception):
    """The dbt packages cannot be installed; the message says which, and what to do."""


def marker(kind: Origin, pins: Pins) -> dict[str, Any]:
    mark: dict[str, Any] = {"origin": kind, "packages": dict(pins)}
    if kind == "stand-ins":
        digest = hashlib.sha256()
        for path in sorted(STAND_INS.rglob("*")):
            if path.is_file():
                digest.update(path.relative_to(STAND_INS).as_posix().encode())
                digest.update(path.read_bytes())
        mark["digest"] = digest.hexdigest()
    return mark


def read_marker(place: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((place / MARKER).read_text()))
    except (OSError, ValueError):
        return {}


def replace(place: Path, trees: Mapping[str, Path], mark: Mapping[str, Any]) -> None:
    """Replaces a folder of packages by copies of the given trees."""
    with beside(place) as new:
        for name, tree in trees.items():
            shutil.copytree(tree, new / name, ignore=shutil.ignore_patterns(".*", "__pycache__"))
        (new / MARKER).write_text(json.dumps(mark, indent=1))
        old = Path(tempfile.mkdtemp(prefix=".old_packages_", dir=place.parent))
        try:
            if place.exists():
                place.rename(old / "packages")
            new.rename(place)
        finally:
            shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def beside(place: Path) -> Iterator[Path]:
    """A new folder on the same disk as ``place``; removed when it was not renamed."""
    try:
        folder = Path(tempfile.mkdtemp(prefix=".new_packages_", dir=place.parent))
    except OSError as error:
        raise PackagesError(
            f"cannot write to {place.parent}: {os.strerror(error.errno or 0)}"
        ) from error
    try:
        folder.chmod(0o755)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
