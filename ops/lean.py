"""A parsed project with less in it, for commands that ask for less.

For each node dbt makes three namespaces of all macros; of 2 037, Elementary has a thousand. And
Elementary's tables are filled by us from dbt's artifacts: its hooks would do that once more.
"""

import copy
from typing import Any

_ITS = "elementary"


def whole(manifest: Any) -> Any:
    """The project as it is."""
    return manifest


def leaner(manifest: Any) -> Any:
    """The project without what none of its own nodes calls or reads: macros of packages, and
    Elementary's tables and hooks. A build of 37 nodes takes 1.4 s of processor, not 2.3.

    Args:
        manifest: dbt's; it stays as it is, and the nodes are the same ones.
    """
    known = {**manifest.nodes, **manifest.unit_tests, **manifest.exposures}
    nodes = _closure(
        [key for key, node in known.items() if node.package_name != _ITS],
        lambda key: known[key].depends_on_nodes if key in known else [],
    )
    macros = _closure(
        [macro for key in nodes if key in known for macro in _macros(known[key])]
        + [key for key, macro in manifest.macros.items() if _at_hand(macro, manifest)],
        lambda key: _macros(manifest.macros[key]) if key in manifest.macros else [],
    )
    lean = _with(manifest, {key: node for key, node in manifest.nodes.items() if key in nodes})
    lean.macros = {key: macro for key, macro in manifest.macros.items() if key in macros}
    lean._macros_by_name = lean._macros_by_package = None
    return lean


def without_hooks(manifest: Any) -> Any:
    """The project without any hook of Elementary: its tables are made, and stay empty.

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


def _at_hand(macro: Any, manifest: Any) -> bool:
    """Whether dbt may call the macro though no node names it."""
    own = (manifest.metadata.project_name, "dbt", "dbt_duckdb")
    return macro.package_name in own or macro.name.startswith("materialization_")


def _macros(one: Any) -> list[str]:
    return list(getattr(one.depends_on, "macros", ()))


def _closure(first: list[str], more: Any) -> set[str]:
    """These, and all that `more` gives for each of them, and so on."""
    found, left = set(first), list(first)
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
