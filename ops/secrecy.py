"""What no log, trace or message may show: the secrets of every source of the project."""

import re
from pathlib import Path
from typing import Any

from ingest.declaration import Source, Table, load_sources
from ingest.errors import DeclarationError
from ingest.hidden import ENV, forms, written
from ingest.readers import secrets
from ops import settings


def hidden_texts() -> tuple[str, ...]:
    """The secrets of the project that the working folder is in, in all their forms.

    Asked for on the way to a message about anything: a declaration that cannot be read gives the
    variables that it names.
    """
    project = settings.project_folder()
    if project is None:
        return ()
    env = settings.environment()
    try:
        sources = load_sources(project, env)
        return tuple({text for source in sources for text in secrets(source, env)})
    except DeclarationError:
        paths = (project / "models").rglob("*.y*ml")
        names = {name for path in paths for name in ENV.findall(_text(path))}
        found = {form for name in names for form in forms(env.get(name, ""))}
        return tuple(text for text in found if len(text) > 3)


def refuse_written(sources: tuple[Source, ...]) -> None:
    """A secret in the YAML is refused: dbt writes the YAML into its manifest and its docs.

    Raises:
        DeclarationError: a source has one.
    """
    for source in sources:
        parts: tuple[Source | Table, ...] = (source, *source.tables)
        for part in parts:
            for key in written(part.ingest.model_dump()):
                raise DeclarationError(
                    f"a secret stands here, under {key!r}; dbt would write it into its docs",
                    where=part.where,
                    mend=f"export it as a variable, and write {key}: env:NAME",
                )


def without(value: Any, hidden: tuple[str, ...]) -> Any:
    """The text, or every text in the value, without the hidden ones.

    The longest first, for one may be a part of another.
    """
    if isinstance(value, dict):
        return {key: without(item, hidden) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without(item, hidden) for item in value]
    if not hidden or not isinstance(value, str):
        return value
    every = "|".join(map(re.escape, sorted(hidden, key=len, reverse=True)))
    return re.sub(every, "***", value)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
