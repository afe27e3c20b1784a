"""The disk may lose its power: what readers get was on it before they can get it."""

import os
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ops.publish import SNAPSHOT, publish


def told(monkeypatch: pytest.MonkeyPatch, marts: Path, published: Path) -> list[tuple[str, int]]:
    """What publishing asked of the disk, in order: (call, inode)."""
    asked: list[tuple[str, int]] = []
    fsync, replace = os.fsync, os.replace

    def synced(descriptor: int) -> None:
        asked.append(("fsync", os.fstat(descriptor).st_ino))
        fsync(descriptor)

    def heard(event: str, given: tuple[Any, ...]) -> None:
        if listening and event == "os.rename" and Path(str(given[1])).name == SNAPSHOT:
            asked.append(("rename", Path(str(given[0])).stat().st_ino))

    listening = True
    sys.addaudithook(heard)  # it stays for ever, and hears nothing more after this
    monkeypatch.setattr(os, "fsync", synced)
    try:
        publish(marts, published)
    finally:
        listening = False
        monkeypatch.undo()
    assert replace is os.replace
    return asked


def in_order(asked: list[tuple[str, int]], published: Path) -> bool:
    """The copy is synced, then renamed, then the folder is synced."""
    copy, folder = (published / SNAPSHOT).stat().st_ino, published.stat().st_ino
    wanted = [("fsync", copy), ("rename", copy), ("fsync", folder)]
    return [call for call in asked if call in wanted] == wanted


@pytest.fixture
def marts(tmp_path: Path) -> Path:
    file = tmp_path / "marts.duckdb"
    with duckdb.connect(str(file)) as con:
        con.execute("create table a as select 1 as id")
    return file


def test_the_copy_is_on_the_disk_before_its_name_is(
    marts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = tmp_path / "published"
    for _ in range(2):
        assert in_order(told(monkeypatch, marts, published), published)


@pytest.mark.parametrize("without", ["the copy's fsync", "the folder's fsync", "the order"])
def test_a_missing_fsync_is_seen(
    marts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without: str
) -> None:
    from ops import publish as module

    published = tmp_path / "published"
    sync_folder = module.sync_folder
    with pytest.MonkeyPatch.context() as patch:
        if without == "the folder's fsync":
            patch.setattr(module, "sync_folder", lambda folder: None)
        else:
            whole = module.copy

            def copied(source: Any, partial: Path) -> None:
                with pytest.MonkeyPatch.context() as lax:
                    lax.setattr(os, "fsync", lambda descriptor: None)
                    whole(source, partial)

            patch.setattr(module, "copy", copied)
        if without == "the order":

            def late(folder: Path) -> None:
                with (folder / SNAPSHOT).open("rb") as file:
                    os.fsync(file.fileno())
                sync_folder(folder)

            patch.setattr(module, "sync_folder", late)
        asked = told(monkeypatch, marts, published)
    assert not in_order(asked, published)
