"""Bad declarations: each is an error with file, line and, where there is one, the nearest word."""

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ingest.declaration import load_sources, pick
from ingest.errors import DeclarationError

GOOD = """\
sources:
  - name: pos
    schema: raw_pos
    config:
      meta:
        ingest:
          kind: sql
          url: "env:POS_URL"
    tables:
      - name: lines
        config:
          meta:
            ingest:
              primary_key: [basket_id, product_id]
              cursor: updated_at
              version: updated_at
              lag: 1 hour
              max_dead: 0.05
              window: 1000
              schema_contract: {columns: evolve, data_type: freeze}
        columns:
          - name: basket_id
            data_type: bigint
            config:
              meta:
                required: true
          - name: product_id
            data_type: bigint
          - name: quantity
            data_type: integer
            config:
              meta:
                check: "quantity >= 0"
          - name: brand
            data_type: varchar
            config:
              meta:
                accepted_values: [National, Private]
          - name: updated_at
            data_type: timestamp
"""

Edit = Callable[[dict[str, Any]], object]


def _set(*path: str | int, to: Any) -> Edit:
    def edit(document: dict[str, Any]) -> None:
        node: Any = document
        for part in path[:-1]:
            node = node[part] if isinstance(part, int) else node.setdefault(part, {})
        node[path[-1]] = to

    return edit


def _rename(*path: str | int, to: str) -> Edit:
    """Rename the key at the path's end, in its place."""

    def edit(document: dict[str, Any]) -> None:
        node: Any = document
        for part in path[:-1]:
            node = node[part]
        items = [(to if key == path[-1] else key, value) for key, value in node.items()]
        node.clear()
        node.update(items)

    return edit


SOURCE = ("sources", 0)
INGEST = (*SOURCE, "config", "meta", "ingest")
TABLE = (*SOURCE, "tables", 0)
TABLE_INGEST = (*TABLE, "config", "meta", "ingest")
QUANTITY = (*TABLE, "columns", 2)
RULES = (*QUANTITY, "config", "meta")
BRAND_RULES = (*TABLE, "columns", 3, "config", "meta")

MISSPELT: list[tuple[tuple[str | int, ...], str]] = [
    ((*SOURCE, "name"), "nane"),
    ((*SOURCE, "schema"), "shema"),
    ((*SOURCE, "config"), "confg"),
    ((*SOURCE, "config", "meta"), "mata"),
    (INGEST, "ingset"),
    ((*INGEST, "url"), "ulr"),
    ((*INGEST, "kind"), "knd"),
    ((*SOURCE, "tables"), "tabels"),
    ((*TABLE, "columns"), "colums"),
    ((*TABLE, "config"), "conifg"),
    (TABLE_INGEST, "igest"),
    ((*TABLE_INGEST, "primary_key"), "primay_key"),
    ((*TABLE_INGEST, "cursor"), "curser"),
    ((*TABLE_INGEST, "version"), "verison"),
    ((*TABLE_INGEST, "lag"), "lagg"),
    ((*TABLE_INGEST, "max_dead"), "max_deed"),
    ((*TABLE_INGEST, "window"), "windows"),
    ((*TABLE_INGEST, "schema_contract"), "schema_contact"),
    ((*TABLE_INGEST, "schema_contract", "columns"), "column"),
    ((*TABLE_INGEST, "schema_contract", "data_type"), "datatype"),
    ((*QUANTITY, "name"), "nme"),
    ((*QUANTITY, "data_type"), "datatype"),
    ((*QUANTITY, "config"), "cofig"),
    ((*RULES, "check"), "chek"),
    ((*BRAND_RULES, "accepted_values"), "accepted_value"),
    ((*TABLE, "columns", 0, "config", "meta", "required"), "requird"),
]

WRONG: dict[str, tuple[Edit, str]] = {
    "unknown kind": (_set(*INGEST, "kind", to="sq"), "did you mean 'sql'"),
    "kind is a list": (_set(*INGEST, "kind", to=["sql"]), "kind"),
    "kind missing": (lambda d: d["sources"][0]["config"]["meta"]["ingest"].pop("kind"), "kind"),
    "url missing": (lambda d: d["sources"][0]["config"]["meta"]["ingest"].pop("url"), "'url'"),
    "url empty": (_set(*INGEST, "url", to=""), "'url'"),
    "url a number": (_set(*INGEST, "url", to=5), "url"),
    "key of another kind": (_set(*INGEST, "path", to="drop"), "kind 'sql'"),
    "table key of another kind": (_set(*TABLE_INGEST, "files", to="*.csv"), "kind 'sql'"),
    "files without files": (_set(*INGEST, to={"kind": "files", "path": "x"}), "'files'"),
    "rest without endpoint": (_set(*INGEST, to={"kind": "rest", "client": {"a": 1}}), "'endpoint'"),
    "dlt without function": (_set(*INGEST, to={"kind": "dlt"}), "'function'"),
    "dlt function no function": (
        _set(*INGEST, to={"kind": "dlt", "function": "os; rm -rf"}),
        "package.module:function",
    ),
    "ingest null": (_set(*INGEST, to=None), "kind"),
    "ingest text": (_set(*INGEST, to="sql"), "not a mapping"),
    "ingest list": (_set(*INGEST, to=["sql"]), "not a mapping"),
    "config list": (_set(*SOURCE, "config", to=["meta"]), "not a mapping"),
    "meta text": (_set(*SOURCE, "config", "meta", to="ingest"), "not a mapping"),
    "sources a mapping": (_set("sources", to={"name": "pos"}), "not a list"),
    "source a word": (_set(*SOURCE, to="pos"), "not a mapping"),
    "tables a mapping": (_set(*SOURCE, "tables", to={"name": "lines"}), "not a list"),
    "table a word": (_set(*TABLE, to="lines"), "not a mapping"),
    "columns a mapping": (_set(*TABLE, "columns", to={"name": "a"}), "not a list"),
    "column a word": (_set(*QUANTITY, to="quantity"), "not a mapping"),
    "no columns for the key": (_set(*TABLE, "columns", to=None), "not a declared column"),
    "cursor no column": (_set(*TABLE_INGEST, "cursor", to="update_at"), "mean 'updated_at'"),
    "version no column": (_set(*TABLE_INGEST, "version", to="updatedat"), "mean 'updated_at'"),
    "key no column": (_set(*TABLE_INGEST, "primary_key", to=["basketid"]), "mean 'basket_id'"),
    "key one word": (_set(*TABLE_INGEST, "primary_key", to="basketid"), "mean 'basket_id'"),
    "key twice": (_set(*TABLE_INGEST, "primary_key", to=["basket_id"] * 2), "twice"),
    "key a mapping": (_set(*TABLE_INGEST, "primary_key", to={"a": 1}), "primary_key"),
    "cursor a list": (_set(*TABLE_INGEST, "cursor", to=["updated_at"]), "cursor"),
    "lag no time": (_set(*TABLE_INGEST, "lag", to="soon"), "'1 hour'"),
    "lag no unit": (_set(*TABLE_INGEST, "lag", to="1"), "'1 hour'"),
    "lag unknown unit": (_set(*TABLE_INGEST, "lag", to="1 fortnight"), "'1 hour'"),
    "lag negative": (_set(*TABLE_INGEST, "lag", to="-1 hour"), "'1 hour'"),
    "lag negative number": (_set(*TABLE_INGEST, "lag", to=-1), "negative"),
    "lag longer than time": (_set(*TABLE_INGEST, "lag", to="99999999999999 days"), "longer than"),
    "lag not a number": (_set(*TABLE_INGEST, "lag", to=float("nan")), "finite"),
    "lag infinite": (_set(*TABLE_INGEST, "lag", to=float("inf")), "finite"),
    "lag true": (_set(*TABLE_INGEST, "lag", to=True), "lag"),
    "lag a number for a time": (_set(*TABLE_INGEST, "lag", to=60), "'1 hour'"),
    "lag a list": (_set(*TABLE_INGEST, "lag", to=[1]), "lag"),
    "lag a time for a number": (_set(*TABLE_INGEST, "cursor", to="quantity"), "no time"),
    "lag without cursor": (
        lambda d: d["sources"][0]["tables"][0]["config"]["meta"]["ingest"].pop("cursor"),
        "needs a cursor",
    ),
    "max_dead above one": (_set(*TABLE_INGEST, "max_dead", to=5), "max_dead"),
    "max_dead negative": (_set(*TABLE_INGEST, "max_dead", to=-0.1), "max_dead"),
    "max_dead percent": (_set(*TABLE_INGEST, "max_dead", to="5 %"), "max_dead"),
    "min_share above one": (_set(*TABLE_INGEST, "min_share", to=2), "min_share"),
    "window zero": (_set(*TABLE_INGEST, "window", to=0), "window"),
    "window words": (_set(*TABLE_INGEST, "window", to="30 days"), "window"),
    "disposition unknown": (
        _set(*TABLE_INGEST, "write_disposition", to="merge"),
        "write_disposition",
    ),
    "replace with cursor": (_set(*TABLE_INGEST, "write_disposition", to="replace"), "cursor"),
    "deletes unknown": (_set(*TABLE_INGEST, "deletes", to="soft"), "'compare'"),
    "deletes without a key": (
        lambda d: d["sources"][0]["tables"][0]["config"]["meta"].update(
            ingest={"deletes": "compare"}
        ),
        "primary_key",
    ),
    "deletes with replace": (
        lambda d: d["sources"][0]["tables"][0]["config"]["meta"].update(
            ingest={
                "primary_key": "basket_id",
                "write_disposition": "replace",
                "deletes": "compare",
            }
        ),
        "replaced",
    ),
    "deletes of files": (
        lambda d: (
            d["sources"][0]["config"]["meta"].update(ingest={"kind": "files", "path": "x"}),
            d["sources"][0]["tables"][0]["config"]["meta"]["ingest"].update(
                deletes="compare", files="*.csv"
            ),
        ),
        "only one of kind 'sql'",
    ),
    "compare_every a number": (_set(*TABLE_INGEST, "compare_every", to=5), "'1 day'"),
    "compare_every alone": (_set(*TABLE_INGEST, "compare_every", to="1 hour"), "deletes: compare"),
    "max_deleted alone": (_set(*TABLE_INGEST, "max_deleted", to=0.2), "deletes: compare"),
    "max_deleted above one": (_set(*TABLE_INGEST, "max_deleted", to=2), "max_deleted"),
    "contract unknown": (
        _set(*TABLE_INGEST, "schema_contract", to={"columns": "evolves"}),
        "'evolve'",
    ),
    "contract a word": (_set(*TABLE_INGEST, "schema_contract", to="freeze"), "mapping"),
    "type unknown": (_set(*QUANTITY, "data_type", to="intger"), "did you mean 'integer'"),
    "type with an alias": (_set(*QUANTITY, "data_type", to="integer as x"), "not a data type"),
    "type SQL": (_set(*QUANTITY, "data_type", to="integer; drop table x"), "not a data type"),
    "type empty": (_set(*QUANTITY, "data_type", to=""), "not a data type"),
    "type null": (_set(*QUANTITY, "data_type", to=None), "not a data type"),
    "type a list": (_set(*QUANTITY, "data_type", to=["integer"]), "not a data type"),
    "type array": (_set(*QUANTITY, "data_type", to="integer[]"), "not a data type"),
    "type too wide": (_set(*QUANTITY, "data_type", to="decimal(99,2)"), "not a data type"),
    "type hugeint": (_set(*QUANTITY, "data_type", to="hugeint"), "'decimal(38,0)'"),
    "type unsigned": (_set(*QUANTITY, "data_type", to="uinteger"), "'bigint'"),
    "type float": (_set(*QUANTITY, "data_type", to="float"), "'double'"),
    "type uuid": (_set(*QUANTITY, "data_type", to="uuid"), "'varchar'"),
    "type interval": (_set(*QUANTITY, "data_type", to="interval"), "'varchar'"),
    "type nanoseconds": (_set(*QUANTITY, "data_type", to="timestamp_ns"), "'timestamp'"),
    "check of no column": (_set(*RULES, "check", to="quantty >= 0"), "quantty"),
    "check no SQL": (_set(*RULES, "check", to="quantity >="), "check"),
    "check two statements": (_set(*RULES, "check", to="1; drop table x"), "check"),
    "check no boolean": (_set(*RULES, "check", to="[quantity]"), "check"),
    "check an aggregate": (_set(*RULES, "check", to="sum(quantity) > 0"), "check"),
    "check a subquery": (_set(*RULES, "check", to="quantity in (select 1)"), "check"),
    "check a comment": (_set(*RULES, "check", to="quantity -- ("), "check"),
    "check a list": (_set(*RULES, "check", to=["quantity > 0"]), "check"),
    "check empty": (_set(*RULES, "check", to=" "), "check"),
    "required a word": (_set(*RULES, "required", to="perhaps"), "required"),
    "values a word": (_set(*BRAND_RULES, "accepted_values", to="National"), "accepted_values"),
    "values of lists": (_set(*BRAND_RULES, "accepted_values", to=[["a"]]), "accepted_values"),
    "values of another type": (_set(*RULES, "accepted_values", to=["many"]), "'many'"),
    "table name SQL": (_set(*TABLE, "name", to="x; drop table y"), "cannot be a name"),
    "table name upper": (_set(*TABLE, "name", to="Lines"), "cannot be a name"),
    "table name null": (_set(*TABLE, "name", to=None), "cannot be a name"),
    "table name double": (_set(*TABLE, "name", to="a__b"), "cannot be a name"),
    "table name end": (_set(*TABLE, "name", to="lines_"), "cannot be a name"),
    "table name ours": (_set(*TABLE, "name", to="_loads"), "underscore"),
    "table name path": (_set(*TABLE, "name", to="../lines"), "cannot be a name"),
    "column name SQL": (_set(*QUANTITY, "name", to='a" or 1=1'), "cannot be a name"),
    "column name space": (_set(*QUANTITY, "name", to="a b"), "cannot be a name"),
    "column name line": (_set(*QUANTITY, "name", to="quantity\n"), "cannot be a name"),
    "column name kept": (_set(*QUANTITY, "name", to="_load_number"), "kept for the load"),
    "column name of a tombstone": (_set(*QUANTITY, "name", to="_deleted"), "kept for the load"),
    "column name of dlt": (_set(*QUANTITY, "name", to="_dlt_id"), "kept for the load"),
    "column twice": (_set(*QUANTITY, "name", to="product_id"), "twice"),
    "source name number": (_set(*SOURCE, "name", to=7), "cannot be a name"),
    "schema SQL": (_set(*SOURCE, "schema", to='x"; drop'), "schema"),
    "schema jinja": (_set(*SOURCE, "schema", to="{{ x }}"), "schema"),
    "schema of dbt": (_set(*SOURCE, "schema", to="staging"), "raw_pos"),
    "schema of ours": (_set(*SOURCE, "schema", to="millrace"), "raw_pos"),
    "identifier": (_set(*TABLE, "identifier", to="other"), "identifier"),
    "table twice": (
        lambda d: d["sources"][0]["tables"].append(d["sources"][0]["tables"][0]),
        "twi",
    ),
    "rule above meta": (_set(*QUANTITY, "required", to=True), "config: meta"),
    "cursor above meta": (_set(*TABLE, "cursor", to="updated_at"), "config: meta"),
    "ingest above meta": (_set(*SOURCE, "ingest", to={}), "config: meta"),
    "ingest in the old meta": (_set(*TABLE, "meta", to={"ingest": {}}), "config: meta"),
    "backend unknown": (_set(*INGEST, "backend", to="pandas"), "backend"),
}

FILES = {"kind": "files", "path": "drop"}
PATTERNS = ["/etc/*.csv", "../x/*.csv", "a/../../b.csv", ""]

BAD_TEXT = {
    "not YAML": "sources: [",
    "tab": "sources:\n\t- name: pos",
    "key twice": "sources:\n  - name: a\n    name: b",
    "NUL": "sources: \x00",
    "list as key": "sources:\n  - ? [a, b]\n    : c",
    "anchor in itself": "sources: &a\n  - *a",
    "anchor unknown": "sources: *a",
    "no such day": "sources:\n  - name: 2017-02-31",
    "two documents": "sources: []\n---\nsources: []",
    "unknown tag": "sources: !!python/object:os.system x",
    "deep": "sources: " + "[" * 2000 + "]" * 2000,
}


def _read(tmp_path: Path, text: str | bytes, name: str = "_pos__sources.yml") -> list[Any]:
    folder = tmp_path / "models"
    folder.mkdir(exist_ok=True)
    data = text.encode() if isinstance(text, str) else text
    (folder / name).write_bytes(data)
    return list(load_sources(tmp_path))


def _edited(edit: Edit) -> str:
    document = copy.deepcopy(yaml.safe_load(GOOD))
    edit(document)
    return yaml.safe_dump(document, sort_keys=False)


def _line(error: DeclarationError, text: str, file: str = "models/_pos__sources.yml") -> str:
    """The line that the error points at."""
    match = re.match(rf"{re.escape(file)}:(\d+)$", error.where)
    assert match, f"no file and line in {error.where!r}"
    return text.splitlines()[int(match[1]) - 1]


def test_the_good_one_is_good(tmp_path: Path) -> None:
    (source,) = _read(tmp_path, GOOD)
    assert source.tables[0].ingest.primary_key == ("basket_id", "product_id")
    assert source.where == "models/_pos__sources.yml:2"
    assert source.tables[0].where == "models/_pos__sources.yml:10"


@pytest.mark.parametrize(("path", "word"), MISSPELT, ids=lambda value: str(value)[-40:])
def test_a_misspelt_key_is_named_with_its_line(
    tmp_path: Path, path: tuple[str | int, ...], word: str
) -> None:
    text = _edited(_rename(*path, to=word))
    with pytest.raises(DeclarationError) as raised:
        _read(tmp_path, text)
    assert f"did you mean {path[-1]!r}" in str(raised.value)
    assert f"{word}:" in _line(raised.value, text)


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_meant_is_named_with_its_line(tmp_path: Path, case: str) -> None:
    edit, says = WRONG[case]
    text = _edited(edit)
    with pytest.raises(DeclarationError) as raised:
        _read(tmp_path, text)
    assert says in str(raised.value)
    assert _line(raised.value, text)
    assert len(str(raised.value)) < 600


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_stays_below_the_path(tmp_path: Path, pattern: str) -> None:
    def edit(document: dict[str, Any]) -> None:
        _set(*INGEST, to=FILES)(document)
        _set(*TABLE_INGEST, to={"files": pattern})(document)

    with pytest.raises(DeclarationError, match="files"):
        _read(tmp_path, _edited(edit))


@pytest.mark.parametrize("case", BAD_TEXT)
def test_what_is_not_yaml_is_named(tmp_path: Path, case: str) -> None:
    with pytest.raises(DeclarationError, match=r"_pos__sources\.yml"):
        _read(tmp_path, BAD_TEXT[case])


def test_other_encodings_are_named(tmp_path: Path) -> None:
    for data in (GOOD.encode("utf-16"), GOOD.replace("pos", "pös").encode("latin-1")):
        with pytest.raises(DeclarationError, match=r"_pos__sources\.yml"):
            _read(tmp_path, data)


def test_two_sources_do_not_share_a_name_or_a_schema(tmp_path: Path) -> None:
    _read(tmp_path, GOOD)
    for text in (GOOD, GOOD.replace("name: pos", "name: tills")):
        with pytest.raises(DeclarationError, match=r"_a__sources\.yml:2|_pos__sources\.yml:2"):
            _read(tmp_path, text, "_a__sources.yml")


def test_other_yaml_is_dbts_business(tmp_path: Path) -> None:
    _read(tmp_path, GOOD)
    for text in ("", "version: 2", "models: []", "[1, 2]", "sources:", "sources:\n  - name: x"):
        assert len(_read(tmp_path, text, "other.yml")) == 1


def test_a_source_or_table_that_is_not_there_is_named_with_the_nearest(tmp_path: Path) -> None:
    sources = tuple(_read(tmp_path, GOOD))
    for word, near in (("poss", "'pos'"), ("pos.line", "'lines'")):
        with pytest.raises(DeclarationError, match=f"did you mean {near}"):
            pick(sources, (word,))


def test_there_are_many_cases() -> None:
    assert len(MISSPELT) + len(WRONG) + len(PATTERNS) + len(BAD_TEXT) >= 130
