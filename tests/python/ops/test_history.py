"""A point is whole files, a piece is stored once, what is forgotten leaves the others whole."""

from __future__ import annotations

import errno
import random
from pathlib import Path

import pytest

from ops.history import BLOCK, HEADER, History, HistoryError

DICE = random.Random(3)


def block() -> bytes:
    return DICE.randbytes(BLOCK)


def keep(history: History, name: str, file: Path, *blocks: bytes) -> bytes:
    """Write a file of a header and blocks, keep it, and return what it holds."""
    content = name.encode().ljust(HEADER, b".") + b"".join(blocks)
    file.write_bytes(content)
    with file.open("rb") as opened:
        history.keep(name, {}, {"file": opened})
    return content


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / "pieces").iterdir())


def restored(history: History, name: str, into: Path) -> bytes:
    point = next(point for point in history.points() if point.name == name)
    history.restore(point, "file", into)
    return into.read_bytes()


def test_what_comes_back_is_what_was_kept_to_the_nanosecond(tmp_path: Path) -> None:
    history, file = History(tmp_path / "h"), tmp_path / "file"
    a, b, c = block(), block(), block()[:1000]
    contents = {
        "one": keep(history, "one", file, a, b),
        "two": keep(history, "two", file, a, c),
        "three": keep(history, "three", file),
    }
    changed = file.stat().st_mtime_ns
    for name, content in contents.items():
        assert restored(history, name, tmp_path / name) == content
    assert (tmp_path / "three").stat().st_mtime_ns == changed
    assert [point.name for point in history.points()] == ["one", "two", "three"]


def test_a_point_costs_the_blocks_that_changed_wherever_they_lie(tmp_path: Path) -> None:
    history, file = History(tmp_path / "h"), tmp_path / "file"
    blocks = [block() for _ in range(20)]
    keep(history, "one", file, *blocks)
    before = size(tmp_path / "h")
    keep(history, "two", file, *reversed(blocks[:19]), block())
    assert size(tmp_path / "h") - before == HEADER + BLOCK
    assert history.own_bytes() == {"one": HEADER + BLOCK, "two": HEADER + BLOCK}
    assert not (tmp_path / "h").stat().st_mode & 0o077


def test_what_is_forgotten_takes_its_own_pieces_along_and_no_others(tmp_path: Path) -> None:
    history, file = History(tmp_path / "h"), tmp_path / "file"
    shared, old, contents = block(), block(), {}
    for number in range(5):
        name = f"run{number}"
        contents[name] = keep(history, name, file, shared, *[old] * (number < 3), block())
    stray = tmp_path / "h" / "pieces" / "left by a kill"
    stray.write_bytes(b"half a piece")
    gone = history.prune(2, also=["run1"])
    assert [point.name for point in gone] == ["run0", "run2"]
    assert [point.name for point in history.points()] == ["run1", "run3", "run4"]
    assert not stray.exists()
    for name in ("run1", "run3", "run4"):
        assert restored(history, name, tmp_path / "back") == contents[name]
    assert size(tmp_path / "h") == 3 * (HEADER + BLOCK) + 2 * BLOCK
    assert history.prune(5) == []


def test_a_piece_that_a_kill_left_torn_is_written_again(tmp_path: Path) -> None:
    history, file = History(tmp_path / "h"), tmp_path / "file"
    content = keep(history, "one", file, block())
    for path in (tmp_path / "h" / "pieces").iterdir():
        path.write_bytes(b"\0" * path.stat().st_size)  # as a power cut may leave it: right size
    (tmp_path / "h" / "points" / "one.json").unlink()  # which comes last, so it is not there
    file.write_bytes(content)
    with file.open("rb") as opened:
        history.keep("again", {}, {"file": opened})
    assert restored(history, "again", tmp_path / "back") == content


def test_the_same_again_is_no_new_point_and_another_of_that_name_is_numbered(
    tmp_path: Path,
) -> None:
    history, file = History(tmp_path / "h"), tmp_path / "file"
    first = keep(history, "one", file, block())
    with file.open("rb") as opened:
        history.keep("one", {}, {"file": opened})
    assert len(history.points()) == 1
    second = keep(history, "one", file, block())
    assert restored(history, "one", tmp_path / "back") == first
    assert restored(history, "one.2", tmp_path / "back") == second


def test_a_damaged_list_is_named(tmp_path: Path) -> None:
    history = History(tmp_path / "h")
    keep(history, "one", tmp_path / "file", block())
    path = tmp_path / "h" / "points" / "one.json"
    path.write_text(path.read_text()[:-9])
    with pytest.raises(HistoryError, match=r"one\.json is damaged.*Delete it"):
        history.points()


def test_the_present_is_a_point_for_as_long_as_its_marks_hold(tmp_path: Path) -> None:
    history = History(tmp_path / "h")
    keep(history, "one", tmp_path / "file", block())
    assert history.present("marks") is None
    history.note(history.points()[0], "marks")
    assert history.present("marks") == history.points()[0]
    assert history.present("others") is None


def test_a_full_disk_keeps_the_points_there_are_and_stays_no_fuller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history, file = History(tmp_path / "h"), tmp_path / "file"
    content = keep(history, "one", file, block())
    before, write = size(tmp_path / "h"), Path.write_bytes
    file.write_bytes(content + block() + block())
    left = iter([True])

    def full(path: Path, piece: bytes) -> int:
        if next(left, False):
            return write(path, piece)
        write(path, piece[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with file.open("rb") as opened, pytest.raises(OSError, match="No space"):
        history.keep("two", {}, {"file": opened})
    assert size(tmp_path / "h") == before
    assert [point.name for point in history.points()] == ["one"]
    assert restored(history, "one", tmp_path / "back") == content
