"""The nodes of a source YAML: what is written at each, and an error that points at its line."""

import difflib
import re
from collections.abc import Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from ingest.declaration import Kind, SchemaContract, SourceIngest, TableIngest, nearest
from ingest.declaration_words import CONFIG, DBT_KEYS, OURS
from ingest.errors import DeclarationError
from ingest.names import snake_case
from ingest.switches import is_on
from ingest.yaml_lines import Lines, Place

Model = TypeVar("Model", bound=BaseModel)
NAME = re.compile(r"[a-z_][a-z0-9_]*")


class Nodes:
    """The nodes of one file.

    Args:
        file: its name, for errors.
        lines: the line of each node.
        env: where an `enabled` looks variables up.
    """

    def __init__(self, file: str, lines: Lines, env: Mapping[str, str]) -> None:
        self._file, self._lines, self._env = file, lines, env

    def at(self, path: Place) -> str:
        """File and line of the node."""
        return f"{self._file}:{self._lines.line(path)}"

    def fail(self, message: str, path: Place) -> DeclarationError:
        """The error that points at the node."""
        return DeclarationError(message, where=self.at(path))

    def name(self, fields: Mapping[str, Any], path: Place) -> str:
        """The node's `name`, one that raw and dlt keep as it is."""
        name = fields.get("name")
        if not isinstance(name, str) or not NAME.fullmatch(name) or not kept(name):
            raise self.fail(
                f"{name!r} cannot be a name here: lower case letters, digits and single "
                "underscores, none of them last",
                (*path, "name"),
            )
        return name

    def mapping(self, node: object, path: Place, level: str) -> dict[str, Any]:
        """The node's keys; a slip, or one of our words in the wrong place, is an error."""
        if not isinstance(node, dict):
            raise self.fail(f"an entry of {level!r} is not a mapping", path)
        ours = {"columns": set(OURS), "tables": set(TableIngest.model_fields) | {"ingest"}}
        for key in node:
            if key in DBT_KEYS[level]:
                continue
            if key in ours.get(level, {"ingest", *SourceIngest.model_fields}):
                raise self.fail(f"the key {key!r} stands under config: meta:", (*path, key))
            if near := nearest(str(key), DBT_KEYS[level]):
                raise self.fail(f"unknown key {key!r}{near}", (*path, key))
        return node

    def meta(self, fields: Mapping[str, Any], path: Place) -> dict[str, Any]:
        """What stands under config: meta:, where all of our words are."""
        old = fields.get("meta")
        if isinstance(old, dict) and (wrong := {"ingest", *OURS} & set(old)):
            raise self.fail(f"{min(wrong)!r} stands under config: meta:", (*path, "meta"))
        config = self.dict(fields, "config", path)
        for key in config:
            if key not in CONFIG and (near := nearest(str(key), ["meta"])):
                raise self.fail(f"unknown key {key!r}{near}", (*path, "config", key))
        meta = self.dict(config, "meta", (*path, "config"))
        for key in meta:
            if key != "ingest" and (near := nearest(str(key), ["ingest"])):
                raise self.fail(f"unknown key {key!r}{near}", (*path, "config", "meta", key))
        return meta

    def enabled(self, node: object, path: Place, of_source: bool = True) -> bool:
        """Whether dbt has the source or table; a table that does not say is as its source."""
        fields = self.mapping(node, path, str(path[-2]))
        config = self.dict(fields, "config", path)
        if "enabled" not in config:
            return of_source
        try:
            return is_on(config["enabled"], self._env)
        except ValueError as error:
            raise self.fail(
                f"enabled: {error}; write true, false, or Jinja that compares an env_var",
                (*path, "config", "enabled"),
            ) from None

    def dict(self, fields: Mapping[str, Any], key: str, path: Place) -> dict[str, Any]:
        """The mapping below a key; empty where it is not there."""
        value = fields.get(key)
        if value is not None and not isinstance(value, dict):
            raise self.fail(f"{key!r} is not a mapping", (*path, key))
        return value or {}

    def list(self, fields: Mapping[str, Any], key: str, path: Place) -> list[object]:
        """The entries below a key; none where it is not there."""
        value = fields.get(key)
        if value is not None and not isinstance(value, list):
            raise self.fail(f"{key!r} is not a list", (*path, key))
        return value or []

    def typed(self, model: type[Model], values: object, path: Place) -> Model:
        """The values as an object of the model."""
        try:
            return model.model_validate({} if values is None else values)
        except ValidationError as error:
            # a misspelt key first: what is missing may be just that
            every = error.errors(include_url=False)
            first = min(every, key=lambda e: e["type"] != "extra_forbidden")
            raise self._explain(model, first, path) from None

    def _explain(self, model: type[BaseModel], error: Any, path: Place) -> DeclarationError:
        words = self._lines.words(path)
        loc = tuple(part for part in error["loc"] if part in words or isinstance(part, int))
        key = str(error["loc"][0]) if error["loc"] else "ingest"
        place = (*path, *loc)
        if error["type"] == "extra_forbidden":
            within = SchemaContract if len(error["loc"]) > 1 else model
            word = str(error["loc"][-1])
            return self.fail(f"unknown key {word!r}{nearest(word, within.model_fields)}", place)
        if error["type"] == "literal_error":
            allowed = list(get_args(Kind)) if key == "kind" else []
            near = nearest(str(error["input"]), allowed)
            return self.fail(
                f"{key}: {error['input']!r} is not one of {error['ctx']['expected']}{near}", place
            )
        if error["type"] in ("model_type", "model_attributes_type"):
            return self.fail(f"{key!r} is not a mapping", place)
        return self.fail(f"{key}: {error['msg'].removeprefix('Value error, ')}", place)


def kept(name: str) -> bool:
    """dlt keeps the name as it is."""
    return snake_case(name) == name


def like_ours(word: str) -> bool:
    """A key of `meta` that can only be one of ours, misspelt."""
    return bool(difflib.get_close_matches(str(word), OURS, 1, 0.8))
