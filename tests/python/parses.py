"""dbt's reading of a project, handed on from one home to the next.

dbt reads all of a project anew, which takes 8 s, where the warehouse is at another place: that is
part of what it knows a reading by. All else it compares itself, file by file.
"""

from __future__ import annotations

import hashlib
import os
import pprint
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import yaml
from copies import PROJECT

NAME = "partial_parse.msgpack"
FOLDER: Path | None = None
"""Where readings are kept while the tests run; nothing is handed on where there is none."""


@dataclass(frozen=True)
class Parse:
    """A reading of a project, and where dbt looks for it.

    Args:
        project: the folder whose ``profiles.yml`` says where the warehouse is.
        artifacts: dbt's target folder.
        env: the variables that the profile asks for.
        profile: its name; the reading is of the target ``dev``.
    """

    project: Path
    artifacts: Path
    env: Mapping[str, str]
    profile: str = "millrace"

    def hand_on(self) -> None:
        """Give dbt the one that is kept, as if it had been made for this warehouse."""
        kept, here = self._kept(), self.artifacts / NAME
        if kept is None or not kept.exists() or here.exists():
            return  # its own is at least as good
        place, text = kept.read_bytes().split(b"\n", 1)
        for folder in (here.parent.parent, here.parent):
            folder.mkdir(0o700, parents=True, exist_ok=True)
        here.touch(0o600)  # private, as Millrace makes it
        here.write_bytes(text.replace(place, self._place()))

    def remember(self) -> None:
        """Keep the one that dbt has made, if it is the first of the project itself."""
        if self.project == PROJECT:
            self.keep()

    def keep(self) -> None:
        """Keep the one that dbt has made, if it is the first of a project of that version."""
        kept, here = self._kept(), self.artifacts / NAME
        if kept is None or kept.exists() or not here.exists():
            return
        place, text = self._place(), here.read_bytes()
        if text.count(place) == 1:  # or it was made for another place
            draft = kept.with_suffix(f".{os.getpid()}")
            draft.write_bytes(place + b"\n" + text)
            draft.replace(kept)

    def forget(self) -> None:
        """Leave none where the warehouse has come from another place."""
        (self.artifacts / NAME).unlink(missing_ok=True)

    def _kept(self) -> Path | None:
        declared = self.project / "dbt_project.yml"
        if FOLDER is None or not declared.exists():
            return None
        FOLDER.mkdir(parents=True, exist_ok=True)
        known = yaml.safe_load(declared.read_text())
        brokers = self.env.get("MILLRACE_SCANNER_BROKERS", "")  # they switch models on and off
        what = "\0".join([known["name"], known["version"], self.profile, brokers])
        return FOLDER / hashlib.sha256(what.encode()).hexdigest()

    def _place(self) -> bytes:
        """The hash by which dbt knows where a warehouse is."""
        from dbt.adapters.duckdb.credentials import DuckDBCredentials

        profiles = yaml.safe_load((self.project / "profiles.yml").read_text())
        output = self._filled(profiles[self.profile]["outputs"]["dev"])
        known = DuckDBCredentials.from_dict(DuckDBCredentials.__pre_deserialize__(output))
        text = pprint.pformat(sorted(known.connection_info()))
        return hashlib.sha256(text.encode()).hexdigest().encode()

    def _filled(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._filled(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self._filled(each) for each in value]
        if isinstance(value, str):
            return jinja2.Template(value).render(env_var=self._variable)
        return value

    def _variable(self, name: str, default: str = "") -> str:
        return self.env.get(name, default)
