"""Where files lie: a folder, or a bucket of an object store that pyarrow can reach."""

import hashlib
import re
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
        for path in sorted(self.base.glob(pattern)):
            # a link that leads out of the declared folder is not a file of it
            if path.is_file() and path.resolve().is_relative_to(self._inside):
                stat = path.stat()
                yield Found(str(path.relative_to(self.base)), stat.st_size, stat.st_mtime_ns)

    def fetch(self, found: Found) -> tuple[Path, str]:
        path = self.base / found.name
        with path.open("rb") as opened:
            return path, hashlib.file_digest(opened, "sha256").hexdigest()

    def confirm(self, files: Sequence[FileSeen]) -> None:
        for file in files:
            path = self.base / file.path
            if not path.exists():
                continue  # a drop that is tidied up: what was read was the whole file
            stat = path.stat()
            if (stat.st_size, stat.st_mtime_ns) != (file.size, file.modified_ns):
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
                self._store.open_input_stream(f"{self._prefix}/{found.name}") as source,
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
