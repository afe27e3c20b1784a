"""A canary for every secret of a source: whatever fails, it is nowhere to be found afterwards."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dlt.sources.helpers.requests.retry as dlt_retry
import duckdb
import pytest
from apis import Answer, Api, Asked, api
from dlt.common.versioned_state import decompress_state
from projects import Project, source, table

import ingest.load
import ingest.readers.origins
from ingest import errors, faults
from ingest.errors import IngestError
from ingest.hidden import forms, written

CANARY = "c4na/ry+of:the@stack'\\ 7%"
USER = "someone"
ITEMS = {"items": [{"id": 1}, {"id": 2}]}
IDS = {"id": "bigint"}
AUTHS: dict[str, dict[str, Any]] = {
    "bearer": {"auth": {"type": "bearer", "token": "env:SECRET"}},
    "basic": {"auth": {"type": "http_basic", "username": USER, "password": "env:SECRET"}},
    "header": {"auth": {"type": "api_key", "name": "X-Key", "api_key": "env:SECRET"}},
    "query": {
        "auth": {"type": "api_key", "name": "key", "api_key": "env:SECRET", "location": "query"}
    },
    "plain": {"headers": {"X-Own": "env:SECRET"}},
}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting between the tries."""
    monkeypatch.setattr(dlt_retry.wait_exponential_retry_after, "__call__", lambda *_: 0.0)
    monkeypatch.setattr(faults, "_TRIES", 2)


@pytest.fixture
def noisy(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """dlt says all that it can."""
    with caplog.at_level(logging.DEBUG, "dlt"):
        yield


def _echo(asked: Asked) -> Answer:
    """Says what it was told, as bad servers do."""
    told = asked.text.encode()
    match asked.path.rsplit("/", 1)[-1]:
        case "ok":
            return Answer(ITEMS)
        case "pages":
            after = {} if "p" in asked.query else {"next": f"{asked.path}?p=2&token={CANARY}"}
            return Answer({**ITEMS, **after})
        case "400" | "401" | "403" | "500" as status:
            return Answer(told, int(status), reason=f"no {' '.join(asked.text.split())}")
        case "html":
            return Answer(b"<html>" + told)
        case "cut":
            return Answer(told, cut=True)
        case "number":
            return Answer({"items": 7, "told": asked.text})
    return Answer(status=404)


def _everything(project: Project, errors: list[IngestError]) -> Iterator[tuple[str, str]]:
    """All that is left of a load, as text, and where it was."""
    for error in errors:
        yield "error", f"{error}\n{error!r}\n{error.args}\n{vars(error)}"
    yield "told", "\n".join(project.lines)
    for path in project.root.rglob("*"):
        if path.is_file() and path.suffix not in (".duckdb", ".yml"):
            yield str(path), path.read_bytes().decode("latin-1")
    with duckdb.connect(str(project.warehouse), read_only=True) as con:
        for schema, name in con.execute(
            "select schema_name, table_name from duckdb_tables()"
        ).fetchall():
            rows = con.execute(f'select t::varchar from "{schema}"."{name}" t').fetchall()
            yield name, "\n".join(row[0] for row in rows)
            if name == "_dlt_pipeline_state":
                for (state,) in con.execute(f'select state from "{schema}"."{name}"').fetchall():
                    yield "state", json.dumps(decompress_state(state))


def _leaks(project: Project, errors: list[IngestError], logged: str = "") -> set[str]:
    """Where the canary was found in any of its forms."""
    sung = [form for form in forms(CANARY) if len(form) > 6]
    found = [*_everything(project, errors), ("log", logged)]
    return {where for where, text in found if any(form in text for form in sung)}


def _node(url: str, auth: dict[str, Any], *names: str, **more: Any) -> dict[str, Any]:
    given = {"data_selector": "items", "paginator": {"type": "json_link", "next_url_path": "next"}}
    tables = [table(f"t_{name}", IDS, endpoint={"path": name, **given}) for name in names]
    return source("api", *tables, kind="rest", client={"base_url": url, **auth, **more})


@pytest.mark.parametrize("auth", AUTHS)
@pytest.mark.usefixtures("noisy")
def test_an_api_that_echoes(project: Project, auth: str, caplog: pytest.LogCaptureFixture) -> None:
    project.env["SECRET"] = CANARY
    paths = ["ok", "pages", "400", "401", "403", "500", "html", "cut", "number", "404"]
    with api(_echo) as here:
        result = project.load(_node(here.url, AUTHS[auth], *paths))
        assert any(any(form in a.text for form in forms(CANARY)) for a in here.asked)
    assert {load.table for load in result.loads} == {"t_ok", "t_pages", "t_number"}
    assert len(result.errors) == 7
    assert _leaks(project, result.errors, caplog.text) == set()


def test_the_canary_is_found_where_nothing_hides_it(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.env["SECRET"] = CANARY
    for module in (ingest.load, ingest.readers.origins):
        monkeypatch.setattr(module, "secrets", lambda *_: ())
    with api(_echo) as here:
        result = project.load(_node(here.url, AUTHS["query"], "ok", "401"))
    assert _leaks(project, result.errors) >= {"error", "t_ok"}
    for module in (ingest.load, ingest.readers.origins, faults, errors):
        monkeypatch.setattr(module, "redact", lambda text, *_: text)
    with api(_echo) as here:
        result = project.load(_node(here.url, AUTHS["bearer"], "ok", "401"))
    assert _leaks(project, result.errors) >= {"error"}


@pytest.mark.parametrize("auth", ["bearer", "query", "plain"])
def test_another_host_gets_no_secret(project: Project, auth: str) -> None:
    """By a redirect, and as the next page; one that has the secret in its address is not asked."""
    project.env["SECRET"] = CANARY
    other: Api

    def answer(asked: Asked) -> Answer:
        away = other.url.replace("127.0.0.1", "localhost")
        match asked.path:
            case "/away":
                return Answer(status=302, headers={"Location": f"{away}/there"})
            case "/told":
                return Answer(status=302, headers={"Location": f"{away}/there?s={CANARY}"})
            case "/next":
                return Answer({**ITEMS, "next": f"{away}/there"})
        return Answer(status=404)

    with api(lambda asked: Answer({"items": [{"id": 3}]})) as other, api(answer) as here:
        result = project.load(_node(here.url, AUTHS[auth], "away", "told", "next"))
    assert not [a for a in other.asked if any(form in a.text for form in forms(CANARY))]
    refused = {error.message for error in result.errors if "it was not asked" in error.message}
    assert refused == {"the API sends us to http://localhost with a secret of this source; "
                       "it was not asked"}  # fmt: skip
    if auth != "query":
        assert [a.path for a in other.asked] == ["/there", "/there"]
        assert len(project.raw("api.t_next")) == 3
    assert _leaks(project, result.errors) == set()


def test_addresses_arguments_and_paths(project: Project, tmp_path: Path) -> None:
    import sys
    from urllib.parse import quote

    project.env["SECRET"] = CANARY
    encoded = quote(CANARY, safe="")
    (tmp_path / "canary_functions.py").write_text(
        "def fails(token):\n    raise ValueError(f'refused {token}: {token!r}')\n"
        "def bug(token):\n    return {}[token]\n"
        "def deep(token):\n"
        "    yield {'id': 1}\n"
        "    try:\n        raise OSError(f'Bearer {token}')\n"
        "    except OSError as error:\n        raise RuntimeError('wrapped') from error\n"
    )
    sys.path.insert(0, str(tmp_path))
    nodes = [
        *(source("s", table("t", IDS), kind="dlt", function=f"canary_functions:{name}",
                 arguments={"token": "env:SECRET"}) for name in ("fails", "bug", "deep")),
        *(source("s", table("t", IDS), kind="sql", url="env:URL") for _ in range(3)),
        source("s", table("t", IDS, files="*.csv"), kind="files", path="env:URL"),
    ]  # fmt: skip
    urls = [
        *[""] * 3,
        f"postgresql://me:{encoded}@127.0.0.1:1/x",
        f"mysql://me:{encoded}@127.0.0.1:1/x",
        f"oracle+oracledb://me:{encoded}@127.0.0.1:1/x",
        f"s3://AKIA:{encoded}@bucket/x?endpoint_override=127.0.0.1:1&scheme=http",
    ]
    try:
        for node, url in zip(nodes, urls, strict=True):
            project.env["URL"] = url
            result = project.load(node)
            assert result.errors, node
            assert _leaks(project, result.errors) == set(), node
    finally:
        sys.path.remove(str(tmp_path))


def test_an_unforeseen_fault_that_quotes_it(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ingest.destination import Destination

    def broken(*_: Any) -> None:
        raise RuntimeError(f"could not send {CANARY!r} with {next(iter(forms(CANARY)))}")

    project.env["SECRET"] = CANARY
    monkeypatch.setattr(Destination, "commit", broken)
    with api(_echo) as here:
        node = _node(here.url, AUTHS["bearer"], "ok")
        project.declare(node)
        result = project.load(node)
    assert len(result.errors) == 1
    assert _leaks(project, result.errors) == set()


@pytest.mark.parametrize("secret", ["-----KEY-----\nMIIBcanary9\nabc\n", "two  blanks\tcanary"])
def test_a_secret_of_several_lines(project: Project, secret: str, tmp_path: Path) -> None:
    project.env["SECRET"] = secret
    client = {"base_url": "http://127.0.0.1:1", "headers": {"X-Key": "env:SECRET"}}
    made = table("t", IDS, endpoint={"path": "x"})
    result = project.load(source("s", made, kind="rest", client=client))
    assert "canary" not in str(result.errors)


def test_what_counts_as_a_secret_that_is_written_down() -> None:
    bad: list[dict[str, Any]] = [
        {"url": "postgresql://me:secret@db/x"},
        {"path": "s3://KEY:secret@bucket/x"},
        {"client": {"auth": {"type": "bearer", "token": "abc"}}},
        {"client": {"auth": {"password": "abc"}}},
        {"client": {"headers": {"Authorization": "Bearer abc"}}},
        {"client": {"headers": {"X-Api-Key": "abc"}}},
        {"client": {"base_url": "https://api/?api_key=abc"}},
        {"endpoint": {"params": [{"access_token": "abc"}]}},
        {"arguments": {"client_secret": "abc"}},
    ]
    for node in bad:
        assert list(written(node)), node
    good: list[dict[str, Any]] = [
        {"url": "env:URL", "path": "/a/b", "client": {"auth": {"token": "env:TOKEN"}}},
        {"url": "postgresql://me@db/x"},
        {"url": "sqlite:///a/b.sqlite"},
        {"client": {"auth": {"access_token_url": "https://login/x", "type": "api_key"}}},
        {"client": {"paginator": {"cursor_path": "next_token", "cursor_param": "page_token"}}},
        {"endpoint": {"params": {"page_token": "{cursor}", "limit": 10}}},
    ]
    for node in good:
        assert not list(written(node)), node
