"""The history of a warehouse: whole files as they stood at the end of runs, each piece kept once.

A DuckDB file is a header of 12 KiB and then blocks of 256 KiB, which stay as they are until their
rows change. Files are cut there, a piece is named by its hash, and a point is a list of names. So a
point costs what changed since the one before, on every file system, and a piece that the disk has
spoilt is known by its name.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO

from ingest.disk import sync_folder

HEADER, BLOCK = 3 * 4096, 256 * 1024
"""How DuckDB divides its files, in bytes."""


class HistoryError(Exception):
    """A point cannot be kept or brought back; the files in use stay as they were."""


@dataclass(frozen=True)
class Kept:
    """A file in a point: its size in bytes, its time of change, the names of its pieces."""

    bytes: int
    modified_ns: int
    pieces: tuple[str, ...]


@dataclass(frozen=True)
class Point:
    """What was kept at the end of a run.

    Attributes:
        name: the run's id; with `.2`, `.3` … where the files changed again with no other run.
        kept_at: when, UTC, as an ISO time.
        about: what it holds, for people.
        files: by the names that they were kept under.
    """

    name: str
    kept_at: str
    about: Mapping[str, Any]
    files: Mapping[str, Kept]

    @property
    def bytes(self) -> int:
        """The size of all its files."""
        return sum(file.bytes for file in self.files.values())

    def pieces(self) -> set[str]:
        """The names of all its pieces."""
        return {piece for file in self.files.values() for piece in file.pieces}


class History:
    """Points in a folder: `points/<name>.json`, and `pieces/<hash>`, which several may share."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._points, self._pieces = folder / "points", folder / "pieces"
        self._present = folder / "present.json"

    def points(self) -> list[Point]:
        """All points, the oldest first."""
        found = [_read(path) for path in self._points.glob("*.json")]
        return sorted(found, key=lambda point: (point.kept_at, point.name))

    def keep(self, run_id: str, about: Mapping[str, Any], files: Mapping[str, BinaryIO]) -> Point:
        """Keep open files, which nobody may write to meanwhile; durable when this returns.

        A kill leaves the points that there were, and perhaps pieces that `prune` removes.
        """
        self._folder.parent.mkdir(parents=True, exist_ok=True)
        for folder in (self._folder, self._points, self._pieces):
            folder.mkdir(mode=0o700, exist_ok=True)  # all of raw, for its owner alone
        points = self.points()
        # a piece that no point names may be torn by a kill, so it is not relied on
        whole = set[str]().union(*(point.pieces() for point in points))
        try:
            kept = {name: self._cut(file, whole) for name, file in files.items()}
        except OSError:
            self.prune(len(points))  # a full disk must not stay full of what is no point
            raise
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        point = Point(run_id, at, about, kept)
        there = {each.name: each for each in points}
        for number in count(2):
            known = there.get(point.name)
            if known is None:
                break
            if known.files == point.files:
                return known
            point = replace(point, name=f"{run_id}.{number}")
        sync_folder(self._pieces)
        write_json(self._points / f"{point.name}.json", asdict(point))
        return point

    def _cut(self, file: BinaryIO, whole: set[str]) -> Kept:
        """Store the pieces that are not `whole` yet, to which they are added."""
        stat, pieces, fresh = os.fstat(file.fileno()), list[str](), list[Path]()
        for piece in _cut(file):
            name = _name(piece)
            path = self._pieces / name
            if name not in whole or not _is_there(path, len(piece)):
                path.write_bytes(piece)
                fresh.append(path)
                whole.add(name)
            pieces.append(name)
        for path in fresh:  # not one by one as they are written, which takes twice as long
            with path.open("rb") as written:
                os.fsync(written.fileno())
        return Kept(stat.st_size, stat.st_mtime_ns, tuple(pieces))

    def restore(self, point: Point, name: str, into: Path) -> None:
        """Write a file as it was kept, to a new path; on the disk when this returns.

        Raises:
            HistoryError: a piece is missing or not what it was.
        """
        kept = point.files[name]
        with into.open("wb") as file:
            for piece in kept.pieces:
                file.write(self._whole(piece, point))
            file.flush()
            os.utime(file.fileno(), ns=(kept.modified_ns, kept.modified_ns))
            os.fsync(file.fileno())
        if into.stat().st_size != kept.bytes:
            raise HistoryError(f"the list of pieces of {point.name} is damaged")

    def _whole(self, name: str, point: Point) -> bytes:
        path = self._pieces / name
        try:
            piece = path.read_bytes()
        except OSError as error:
            raise HistoryError(f"a piece of {point.name} cannot be read: {error}") from None
        if _name(piece) != name:
            raise HistoryError(f"a piece of {point.name} is damaged: {path}")
        return piece

    def prune(self, keep: int, also: Collection[str] = ()) -> list[Point]:
        """Forget all points but the newest, and delete the pieces that no other names.

        Args:
            keep: how many stay.
            also: names of older ones that stay.

        Returns:
            The points that are gone.
        """
        points = self.points()
        gone = [p for p in points[: max(0, len(points) - keep)] if p.name not in also]
        for point in gone:
            (self._points / f"{point.name}.json").unlink()
        if gone:  # first, or a power cut could leave a point without its pieces
            sync_folder(self._points)
        named = set[str]().union(*(point.pieces() for point in points if point not in gone))
        for path in self._pieces.glob("*"):
            if path.name not in named:
                path.unlink()
        return gone

    def own_bytes(self) -> dict[str, int]:
        """Bytes that only this point names, and that would be free without it, by its name."""
        points = self.points()
        named = Counter(piece for point in points for piece in point.pieces())
        return {
            point.name: sum(
                (self._pieces / piece).stat().st_size
                for piece in point.pieces()
                if named[piece] == 1 and (self._pieces / piece).exists()
            )
            for point in points
        }

    def note(self, point: Point, marks: str) -> None:
        """Write down that the files in use are those of a point, for as long as `marks` holds."""
        write_json(self._present, {"point": point.name, "marks": marks})

    def present(self, marks: str) -> Point | None:
        """The point whose files are in use; None where they have changed since."""
        if not self._present.exists():
            return None
        noted = json.loads(self._present.read_text("utf-8"))
        if noted["marks"] != marks:
            return None
        return next((point for point in self.points() if point.name == noted["point"]), None)


def _cut(file: BinaryIO) -> Iterator[bytes]:
    piece = file.read(HEADER)
    while piece:
        yield piece
        piece = file.read(BLOCK)


def _name(piece: bytes) -> str:
    return hashlib.blake2b(piece, digest_size=20).hexdigest()


def _is_there(path: Path, size: int) -> bool:
    return path.exists() and path.stat().st_size == size


def _read(path: Path) -> Point:
    try:
        told = json.loads(path.read_text("utf-8"))
        files = {
            name: Kept(file["bytes"], file["modified_ns"], tuple(file["pieces"]))
            for name, file in told["files"].items()
        }
        return Point(told["name"], told["kept_at"], told["about"], files)
    except (ValueError, KeyError, TypeError) as error:
        raise HistoryError(f"{path} is damaged: {error}. Delete it to go on without it") from None


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Replace a file as a whole; on the disk when this returns."""
    draft = path.with_name(f"{path.name}.draft")
    with draft.open("w", encoding="utf-8") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync_folder(path.parent)
