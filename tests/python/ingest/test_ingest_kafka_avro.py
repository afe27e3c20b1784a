"""Topics of Avro, with a real broker and a real registry: what was written is in raw, or told."""

import base64
import io
import json
import random
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from lines import COLUMNS, unparsable, well, with_schema
from projects import Project, source, table
from real_registry import Registry
from real_topics import Topic

from ingest.errors import DeclarationError
from ingest.readers.avro_schema import avro_schema
from sample.broker import Broker

fastavro = pytest.importorskip("fastavro", reason="install the extra `dev`")
pytestmark = pytest.mark.xdist_group("kafka")

declared = partial(with_schema, "avro")

ID = {"name": "id", "type": "long"}
AMOUNT = {"name": "amount", "type": ["null", "int"], "default": None}


@pytest.fixture
def topic(broker: Broker) -> Topic:
    return Topic(broker.address, 1)


def record(*fields: Any, name: str = "Line") -> dict[str, Any]:
    return {"type": "record", "name": name, "namespace": "shop", "fields": list(fields)}


def datum(schema: Any, value: Any) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), value)
    return out.getvalue()


def framed(number: int, data: bytes) -> bytes:
    return b"\0" + number.to_bytes(4, "big") + data


def sender(schemas: Registry, subject: str, schema: Any) -> Any:
    """Registers a schema; the function that writes messages of it."""
    number = schemas.put(subject, json.dumps(schema))
    return lambda **value: framed(number, datum(schema, value))


def test_each_message_is_read_by_the_schema_that_it_was_written_with(
    project: Project, topic: Topic, schemas: Registry
) -> None:
    first = sender(schemas, topic.name, record(ID, AMOUNT))
    second = sender(schemas, topic.name, record(ID, {"name": "Note", "type": "string"}, AMOUNT))
    wider = {"name": "amount", "type": "string"}
    third = sender(
        schemas, f"{topic.name}-3", record(wider, {"name": "_offset", "type": "int"}, ID)
    )
    topic.send(
        [
            ("a", first(id=1, amount=10)),
            ("b", second(id=2, Note="é", amount=None)),
            (b"\xff", third(id=3, amount="30", _offset=7)),
            ("d", first(id=4, amount=40)),
            ("e", third(id=5, amount="many", _offset=7)),
        ]
    )
    well(project.load(declared(topic, schemas.url)))
    assert project.raw("shop.lines", "id, amount, note, own_offset, _offset, _key") == [
        (1, 10, None, None, 0, b"a"), (2, None, "é", None, 1, b"b"), (3, 30, None, "7", 2, b"\xff"),
        (4, 40, None, None, 3, b"d"),
    ]  # fmt: skip
    ((rules, payload, _),) = project.dead("shop.lines")
    assert (rules, payload["amount"], payload["_offset"]) == (("type:amount",), "many", "4")
    project.check_books("shop")


def test_types_come_as_what_they_mean(project: Project, topic: Topic, schemas: Registry) -> None:
    money = {"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 2}
    at = datetime(2017, 1, 2, 3, 4, 5, 678000, UTC)
    nested = record({"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
                    {"name": "money", "type": ["null", money]}, name="Nested")  # fmt: skip
    cases: list[tuple[str, Any, Any, str, Any]] = [
        ("money", money, Decimal("-12345678901234567.89"), "decimal(20,2)",
         Decimal("-12345678901234567.89")),
        ("cent", {"type": "fixed", "name": "F", "size": 4, "logicalType": "decimal",
                  "precision": 9, "scale": 3}, Decimal("-0.001"), "decimal(9,3)",
         Decimal("-0.001")),
        ("day", {"type": "int", "logicalType": "date"}, date(1969, 12, 31), "date",
         date(1969, 12, 31)),
        ("clock", {"type": "int", "logicalType": "time-millis"}, time(1, 2, 3), "time",
         time(1, 2, 3)),
        ("millis", {"type": "long", "logicalType": "timestamp-millis"}, at, "timestamp",
         at.replace(tzinfo=None)),
        ("micros", {"type": "long", "logicalType": "timestamp-micros"}, at, "timestamptz", at),
        ("local", {"type": "long", "logicalType": "local-timestamp-micros"},
         at.replace(tzinfo=None), "timestamp", at.replace(tzinfo=None)),
        ("state", ["null", {"type": "enum", "name": "E", "symbols": ["NEW", "PAID"]}], "PAID",
         "varchar", "PAID"),
        ("uid", {"type": "string", "logicalType": "uuid"}, UUID(int=7), "varchar",
         str(UUID(int=7))),
        ("maybe", ["null", "boolean"], True, "boolean", True),
        ("either", ["null", "string", "long"], 5, "varchar", "5"),
        ("other", ["null", "string", "long"], "five", "varchar", "five"),
        ("blob", "bytes", b"\x00\xff", "blob", b"\x00\xff"),
        ("part", "float", 0.1, "double", 0.1),
        ("whole", "double", 1e300, "double", 1e300),
        ("unheard", {"type": "long", "logicalType": "no-such"}, 2**62, "bigint", 2**62),
        ("nested", ["null", nested], {"at": at, "money": Decimal("1.50")}, "json",
         {"at": "2017-01-02 03:04:05.678", "money": "1.50"}),
        ("again", "shop.Nested", {"at": at, "money": None}, "json",
         {"at": "2017-01-02 03:04:05.678", "money": None}),
        ("list", {"type": "array", "items": ["null", "string"]}, ["a", None], "json", ["a", None]),
        ("map", {"type": "map", "values": {"type": "array", "items": "int"}}, {"k": [1, 2]},
         "json", {"k": [1, 2]}),
    ]  # fmt: skip
    schema = record(ID, *({"name": name, "type": kind} for name, kind, *_ in cases))
    send = sender(schemas, topic.name, schema)
    topic.send([("k", send(id=1, **{name: value for name, _, value, *_ in cases}))])
    columns = {name: kind for name, _, _, kind, _ in cases}
    well(project.load(declared(topic, schemas.url, {**COLUMNS, **columns})))
    assert not project.dead("shop.lines")
    (row,) = project.raw("shop.lines", ", ".join(columns))
    found = {
        name: json.loads(value) if columns[name] == "json" else value
        for name, value in zip(columns, row, strict=True)
    }
    assert found == {name: wanted for name, *_, wanted in cases}


def test_a_schema_may_refer_to_others(project: Project, topic: Topic, schemas: Registry) -> None:
    node = declared(topic, schemas.url)
    well(project.load(node))  # with nothing in the topic yet
    place = record({"name": "city", "type": "string"}, name="Place")
    schemas.put("shop.Place", json.dumps(place))
    main = record(ID, {"name": "place", "type": "shop.Place"})
    number = schemas.put(topic.name, json.dumps(main), "AVRO", "shop.Place")
    whole = record(ID, {"name": "place", "type": place})
    topic.send([("k", framed(number, datum(whole, {"id": 1, "place": {"city": "Ulm"}})))])
    well(project.load(node))
    assert project.raw("shop.lines", "id, place") == [(1, '{"city":"Ulm"}')]


def test_what_cannot_be_read_is_a_dead_letter_with_its_bytes(
    project: Project, topic: Topic, schemas: Registry
) -> None:
    schema = record(ID, {"name": "note", "type": "string"},
                    {"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["A", "B"]}},
                    {"name": "m", "type": {"type": "map", "values": "int"}})  # fmt: skip
    send = sender(schemas, topic.name, schema)
    good = send(id=1, note="xyz", e="B", m={"k": 1})
    number = int.from_bytes(good[1:5], "big")
    holds_itself = record({"name": "next", "type": ["null", "shop.Loop"]}, name="Loop")
    poison = [
        b"", b"\0", good[:5], b"\1" + good[1:], good[:1] + b"\x7f\xff\xff\xff" + good[5:],
        good[:-1], good + b"\0", b'{"id": 1}', framed(number, b"\x02\x08\xff\xff\xff\xff\x00\x00"),
        good.replace(b"xyz\x02", b"xyz\x04"), good.replace(b"xyz\x02", b"xyz\xff\xff\xff\xff\x0f"),
        good.replace(b"\x02k", b"\x02\xff"), good.replace(b"\x06xyz", b"\xfe\xff\xff\xff\x0f"),
        framed(schemas.put(f"{topic.name}-s", '"string"'), b"\x02a"),
        framed(schemas.put(f"{topic.name}-l", json.dumps(holds_itself)), b"\x00"),
        framed(schemas.put(f"{topic.name}-p", 'syntax = "proto3"; message M {}', "PROTOBUF"),
               b"\0"),
    ]  # fmt: skip
    assert len({*poison, good}) == len(poison) + 1
    messages = [("k", good), *(("k", each) for value in poison for each in (value, good))]
    topic.send([*messages, ("k", b"\0" * 3000), ("k", None)])
    well(project.load(declared(topic, schemas.url, max_message_bytes=2000)))
    rows = project.raw("shop.lines", "id, note, e, m, _offset")
    assert rows == [(1, "xyz", "B", '{"k":1}', 2 * nth) for nth in range(len(poison) + 1)]
    letters = {int(origin.rpartition("/")[2]): (rules, payload)
               for rules, payload, origin in project.dead("shop.lines")}  # fmt: skip
    texts = dict(enumerate(poison))
    assert unparsable(project) == {2 * nth + 1: text for nth, text in texts.items()}
    assert [letters[n][0] for n in (2 * len(poison) + 1, 2 * len(poison) + 2)] == [
        ("too_large",), ("tombstone",)
    ]  # fmt: skip
    project.check_books("shop")


def fixed(size: int) -> dict[str, Any]:
    return {"type": "fixed", "name": "F", "size": size}


def deep(kind: dict[str, Any], levels: int) -> Any:
    return "long" if not levels else {**kind, "values": deep(kind, levels - 1)}


@pytest.mark.parametrize(
    "fields",
    [
        ["long", "long"], [{"type": "array", "items": "null"}], ["nowhere.Named"],
        [deep({"type": "map"}, 30)],
        [fixed(-1)], [fixed(2**40)],  # with these DuckDB's avro 1.5.5 ends the process
    ],
)  # fmt: skip
def test_a_schema_that_could_do_harm_is_none(fields: list[Any]) -> None:
    with pytest.raises(
        ValueError, match=r"a fixed of|an array of|too deep|one name|no schema of Avro"
    ):
        avro_schema(json.dumps(record(*({"name": "f", "type": each} for each in fields))))


def mutated(rng: random.Random, data: bytes) -> bytes:
    """Bytes changed, put in, cut off, or a length that is none."""
    found, at = bytearray(data), rng.randrange(len(data))
    match rng.randrange(5):
        case 0:
            del found[at:]
        case 1:
            found[at] = rng.randrange(256)
        case 2:
            found[at:at] = rng.randbytes(rng.randint(1, 12))
        case 3:
            found[at : at + 1] = rng.choice([b"\xff" * 9 + b"\x01", b"\xfe\xff\xff\xff\x0f", b"\1"])
        case _:
            found[:] = rng.randbytes(rng.randrange(100))
    return bytes(found)


def test_random_bytes_have_a_home_and_leave_their_neighbours_alone(
    project: Project, topic: Topic, schemas: Registry
) -> None:
    schema = record(
        ID, AMOUNT, {"name": "note", "type": ["null", "string"]},
        {"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["A", "B"]}},
        {"name": "list", "type": {"type": "array", "items": {"type": "array", "items": "long"}}},
        {"name": "map", "type": {"type": "map", "values": ["null", "string", "bytes"]}},
    )  # fmt: skip
    send = sender(schemas, topic.name, schema)
    rng = random.Random(20170101)
    value = {"amount": 7, "note": "abc", "e": "B", "list": [[1, 2], [3]], "map": {"a": "b"}}
    sent = []
    for nth in range(3000):
        good = send(id=nth, **value)
        sent.append(good)
        if nth % 2:
            sent.append(good[:5] + mutated(rng, good[5:]))
    topic.send([(None, each) for each in sent])
    well(project.load(declared(topic, schemas.url)))
    rows = project.raw("shop.lines", "_offset, id, amount, note, e, list, map")
    whole = {"list": "[[1,2],[3]]", "map": '{"a":"b"}'}
    wanted = [
        (at, at // 3 * 2 + (at % 3 > 0), *(value | whole).values())
        for at in range(len(sent)) if at % 3 != 2
    ]  # fmt: skip
    assert [row for row in rows if row[0] % 3 != 2] == wanted
    dead = project.dead("shop.lines")
    assert len(rows) + len(dead) == len(sent) == 4500
    assert len(unparsable(project)) > 1000
    assert unparsable(project) == {at: sent[at] for at in unparsable(project)}
    project.check_books("shop")


def test_plain_datums_are_read_by_a_file(project: Project, topic: Topic, tmp_path: Path) -> None:
    schema = record(ID, AMOUNT)
    (path := tmp_path / "line.avsc").write_text(json.dumps(schema))
    good = datum(schema, {"id": 1, "amount": 2})
    topic.send([("k", good), ("k", framed(1, good)), ("k", good)])
    well(project.load(declared(topic, None, schema_file=str(path))))
    assert project.raw("shop.lines", "id, amount, _offset") == [(1, 2, 0), (1, 2, 2)]
    assert [rules for rules, *_ in project.dead("shop.lines")] == [("unparsable",)]
    path.write_text("{}")
    topic.send([("k", good)])
    (error,) = project.load(afresh=True).errors
    assert "line.avsc' cannot be used" in str(error)


def test_a_registry_that_is_away_is_told_and_nothing_is_lost(
    project: Project, topic: Topic, schemas: Registry
) -> None:
    topic.send([("k", sender(schemas, topic.name, record(ID, AMOUNT))(id=1, amount=2))])
    (error,) = project.load(declared(topic, "http://u:hidden-word@127.0.0.1:9")).errors
    assert "the source does not answer" in str(error)
    assert "the next run reads on from where this one was" in str(error)
    assert "hidden-word" not in str(error)
    well(project.load(declared(topic, schemas.url)))
    assert project.raw("shop.lines", "id") == [(1,)]


@pytest.fixture
def guarded(schemas: Registry) -> Iterator[str]:
    """The address, without a user, of what asks for one and passes on what the registry says."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            word = base64.b64encode(b"till:p@ss/word 1").decode()
            if self.headers.get("Authorization") != f"Basic {word}":
                self.send_error(401)
                return
            import requests

            said = requests.get(f"http://127.0.0.1:{schemas.port}{self.path}", timeout=20)
            self.send_response(said.status_code)
            self.end_headers()
            self.wfile.write(said.content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}/apis/ccompat/v7"
    server.shutdown()


def test_a_registry_with_a_password(
    project: Project, topic: Topic, schemas: Registry, guarded: str
) -> None:
    topic.send([("k", sender(schemas, topic.name, record(ID, AMOUNT))(id=1, amount=2))])
    project.env["SHOP_REGISTRY"] = f"http://till:wr0ng-word@{guarded}"
    (error,) = project.load(declared(topic, "env:SHOP_REGISTRY")).errors
    assert "the schema registry refuses the credentials (HTTP 401)" in str(error)
    assert "wr0ng-word" not in str(error) + "".join(project.lines)
    project.env["SHOP_REGISTRY"] = f"http://till:p%40ss%2Fword%201@{guarded}"
    well(project.load(afresh=True))
    assert project.raw("shop.lines", "id") == [(1,)]


def test_what_is_no_registry_is_told(project: Project, topic: Topic, schemas: Registry) -> None:
    """Where any path answers "not found", its ids are not unknown: the address is wrong."""
    topic.send([("k", framed(1, b"\0"))])
    (error,) = project.load(declared(topic, f"http://127.0.0.1:{schemas.port}/nowhere")).errors
    assert "is no schema registry (HTTP 404)" in str(error)
    (error,) = project.load(declared(topic, "here")).errors
    assert "`registry` is not the address of a schema registry" in str(error)


@pytest.mark.parametrize(
    ("parent", "ingest", "words", "line"),
    [
        ({}, {"format": "avro"}, "format: avro needs a `registry` at the source", 15),
        ({"registry": "env:R"}, {"format": "json"}, "registry says nothing without", 9),
        ({}, {"schema_file": "a.avsc"}, "schema_file is for `format: avro`", 15),
        ({"registry": "env:R"}, {"format": "avro", "schema_file": "a.avsc"},
         "drop one of the two", 17),
        ({"kind": "sql", "url": "env:U", "registry": "env:R"}, {},
         "the key 'registry' is not for a source of kind 'sql'", 9),
    ],
)  # fmt: skip
def test_words_that_do_not_go_together(
    project: Project, parent: dict[str, str], ingest: dict[str, str], words: str, line: int
) -> None:
    kind = {"kind": "kafka", "brokers": "env:B"} | parent
    if kind["kind"] != "kafka":
        del kind["brokers"]
    own = {"topic": "t", **ingest} if kind["kind"] == "kafka" else ingest
    with pytest.raises(DeclarationError, match=r"_s__sources\.yml:") as caught:
        project.declare(source("shop", table("lines", COLUMNS, **own), **kind))
    assert words in str(caught.value)
    assert caught.value.where.endswith(f":{line}"), caught.value.where
