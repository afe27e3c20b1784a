"""Sources that are down or refuse: tried again or named at once, alone, and without secrets."""

import http.server
import json
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import tenacity
from projects import Project, source, table
from services import postgres

from ingest import faults
from ingest.errors import IngestError, SourceDownError, SourceError, redact
from ingest.readers import origins
from ingest.readers.addresses import attach_address

CANARY = "ca/na:ry@'\\ 7%"
ENCODED = "ca%2Fna%3Ary%40%27%5C%207%25"
COLUMNS = {"id": "bigint", "updated_at": "timestamp"}
Answer = Callable[[str, int], tuple[int, Any]]


@contextmanager
def served(answer: Answer) -> Iterator[str]:
    """An API on loopback. `answer` gives status and JSON (or bytes) of a path and its count."""
    counts: dict[str, int] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            counts[self.path] = counts.get(self.path, 0) + 1
            status, body = answer(self.path, counts[self.path])
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            if status == 0:
                self.connection.close()
                return
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def _api(url: str, *paths: str, **client: Any) -> dict[str, Any]:
    tables = [
        table(name, COLUMNS, endpoint={"path": name, "data_selector": "items"}, primary_key="id")
        for name in paths
    ]
    given = {"base_url": url, "paginator": "single_page", **client}
    return source("api", *tables, kind="rest", client=given)


def _clean(errors: list[IngestError]) -> str:
    text = "\n".join(map(str, errors))
    assert "Traceback" not in text
    for secret in (CANARY, ENCODED, "7%", "na:ry"):
        assert secret not in text
    return text


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer tries, without the long waits."""
    monkeypatch.setattr(tenacity.wait_random_exponential, "__call__", lambda self, state: 0.05)
    monkeypatch.setattr(faults, "_TRIES", 2)


ITEMS = {"items": [{"id": 1}, {"id": 2}]}


@pytest.mark.parametrize("status", [429, 500, 503, 0])
def test_an_api_that_recovers_is_read(project: Project, status: int) -> None:
    with served(lambda path, n: (200, ITEMS) if n > 2 else (status, {})) as url:
        result = project.load(_api(url, "a"))
    assert not result.errors
    assert len(project.raw("api.a")) == 2


def test_one_table_down_does_not_stop_the_others(project: Project) -> None:
    answers = {"/a": (503, {}), "/b": (200, ITEMS), "/c": (404, {}), "/d": (200, b"<html>"),
               "/e": (200, ITEMS), "/f": (401, {}), "/g": (200, {"other": []})}  # fmt: skip
    names = [path[1:] for path in answers]
    token = {"type": "bearer", "token": "env:TOKEN"}
    project.env["TOKEN"] = CANARY
    with served(lambda path, n: answers[path]) as url:
        begun = time.monotonic()
        result = project.load(_api(url, *names, auth=token))
        assert time.monotonic() - begun < 60
    text = _clean(result.errors)
    kinds = {error.where: type(error) for error in result.errors}
    assert kinds["api.a"] is SourceDownError
    assert {kinds[f"api.{name}"] for name in "cdf"} == {SourceError}
    assert "404" in text
    assert "401" in text
    assert {load.table for load in result.loads} == {"b", "e"}
    project.check_books("api")


def test_an_api_that_is_not_there(project: Project) -> None:
    with served(lambda path, n: (200, {})) as url:
        pass
    (error,) = project.load(_api(url, "a", headers={"X-Key": "env:KEY"})).errors or [None]
    assert isinstance(error, IngestError)
    assert "KEY is not set" in str(error)
    project.env["KEY"] = CANARY
    (down,) = project.load(afresh=True).errors
    assert isinstance(down, SourceDownError)
    _clean([down])


@pytest.mark.parametrize(("status", "more"), [(0, 1), (503, 3)])
def test_an_api_that_answers_nobody_is_waited_for_once(
    project: Project, monkeypatch: pytest.MonkeyPatch, status: int, more: int
) -> None:
    """Not for each of its tables; of one that answers, each table is waited for."""
    monkeypatch.setattr(origins, "TRIES", 3)
    asked: dict[str, int] = {}

    def answer(path: str, n: int) -> tuple[int, Any]:
        asked[path] = n
        return status, {}

    with served(answer) as url:
        errors = project.load(_api(url, "a", "b", "c")).errors
    assert [type(error) for error in errors] == [SourceDownError] * 3
    assert asked == {"/a": 3, "/b": more, "/c": more}


def test_an_api_that_answers_again_is_waited_for_as_before(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(origins, "TRIES", 2)

    def answer(path: str, n: int) -> tuple[int, Any]:
        status = {"/a": 0, "/c": 503 if n == 1 else 200}.get(path, 200)
        return status, {"items": [{"id": 1}]}

    with served(answer) as url:
        (error,) = project.load(_api(url, "a", "b", "c")).errors
    assert isinstance(error, SourceDownError)
    assert "api.a" in str(error)
    assert project.raw("api.c", "id") == [(1,)]


_HOLD = """
import sqlite3, sys, time
con = sqlite3.connect(sys.argv[1], isolation_level=None)
con.execute("begin exclusive")
print(1, flush=True)
time.sleep(float(sys.argv[2]))
"""


@contextmanager
def _locked(path: Path, seconds: float) -> Iterator[None]:
    """Another process holds the SQLite file for so long: locks do not count within a process."""
    command = [sys.executable, "-c", _HOLD, str(path), str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        yield
        holder.kill()


@pytest.mark.usefixtures("quick")
def test_sqlite_that_is_locked(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "shop.sqlite"
    with closing(sqlite3.connect(path)) as con, con:
        con.execute("create table lines (id, updated_at)")
        con.execute("insert into lines values (1, null)")
    node = source("shop", table("lines", COLUMNS), kind="sql", url=f"sqlite:///{path}")
    project.declare(node)
    with _locked(path, 60):
        (error,) = project.load().errors
    assert isinstance(error, SourceDownError)
    assert "locked" in str(error)
    with _locked(path, 0.3):
        assert not project.load().errors
    assert len(project.raw("shop.lines")) == 1


def test_what_is_no_sqlite_file(project: Project, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database at all, just words\n" * 100)
    urls = ["/no/such/file", str(tmp_path), str(tmp_path / "text")]
    for url in urls:
        node = source("shop", table("lines", COLUMNS), kind="sql", url=f"sqlite:///{url}")
        (error,) = project.load(node).errors
        assert isinstance(error, SourceError)
        assert "Traceback" not in str(error)


@pytest.mark.usefixtures("quick")
def test_postgres_restarts_and_refuses(project: Project) -> None:
    with postgres() as url:
        with psycopg.connect(url, autocommit=True) as con:
            con.execute("create table lines (id bigint, updated_at timestamp)")
            con.execute("insert into lines values (1, '2017-01-01')")
            con.execute(
                psycopg.sql.SQL("create user odd password {}").format(psycopg.sql.Literal(CANARY))
            )
            con.execute("grant select on lines to odd")
        odd = url.replace("millrace:secret@", f"odd:{ENCODED}@")
        project.env["DB"] = odd
        ingest = {"cursor": "updated_at", "primary_key": "id"}
        node = source("shop", table("lines", COLUMNS, **ingest), kind="sql", url="env:DB")
        assert not project.load(node).errors

        # every connection is cut: the reader opens another
        with psycopg.connect(url, autocommit=True) as con:
            con.execute("insert into lines values (2, '2017-01-02')")
            con.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where usename='odd'"
            )
        assert not project.load().errors

        wrong = {
            "password": odd.replace(ENCODED, ENCODED + "x"),
            "database": odd.replace("/millrace", "/nowhere"),
            "port": url.replace("millrace:secret@", f"odd:{ENCODED}@").rsplit(":", 1)[0] + ":1/x",
            "host": f"postgresql://odd:{ENCODED}@no.such.host.invalid/x",
            "no url": f"odd:{ENCODED}@127.0.0.1",
            "bad port": f"postgresql://odd:{ENCODED}@127.0.0.1:many/x",
            "unencoded": f"postgresql://odd:{CANARY}@127.0.0.1:1/x",
            "scheme": f"postgers://odd:{ENCODED}@127.0.0.1/x",
            "option": f"{odd}?sslmode=perhaps",
        }
        for what, other in wrong.items():
            project.env["DB"] = other
            for given in ("env:DB", other):
                node["config"]["meta"]["ingest"]["url"] = given
                (error,) = project.load(node).errors
                _clean([error])
                assert isinstance(error, SourceDownError) == (what in ("port", "host")), what
        node["config"]["meta"]["ingest"]["url"] = odd
        node["tables"][0]["config"]["meta"]["ingest"]["table"] = "linez"
        (error,) = project.load(node).errors
        assert "no table 'linez'" in str(error)
        project.env["DB"] = odd
    (error,) = project.load(source("shop", table("lines", COLUMNS), kind="sql", url=odd)).errors
    assert isinstance(error, SourceDownError)
    _clean([error])
    assert len(project.raw("shop.lines")) == 2


def test_a_fault_in_the_middle_is_read_on_from(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection breaks while a window is checked: what was whole is in, the rest comes."""
    from ingest.batch import Checker

    path = tmp_path / "shop.sqlite"
    with closing(sqlite3.connect(path)) as con, con:
        con.execute("create table lines (id, updated_at)")
        rows = [(i, f"2017-01-{1 + i // 10:02} 00:00:00") for i in range(100)]
        con.executemany("insert into lines values (?, ?)", rows)
    ingest = {"cursor": "updated_at", "primary_key": "id", "window": 25}
    node = source("shop", table("lines", COLUMNS, **ingest), kind="sql", url=f"sqlite:///{path}")
    inner, passes = Checker.check, iter(range(100))

    def breaks(self: Checker, *args: Any) -> Any:
        if next(passes) in (0, 2, 3):
            raise ConnectionResetError("connection reset by peer")
        return inner(self, *args)

    monkeypatch.setattr(Checker, "check", breaks)
    assert not project.load(node).errors
    assert len(project.raw("shop.lines")) == 100
    project.check_books("shop")


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("bulk", [False, True])
def test_postgres_cut_off_in_the_middle(
    project: Project, monkeypatch: pytest.MonkeyPatch, bulk: bool
) -> None:
    """The server ends every connection between the windows, and while one is read."""
    from ingest.batch import Checker

    with postgres() as url, psycopg.connect(url, autocommit=True) as con:
        con.execute("create table lines (id bigint, updated_at timestamp, price numeric(10,2))")
        con.execute(
            "insert into lines select i, timestamp '2017-01-01' + i / 50 * interval '1 hour', 1 "
            "from generate_series(1, 1000) i"
        )
        ingest = {"cursor": "updated_at", "primary_key": "id", "window": 5000 if bulk else 300}
        node = source("shop", table("lines", COLUMNS, **ingest), kind="sql", url=url)
        inner, passes = Checker.check, iter(range(100))

        def cut(self: Checker, *args: Any) -> Any:
            if next(passes) in (0, 2):
                con.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity "
                    "where pid <> pg_backend_pid() and backend_type = 'client backend'"
                )
            return inner(self, *args)

        monkeypatch.setattr(Checker, "check", cut)
        assert not project.load(node).errors
    assert len(project.raw("shop.lines")) == 1000
    project.check_books("shop")


def test_addresses_are_what_the_scanners_take() -> None:
    made = attach_address(f"mysql://me:{ENCODED}@db:3307/shop?ssl_mode=required", "mysql", "x")
    assert made.split(" ")[:2] == ['host="db"', 'port="3307"']
    assert 'passwd="ca/na:ry@\'\\\\ 7%"' in made
    assert made.endswith('ssl_mode="required"')
    made = attach_address("postgresql://db/shop?sslmode=require", "postgres", "x")
    assert made == "host='db' dbname='shop' connect_timeout='10' sslmode='require'"


def test_which_faults_pass() -> None:
    import requests

    def answered(status: int) -> requests.HTTPError:
        response = requests.Response()
        response.status_code = status
        return requests.HTTPError(
            f"{status} for url: http://127.0.0.1:42903/503", response=response
        )

    for status in (429, 500, 502, 503, 504):
        assert faults.is_transient(answered(status))
    for status in (400, 401, 403, 404, 410, 422):
        assert not faults.is_transient(answered(status))
    outer = ValueError("wrapped")
    outer.__cause__ = answered(503)
    assert faults.is_transient(outer)
    assert not faults.is_transient(ValueError("503 apples"))
    assert not faults.is_transient(SourceError("connection refused"))


def test_redaction() -> None:
    for text in (
        f"at postgresql://me:{ENCODED}@db/x",
        f"password='{CANARY}'",
        f"host=a password={ENCODED} user=b",
        f"token={ENCODED}",
    ):
        assert "7%" not in redact(text, (CANARY, ENCODED))
        assert "***" in redact(text, (CANARY, ENCODED))
    assert redact("nothing to hide: 5 rows", ("",)) == "nothing to hide: 5 rows"


def test_a_token_is_hidden_as_an_address_writes_it(project: Project) -> None:
    token = "canary/ab+cd=="
    project.env["TOKEN"] = token
    made = table("lines", {"id": "bigint"}, endpoint={"path": "x", "params": {"sig": "env:TOKEN"}})
    node = source("shop", made, kind="rest", client={"base_url": "http://127.0.0.1:1/"})
    (error,) = project.load(node).errors
    assert "sig=***" in str(error)
    assert "canary" not in str(error)


def test_a_bug_is_told_without_a_traceback(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ingest.batch import Checker

    def broken(self: Checker, *args: Any) -> Any:
        return None.missing  # type: ignore[attr-defined]

    (tmp_path / "a.csv").write_text("id\n1\n")
    node = source("drop", table("rows", {"id": "bigint"}, files="*.csv"), kind="files",
                  path=str(tmp_path))  # fmt: skip
    with monkeypatch.context() as patched:
        patched.setattr(Checker, "check", broken)
        (error,) = project.load(node).errors
    assert "unexpected AttributeError" in str(error)
    assert "test_ingest_faults.py:" in str(error)
    assert not project.load().errors
