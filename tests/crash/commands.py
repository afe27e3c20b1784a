"""What a child carries out: a command of `millrace`, or ingestion alone on a small project."""

import sys
from pathlib import Path
from typing import Any


def carry_out(command: list[Any]) -> int:
    """The command's exit code."""
    kind, *words = command
    given: dict[str, Any] = {
        "millrace": _millrace,
        "load": _load,
        "backfill": _backfill,
        "rewind-stream": _rewind_stream,
        "land": _land,
        "replay": _replay,
        "discard": _discard,
        "publish": _publish,
    }
    return int(given[kind](*words))


def _millrace(*words: str) -> int:
    from ops.cli import main

    sys.argv = ["millrace", *words]
    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _load(root: str) -> int:
    from projects import Project

    return _told(Project(Path(root)).loader().load("killed").errors)


def _backfill(root: str, low: str, high: str, chunk: str | None = None) -> int:
    from projects import Project

    from ingest.readers.stretch import stretch_of

    loader = Project(Path(root)).loader()
    table = loader.source.tables[0]
    stretch = stretch_of(loader.source, table, low, high, chunk)
    return _told(loader.backfill(table, stretch, "killed").errors)


def _rewind_stream(root: str, to: str) -> int:
    from projects import Project

    from ingest.readers.rewound import since

    loader = Project(Path(root)).loader()
    table = loader.source.tables[0]
    return _told(loader.rewind_stream(table, since(to, table), "killed").errors)


def _land(root: str) -> int:
    from projects import Project

    from ingest.faults import patiently
    from ingest.readers import land

    land._WINDOW = 40
    project = Project(Path(root))
    declared = project.loader().source
    lander = land.Lander(declared, declared.tables[0], project.env, land.Share())
    done = patiently()(lander.round)
    return _told([done.problem] if done.problem else [])


def _told(errors: list[Any]) -> int:
    for error in errors:
        print(error, file=sys.stderr)
    return min(len(errors), 1)


def _publish(marts: str, published: str) -> int:
    from ops.publish import PublishError, publish

    try:
        publish(Path(marts), Path(published))
    except PublishError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _replay(root: str) -> int:
    return _closing(root, lambda letters: letters.replay("killed"))


def _discard(root: str, reason: str) -> int:
    return _closing(root, lambda letters: letters.discard(letters.open_letters(), reason, "killed"))


def _closing(root: str, close: Any) -> int:
    from projects import Project

    from ingest.errors import IngestError

    try:
        close(Project(Path(root)).loader().dead_letters())
    except IngestError as error:
        print(error, file=sys.stderr)
        return 1
    return 0
