"""Where files lie: a folder, or a bucket of an object store that pyarrow can reach."""

import hashlib
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from ingest.errors import SourceDownError, SourceError
from ingest.readers import FileSeen

_CHUNK = 1 << 20
_PASSING = ("network_connection", "slow_down", "service_unavailable", "timeout", "internal_failure")


@dataclass(frozen=True)
class Found:
    """A file that lies there. Size in bytes."""

    name: str
    size: int
    modified_ns: int


class Place(Protocol):
    """Lists files and brings them within reach. `base` is the folder that names stand below."""

    base: Path

    def list(self, pattern: str) -> Iterator[Found]:
        """The files whose name below the place fits the pattern, in order of name."""
        ...

    def fetch(self, found: Found) -> tuple[Path, str]:
        """The file on this machine and the SHA-256 of its content."""
        ...

    def confirm(self, files: Sequence[FileSeen]) -> None:
        """The files, read by now, are still as they were listed.

        Raises:
            SourceError: one has changed, so what was read may be neither the old nor the new one.
        """
        ...


def open_place(path: str, scratch: Path, where: str) -> Place:
    """The folder, or the bucket of a `s3://bucket/prefix` (also `gs://`, `abfs://`).

    Credentials of an object store come from where its own tools have them; an address of another
    service is written as `s3://bucket/prefix?endpoint_override=host:port&scheme=http`.

    Raises:
        SourceError: there is no such place.
    """
    if "://" not in path:
        root = Path(path)
        if not root.is_dir():
            raise SourceError(f"there is no folder {root}", where=where)
        return _Folder(root)
    from pyarrow import fs

    try:
        store, prefix = fs.FileSystem.from_uri(path)
    except (ValueError, OSError) as error:
        name = urlsplit(path).scheme
        raise SourceError(
            f"the object store {name}:// cannot be reached: {_first(error)}", where=where
        ) from None
    return _Bucket(store, prefix.rstrip("/"), scratch / "objects", where)


class _Folder:
    def __init__(self, root: Path) -> None:
        self.base = root
        self._inside = root.resolve()

    def list(self, pattern: str) -> Iterator[Found]:
        # without these a folder that may not be read would look like an empty one
        yield from self._closed(pattern)
        for path in sorted(self.base.glob(pattern)):
            try:
                found = path.lstat() if path.is_symlink() and not path.exists() else path.stat()
            except OSError:
                continue  # gone since it was listed: there is nothing to read
            if not stat.S_ISDIR(found.st_mode):
                yield self._found(path, found)

    def _closed(self, pattern: str) -> Iterator[Found]:
        """Folders that the pattern would look into and cannot: `fetch` says why of each."""
        depth = None if "**" in pattern else len(Path(pattern).parts) - 1
        barred: list[str] = []
        for folder, folders, _ in os.walk(self.base, onerror=lambda e: barred.append(e.filename)):
            here = Path(folder)
            if depth is not None and len(here.relative_to(self.base).parts) >= depth:
                folders.clear()
            for name in sorted(folders):
                link = here / name
                if link.is_symlink() and not self._is_inside(link):
                    yield self._found(link, link.lstat())
        for path in map(Path, barred):
            yield Found(str(path.relative_to(self.base)), 0, 0)

    def _found(self, path: Path, found: os.stat_result) -> Found:
        return Found(str(path.relative_to(self.base)), found.st_size, found.st_mtime_ns)

    def fetch(self, found: Found) -> tuple[Path, str]:
        path = self.base / found.name
        if not self._is_inside(path):
            raise SourceError("it is a link that leads out of the source's folder")
        if path.is_dir():
            os.scandir(path).close()
        if not stat.S_ISREG(path.stat().st_mode):
            raise SourceError("it is no file but a pipe, a socket or a device")
        # should it have become a pipe since, opening it would wait for one who writes
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as opened:
            return path, hashlib.file_digest(opened, "sha256").hexdigest()

    def _is_inside(self, path: Path) -> bool:
        # not Path.resolve, which raises on links that lead to each other
        return Path(os.path.realpath(path)).is_relative_to(self._inside)

    def confirm(self, files: Sequence[FileSeen]) -> None:
        for file in files:
            path = self.base / file.path
            if not path.exists():
                continue  # a drop that is tidied up: what was read was the whole file
            now = path.stat()
            if (now.st_size, now.st_mtime_ns) != (file.size, file.modified_ns):
                raise SourceError("it changed while it was read")


class _Bucket:
    """Objects are copied to the scratch folder, and hashed on the way."""

    def __init__(self, store: Any, prefix: str, base: Path, where: str) -> None:
        self._store, self._prefix, self.base, self._where = store, prefix, base, where

    def list(self, pattern: str) -> Iterator[Found]:
        from pyarrow import fs

        fits = re.compile(_regex(pattern))
        try:
            every = self._store.get_file_info(fs.FileSelector(self._prefix, recursive=True))
        except OSError as error:
            raise self._error(error) from None
        for info in sorted(every, key=lambda info: info.path):
            name = info.path[len(self._prefix) + 1 :]
            if info.type == fs.FileType.File and fits.fullmatch(name):
                yield Found(name, info.size, info.mtime_ns or 0)

    def fetch(self, found: Found) -> tuple[Path, str]:
        path = self.base / found.name
        if not path.resolve().is_relative_to(self.base.resolve()):
            raise SourceError(f"the object {found.name!r} has no name that a file can have")
        path.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        try:
            with (
                # as it lies there: by itself pyarrow unpacks what has a name like x.gz
                self._store.open_input_stream(
                    f"{self._prefix}/{found.name}", compression=None
                ) as source,
                path.open("wb") as target,
            ):
                while chunk := source.read(_CHUNK):
                    digest.update(chunk)
                    target.write(chunk)
        except OSError as error:
            raise self._error(error) from None
        return path, digest.hexdigest()

    def confirm(self, files: Sequence[FileSeen]) -> None:
        """What is read is a copy of our own."""

    def _error(self, error: OSError) -> SourceError | SourceDownError:
        if any(word in str(error).lower() for word in _PASSING):
            return SourceDownError(
                f"the object store does not answer: {_first(error)}",
                where=self._where,
                mend="the next run reads on from where this one was",
            )
        return SourceError(f"the object store refused: {_first(error)}", where=self._where)


def _regex(pattern: str) -> str:
    """A glob as a regular expression: `*` within one folder, `**/` across folders."""
    made = ""
    for part in re.split(r"(\*\*/|\*|\?)", pattern):
        made += {"**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}.get(part, re.escape(part))
    return made


def _first(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
