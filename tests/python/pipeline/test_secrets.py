"""A canary in the environment of the whole command: not in what it says, not in what it leaves."""

import json
from pathlib import Path
from urllib.parse import quote

import duckdb
import pytest
import yaml
from copies import project_copy
from homes import Home

from ingest.hidden import forms

CANARY = "c4na/ry+of:the@stack'\\ 7%"
FUNCTIONS = """
import logging

def fails(token):
    logging.basicConfig(level=logging.DEBUG, force=True)
    logging.getLogger("urllib3").debug("GET /x?token=%s", token)
    raise ValueError(f"refused {token} {token!r}")

def breaks_us(token):
    from ops.run import Runner
    def broken(*_, **__):
        raise RuntimeError(f"Bearer {token} {token!r}")
    Runner.due = broken
    return []
"""


def _declare(project: Path, ingest: dict[str, object]) -> None:
    node = {
        "name": "leaky",
        "schema": "raw_leaky",
        "config": {"meta": {"ingest": ingest}},
        "tables": [{"name": "t", "columns": [{"name": "id", "data_type": "bigint"}]}],
    }
    path = project / "models" / "staging" / "leaky" / "_leaky__sources.yml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump({"sources": [node]}))


def _everything(home: Home) -> dict[str, str]:
    """All files of the home as text, and the rows of its warehouse."""
    found = {
        str(path): path.read_bytes().decode("latin-1")
        for path in home.path.rglob("*")
        if path.is_file() and path.suffix != ".duckdb" and "sample_data" not in path.parts
    }
    with duckdb.connect(str(home.warehouse), read_only=True) as con:
        for schema, name in con.execute(
            "select schema_name, table_name from duckdb_tables() "
            "where schema_name in ('raw_leaky', 'millrace')"
        ).fetchall():
            rows = con.execute(f'select t::varchar from "{schema}"."{name}" t').fetchall()
            found[f"{schema}.{name}"] = "\n".join(row[0] for row in rows)
    return found


@pytest.fixture
def leaky(tmp_path: Path) -> Home:
    """A home whose project declares one source more, with a canary for its secret."""
    project = project_copy(tmp_path / "project")
    (project / "leaky_functions.py").write_text(FUNCTIONS)
    env = {
        "CANARY": CANARY,
        "CANARY_URL": f"postgresql://me:{quote(CANARY, safe='')}@127.0.0.1:1/x",
        "PYTHONPATH": str(project),
        "RUNTIME__LOG_LEVEL": "DEBUG",
        "DBT_LOG_LEVEL": "debug",
        "DBT_LOG_LEVEL_FILE": "debug",
    }
    return Home(tmp_path / "home", project, env)


def test_whatever_fails_says_nothing_of_it(leaky: Home) -> None:
    sung = [form for form in forms(CANARY) if len(form) > 6]
    secret = {"token": "env:CANARY"}
    ways: list[tuple[dict[str, object], int, str]] = [
        ({"kind": "dlt", "function": "leaky_functions:fails", "arguments": secret}, 3, "refused"),
        ({"kind": "dlt", "function": "leaky_functions:breaks_us", "arguments": secret}, 1, "trace"),
        ({"kind": "sql", "url": "env:CANARY_URL"}, 3, "does not answer"),
        ({"kind": "sql", "url": leaky.env["CANARY_URL"]}, 6, "a secret stands here"),
    ]
    for ingest, code, says in ways:
        _declare(leaky.project, ingest)
        done = leaky.millrace("load", "leaky", "--log-json")
        assert (done.code, says in done.text) == (code, True), done.text
        found = {"said": f"{done.out}{done.err}", **_everything(leaky)}
        assert [w for w, text in found.items() if any(form in text for form in sung)] == []
        told = [json.loads(line) for line in done.err.splitlines() if line.startswith("{")]
        assert told[-1]["run_id"]
    trace = leaky.path / "logs" / "millrace-trace.log"
    assert "RuntimeError: Bearer *** " in trace.read_text()
    assert trace.stat().st_mode & 0o077 == 0
