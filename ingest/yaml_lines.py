"""YAML with the line of every node, so that an error can point at it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

Place = tuple[str | int, ...]
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast where there is libyaml


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
        ValueError: it holds a value that cannot be, like the 31st of February.
    """
    loader = _Loader(path.read_text(encoding="utf-8"))
    try:
        node = loader.get_single_node()
        if node is None:
            return None, Lines({})
        lines = dict(_walk(node, (), ()))
        return loader.construct_document(node), Lines(lines)
    finally:
        loader.dispose()


def _walk(node: yaml.Node, path: Place, above: tuple[int, ...]) -> Iterator[tuple[Place, int]]:
    yield path, node.start_mark.line + 1
    if id(node) in above:
        raise _problem("an anchor holds itself", node)
    above = (*above, id(node))
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _problem("a key is not a word", key)
            if key.value in seen:
                raise _problem(f"the key {key.value!r} stands twice", key)
            seen.add(key.value)
            yield (*path, key.value), key.start_mark.line + 1
            for place, line in _walk(value, (*path, key.value), above):
                if place != (*path, key.value):
                    yield place, line
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _walk(item, (*path, index), above)


def _problem(what: str, node: yaml.Node) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(None, None, what, node.start_mark)
