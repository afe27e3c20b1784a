"""A reading that was handed on is one that dbt takes for its own."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from copies import PROJECT
from dbt.cli.main import dbtRunner
from parses import NAME, Parse


def parsed(parse: Parse) -> list[str]:
    """Let dbt read the project; what it said of the reading that it found."""
    said: list[str] = []

    def heard(event: Any) -> None:
        if event.info.name == "UnableToPartialParse":
            said.append(event.info.msg)

    project = ["--project-dir", str(parse.project), "--profiles-dir", str(parse.project)]
    words = [*project, "--target", "dev", "--target-path", str(parse.artifacts)]
    quiet = ["--quiet", "--no-write-json", "--log-path", str(parse.artifacts)]
    done = dbtRunner(callbacks=[heard]).invoke(["parse", *words, *quiet])
    assert done.success, done.exception
    return said


def at(home: Path) -> Parse:
    return Parse(PROJECT, home / "target", {**os.environ, "MILLRACE_HOME": str(home)})


def test_dbt_takes_what_was_handed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MILLRACE_WAREHOUSE", raising=False)
    monkeypatch.delenv("MILLRACE_MARTS", raising=False)
    homes = [at(tmp_path / name) for name in ("one", "two", "three")]
    monkeypatch.setenv("MILLRACE_HOME", homes[0].env["MILLRACE_HOME"])
    homes[0].hand_on()
    parsed(homes[0])
    homes[0].remember()
    homes[1].hand_on()
    monkeypatch.setenv("MILLRACE_HOME", homes[1].env["MILLRACE_HOME"])
    assert parsed(homes[1]) == []
    # the same as it is, of another place, is none that dbt would take
    homes[2].artifacts.mkdir(parents=True)
    shutil.copy(homes[0].artifacts / NAME, homes[2].artifacts / NAME)
    monkeypatch.setenv("MILLRACE_HOME", homes[2].env["MILLRACE_HOME"])
    assert any("profile has changed" in said for said in parsed(homes[2]))
