"""A parsed project with less in it, for commands that ask for less.

For each node dbt makes three namespaces of all macros, of 2 040 in this project; 1 100 of them are
Elementary's. And Elementary's tables are filled by us from dbt's artifacts: its hooks would do that
once more.
"""

import copy
import re
from collections.abc import Callable, Iterable
from typing import Any

_ITS = "elementary"
_NAMED = re.compile(rf"\b{_ITS}\.(\w+)")
_KINDS = (
    *("nodes", "sources", "unit_tests", "exposures", "functions"),
    *("metrics", "semantic_models", "saved_queries"),
)


def whole(manifest: Any) -> Any:
    """The project as it is."""
    return manifest


def leaner(manifest: Any) -> Any:
    """The project without what of Elementary no other node reads, calls or names: its tables, its
    hooks and its macros.

    Args:
        manifest: dbt's; it stays as it is, and the nodes are the same ones.
    """
    known = {key: one for kind in _KINDS for key, one in getattr(manifest, kind).items()}
    kept = _closure(
        (key for key, one in known.items() if one.package_name != _ITS),
        lambda key: _needs(known.get(key), "nodes"),
    )
    macros = _closure(
        [macro for key in kept if key in known for macro in _called(known[key])]
        + [key for key, macro in manifest.macros.items() if macro.package_name != _ITS],
        lambda key: _needs(manifest.macros.get(key), "macros"),
    )
    lean = _with(manifest, {key: node for key, node in manifest.nodes.items() if key in kept})
    lean.macros = {key: macro for key, macro in manifest.macros.items() if key in macros}
    lean._macros_by_name = lean._macros_by_package = None
    return lean


def without_hooks(manifest: Any) -> Any:
    """The project without any hook of Elementary: its tables are made, and not filled.

    Filling them row by row takes 9 s of 11.

    Args:
        manifest: dbt's; it stays as it is.
    """
    nodes = {}
    for key, node in manifest.nodes.items():
        if node.package_name == _ITS:
            if node.resource_type == "operation":
                continue
            if node.resource_type == "model":
                node = copy.copy(node)
                node.config = copy.copy(node.config)
                node.config.pre_hook, node.config.post_hook = [], []
        nodes[key] = node
    return _with(manifest, nodes)


def _called(one: Any) -> list[str]:
    """The macros of Elementary that a node may call.

    dbt knows of those that ran while it read the project; one behind `is_incremental()` did not.
    """
    texts = (getattr(one, name, "") for name in ("raw_code", "config", "loaded_at_query"))
    named = _NAMED.findall(" ".join(map(str, texts)))
    return [*_needs(one, "macros"), *(f"macro.{_ITS}.{name}" for name in named)]


def _needs(one: Any, what: str) -> list[str]:
    return list(getattr(getattr(one, "depends_on", None), what, ()))


def _closure(first: Iterable[str], more: Callable[[str], list[str]]) -> set[str]:
    """These, and all that `more` gives for each of them, and so on."""
    found = set(first)
    left = [*found]
    while left:
        new = set(more(left.pop())) - found
        found |= new
        left += new
    return found


def _with(manifest: Any, nodes: dict[str, Any]) -> Any:
    other = object.__new__(type(manifest))  # `copy.copy` would lose what it looks nodes up by
    other.__dict__.update(manifest.__dict__)
    other.nodes = nodes
    return other
