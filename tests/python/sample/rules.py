"""The sample's declared rules, read from the source YAML and judged in SQL.

A second opinion beside the oracle's: it knows nothing of the plan, only the declaration and what
was delivered. It is not the pipeline's contract either.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Declared:
    """A table as its declaration has it: key, and column name to type, and the rules."""

    key: list[str]
    types: dict[str, str]
    rules: dict[str, str]
    """Rule name to the SQL that a row, its columns text, breaks it by."""

    def broken(self) -> str:
        """The SQL of the sorted JSON list of the rules that a row breaks, null for a good row."""
        each = ", ".join(
            f"case when {sql} then '{name}' end" for name, sql in sorted(self.rules.items())
        )
        return f"nullif(to_json(list_filter([{each}], rule -> rule is not null))::varchar, '[]')"


def declared(table: str) -> Declared:
    """The declaration of `<source>.<table>`."""
    source, _, name = table.partition(".")
    path = PROJECT / f"models/staging/{source}/_{source}__sources.yml"
    (found,) = (
        each
        for each in yaml.safe_load(path.read_text())["sources"][0]["tables"]
        if each["name"] == name
    )
    types = {column["name"]: column["data_type"] for column in found["columns"]}
    rules: dict[str, str] = {}
    for column in found["columns"]:
        rules |= _rules(column, types)
    return Declared(found["config"]["meta"]["ingest"]["primary_key"], types, rules)


def _rules(column: dict[str, Any], types: dict[str, str]) -> dict[str, str]:
    name, kind = column["name"], column["data_type"]
    meta = column.get("config", {}).get("meta", {})
    value = f"try_cast({name} as {kind})"
    rules = {f"type:{name}": f"{name} is not null and {value} is null"}
    if meta.get("required"):
        rules[f"required:{name}"] = f"{name} is null"
    if "check" in meta:
        check = meta["check"]
        for other, its_kind in types.items():
            check = check.replace(other, f"try_cast({other} as {its_kind})")
        rules[f"check:{name}"] = f"not ({check})"
    if "accepted_values" in meta:
        rules[f"accepted_values:{name}"] = f"{name} not in {tuple(meta['accepted_values'])}"
    return rules
