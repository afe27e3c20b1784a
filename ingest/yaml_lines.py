"""YAML with the line of every node, so that an error can point at it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

Place = tuple[str | int, ...]


class Lines:
    """The line (from 1) of each node of a document, by its path of keys and indexes."""

    def __init__(self, lines: dict[Place, int]) -> None:
        self._lines = lines

    def line(self, path: Place) -> int:
        """The line of the node, or of the nearest node above it that is written out."""
        while path and path not in self._lines:
            path = path[:-1]
        return self._lines.get(path, 1)

    def words(self, path: Place) -> set[str | int]:
        """Every key and index that stands anywhere below the path."""
        return {part for place in self._lines if place[: len(path)] == path for part in place}


def read_with_lines(path: Path) -> tuple[Any, Lines]:
    """The document of a YAML file and the lines of its nodes.

    Raises:
        yaml.YAMLError: it is not YAML; a key that stands twice in one mapping counts as that.
        UnicodeDecodeError: it is not UTF-8.
    """
    text = path.read_text(encoding="utf-8")
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    if node is None:
        return None, Lines({})
    lines = dict(_walk(node, ()))
    return yaml.safe_load(text), Lines(lines)


def _walk(node: yaml.Node, path: Place) -> Iterator[tuple[Place, int]]:
    yield path, node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} stands twice", key.start_mark
                )
            seen.add(key.value)
            yield (*path, key.value), key.start_mark.line + 1
            for place, line in _walk(value, (*path, key.value)):
                if place != (*path, key.value):
                    yield place, line
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _walk(item, (*path, index))
