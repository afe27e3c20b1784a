"""A landing: files of messages that readers put down, and that one load takes in.

A file is `<topic>/<topic id>/<partition>/<first>-<next>.parquet` and holds every message of that
stretch of offsets, the next one left out. So the names alone say what is there and what is not,
gaps in the offsets included, and a topic that was made anew is another folder. Beside them the load
leaves `position.json`: where reading begins, and what may be deleted.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingest.declaration import Table
from ingest.disk import sync_folder
from ingest.errors import DeclarationError, SourceError
from ingest.readers import Environment, TableState, resolve
from ingest.readers.messages import SCHEMA
from ingest.readers.offsets import Partition, Place, place_of

_NAME = re.compile(r"([^/]+)/([^/]+)/(\d+)/\.?(\d{20})-(\d{20})\.parquet(?:\.\w+\.partial)?")
_POSITION = "position.json"
_ABOUT = b"millrace"  # the key of Parquet's own metadata
_ROWS = 50_000  # that are read from a file at once


@dataclass(frozen=True)
class File:
    """One landed file: the messages of a partition from `first` on, up to, and without, `next`."""

    path: Path
    place: Place
    first: int
    next: int
    size: int


Files = dict[Place, list[File]]
"""The files of each partition, by the first offset."""


@dataclass(frozen=True)
class Landing:
    """The landing of one table.

    Args:
        folder: of this table alone.
        table: the declaration.
    """

    folder: Path
    table: Table

    @classmethod
    def of(cls, table: Table, env: Environment) -> "Landing":
        """The one that the table declares.

        Raises:
            UnsetError: its variable is not set.
            DeclarationError: it is no folder, or none is declared.
        """
        where = str(resolve(table.ingest.landing, env, table.where) or "")
        if not where or "://" in where:
            raise DeclarationError(
                f"{table.label} has no landing folder" + (f": {where} is none" if where else ""),
                where=table.where,
                mend="write `landing:` and a folder that all readers and the load can write to",
            )
        return cls(Path(where) / table.label, table)

    def files(self) -> Files:
        """What has landed.

        Raises:
            SourceError: a file is there that nobody landed.
        """
        found: Files = {}
        for path in self.folder.glob("*/*/*/[!.]*"):
            try:
                size = path.stat().st_size
            except FileNotFoundError:  # just taken in
                continue
            if (file := self._named(path, size)) is None:
                raise SourceError(
                    f"{path} is no landed file",
                    where=self.table.where,
                    mend="move it away",
                )
            found.setdefault(file.place, []).append(file)
        for files in found.values():
            files.sort(key=lambda file: (file.first, file.next))
        return found

    def position(self) -> dict[str, Any] | None:
        """What the load has left: its `committer` and its state of `kafka`; None before the first.

        Raises:
            SourceError: it cannot be read.
        """
        path = self.folder / _POSITION
        try:
            told: dict[str, Any] = json.loads(path.read_text("utf-8"))
            return {"committer": told["committer"], "kafka": told["kafka"]}
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError):
            raise SourceError(
                f"{path} is not what a load leaves there",
                where=self.table.where,
                mend=f"delete it; the next load leaves it anew: millrace load {self.table.label}",
            ) from None

    def write(self, place: Place, cluster: str, rows: pa.Table, first: int, end: int) -> int:
        """Land a stretch: whole or not at all, and on the disk when this returns.

        Args:
            place: the partition.
            cluster: the cluster's id, for who looks into the file.
            rows: its messages.
            first: the first offset that was asked for.
            end: the next offset after them.

        Returns:
            The file's size in bytes.
        """
        folder = self.folder.joinpath(*map(str, place))
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{first:020}-{end:020}.parquet"
        draft = folder / f".{path.name}.{uuid4().hex}.partial"
        about = json.dumps({**_about(place, first, end), "cluster": cluster})
        try:
            with draft.open("xb") as out:
                pq.write_table(
                    rows.replace_schema_metadata({_ABOUT: about}),
                    out,
                    compression="zstd",
                    use_dictionary=["topic", "timestamp_type"],
                    write_page_checksum=True,
                )
                out.flush()
                os.fsync(out.fileno())
                size = out.tell()
            try:
                draft.replace(path)
            except FileNotFoundError:
                # by another reader's file the load stands behind this stretch, and cleared it away
                return 0
            sync_folder(folder)
        finally:
            draft.unlink(missing_ok=True)
        return size

    def read(self, file: File, first: int, end: int) -> Iterator[pa.RecordBatch]:
        """The messages of a file from the one offset up to, and without, the other.

        Raises:
            SourceError: it is torn, damaged or another's.
        """
        try:
            with pq.ParquetFile(file.path, page_checksum_verification=True) as opened:
                about = json.loads((opened.schema_arrow.metadata or {}).get(_ABOUT, b"{}"))
                about.pop("cluster", None)
                if about != _about(file.place, file.first, file.next):
                    raise ValueError("it does not say of itself what its name says")
                if not opened.schema_arrow.equals(SCHEMA):
                    raise ValueError("its columns are not those of messages")
                last = file.first - 1
                for batch in opened.iter_batches(_ROWS) if opened.metadata.num_rows else ():
                    last = _ascending(batch["offset"], last, file.next)
                    if (kept := trimmed(batch, first, end)).num_rows:
                        yield kept.replace_schema_metadata()
        except (pa.ArrowException, OSError, ValueError) as error:
            raise SourceError(
                f"{file.path} cannot be read: {' '.join(str(error).split())}; nothing of it was "
                "skipped",
                where=self.table.where,
                mend="move it away, and let its stretch land again: millrace land "
                f"{self.table.label} --partitions {file.place[2]}",
            ) from None

    def settle(self, state: TableState) -> None:
        """Say where the load stands, and delete what lies below it.

        Args:
            state: of a load that has finished. Of one that might not, nothing may be deleted.
        """
        told = {"committer": state["landing"], "kafka": state["kafka"]}
        if self.position() != told:
            self.folder.mkdir(parents=True, exist_ok=True)
            draft = self.folder / f".{_POSITION}.partial"
            draft.write_text(json.dumps(told), "utf-8")
            draft.replace(self.folder / _POSITION)
        known = next_offsets(state)
        for path in self.folder.glob("*/*/*/*"):  # what a killed reader has half written, too
            file = self._named(path, 0)
            if file is not None and file.next <= known.get(file.place, 0):
                path.unlink(missing_ok=True)

    def _named(self, path: Path, size: int) -> File | None:
        match = _NAME.fullmatch(path.relative_to(self.folder).as_posix())
        if match is None or match[4] >= match[5]:
            return None
        return File(path, (match[1], match[2], int(match[3])), int(match[4]), int(match[5]), size)


def next_offsets(state: TableState) -> dict[Place, int]:
    """The next offset of each partition that a state names."""
    return {
        place_of(name, topic["id"], int(number)): int(at)
        for name, topic in (state.get("kafka") or {}).get("topics", {}).items()
        for number, at in topic["next"].items()
    }


def covered(files: list[File], at: int) -> int:
    """How far what has landed reaches from an offset on, without a hole."""
    for file in files:
        if file.first > at:
            break
        at = max(at, file.next)
    return at


def missing(files: list[File], at: int, end: int) -> Iterator[tuple[int, int]]:
    """The stretches from an offset up to an end that have not landed."""
    for file in files:
        if file.first >= end:
            break
        if file.first > at:
            yield at, file.first
        at = max(at, file.next)
    if at < end:
        yield at, end


def trimmed(batch: pa.RecordBatch, first: int, end: int) -> pa.RecordBatch:
    """The messages from the one offset up to, and without, the other: what overlaps comes once."""
    offsets = batch["offset"]
    if first <= offsets[0].as_py() and offsets[-1].as_py() < end:
        return batch
    return batch.filter(pc.and_(pc.greater_equal(offsets, first), pc.less(offsets, end)))


def by_partition(rows: pa.Table, one: Partition) -> pa.Table:
    """The messages of one partition."""
    topic, number = one
    return rows.filter(pc.and_(pc.equal(rows["topic"], topic), pc.equal(rows["partition"], number)))


def _about(place: Place, first: int, end: int) -> Mapping[str, Any]:
    topic, topic_id, number = place
    return {"topic": topic, "id": topic_id, "partition": number, "first": first, "next": end}


def _ascending(offsets: pa.Array, last: int, end: int) -> int:
    """The last of the offsets.

    Raises:
        ValueError: they do not ascend from the last one on, or reach the end.
    """
    ascend = pc.all(pc.greater(offsets[1:], offsets[:-1])).as_py() is not False
    if not ascend or offsets[0].as_py() <= last or offsets[-1].as_py() >= end:
        raise ValueError("its offsets are not those that its name says")
    return int(offsets[-1].as_py())
