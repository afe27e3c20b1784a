"""Topics of Protobuf, with a real broker and a real registry: what was written is in raw, or told.

Most messages are written here byte by byte, by the book of the wire format, not by the library that
reads them.
"""

import json
import random
import struct
from functools import partial
from pathlib import Path

import pytest
from lines import ids, unparsable, well, with_schema
from projects import Project, source, table
from real_registry import Registry
from real_topics import Topic

from ingest.readers.protobuf_rows import ProtobufSchema
from sample.broker import Broker

pytest.importorskip("grpc_tools", reason="install the extra `kafka`")
pytestmark = pytest.mark.xdist_group("kafka")

declared = partial(with_schema, "protobuf")

LINE = 'syntax = "proto3"; package shop; message Line { int64 id = 1; optional int32 amount = 2; }'
VARINT, EIGHT, SOME, FOUR = 0, 1, 2, 5


@pytest.fixture
def topic(broker: Broker) -> Topic:
    return Topic(broker.address, 1)


def varint(number: int) -> bytes:
    number &= 2**64 - 1
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])


def part(number: int, value: bytes | int, kind: int = VARINT) -> bytes:
    """A field: its number and kind, and its value."""
    if isinstance(value, int):
        return varint(number << 3 | VARINT) + varint(value)
    return varint(number << 3 | kind) + (varint(len(value)) if kind == SOME else b"") + value


def framed(number: int, data: bytes, path: bytes = b"\0") -> bytes:
    """As Confluent's serializers write it: the schema's id, which of its messages, the message."""
    return b"\0" + number.to_bytes(4, "big") + path + data


def line(key: int, amount: int | None = None) -> bytes:
    return part(1, key) + (part(2, amount) if amount is not None else b"")


def test_each_message_is_read_by_the_schema_that_it_was_written_with(
    project: Project, topic: Topic, schemas: Registry
) -> None:
    first = schemas.put(topic.name, LINE, "PROTOBUF")
    other = 'syntax = "proto3"; message Line { string note = 3; int64 id = 1; string amount = 2; }'
    second = schemas.put(f"{topic.name}-2", other, "PROTOBUF")
    topic.send(
        [
            ("a", framed(first, line(1, 10))),
            ("b", framed(second, part(3, "é".encode(), SOME) + part(1, 2) + part(2, b"20", SOME))),
            (b"\xff", framed(first, line(3))),
            ("d", framed(second, part(1, 4) + part(2, b"many", SOME))),
        ]
    )
    well(project.load(declared(topic, schemas.url)))
    assert project.raw("shop.lines", "id, amount, note, _offset, _key") == [
        (1, 10, None, 0, b"a"), (2, 20, "é", 1, b"b"), (3, None, None, 2, b"\xff"),
    ]  # fmt: skip
    ((rules, payload, _),) = project.dead("shop.lines")
    assert (rules, payload["amount"]) == (("type:amount",), "many")
    project.check_books("shop")


def test_types_come_as_what_they_mean(project: Project, topic: Topic, schemas: Registry) -> None:
    schema = """syntax = "proto3";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
enum State { NEW = 0; PAID = 1; }
message Line {
  message Place { string city = 1; repeated int32 codes = 2; }
  int64 id = 1; sint32 low = 2; fixed64 many = 3; float part = 4; double whole = 5; bool yes = 6;
  State state = 7; State unheard = 8; bytes blob = 9; google.protobuf.Timestamp at = 10;
  google.protobuf.StringValue maybe = 11; Place place = 12; repeated string list = 13;
  map<string, int32> map = 14; oneof either { string left = 15; int32 right = 16; }
  bool no = 17; Place nowhere = 18;
}"""
    message = (
        part(1, -5) + part(2, 2 * 7 - 1) + part(3, struct.pack("<Q", 2**63), EIGHT)
        + part(4, struct.pack("<f", 0.1), FOUR) + part(5, struct.pack("<d", 1e300), EIGHT)
        + part(6, 1) + part(7, 1) + part(8, 9) + part(9, b"\x00\xff'a", SOME)
        + part(10, part(1, 1483326245) + part(2, 678000000), SOME)
        + part(11, part(1, b"there", SOME), SOME)
        + part(12, part(1, b"Ulm", SOME) + part(2, b"\x01\x02", SOME), SOME)
        + part(13, b"a", SOME) + part(13, b"b", SOME)
        + part(14, part(1, b"k", SOME) + part(2, 7), SOME) + part(16, 3)
    )  # fmt: skip
    wanted = {
        "id": ("bigint", -5), "low": ("integer", -7), "many": ("decimal(38,0)", 2**63),
        "part": ("double", 0.1), "whole": ("double", 1e300), "yes": ("boolean", True),
        "state": ("varchar", "PAID"), "unheard": ("varchar", "9"), "blob": ("blob", b"\x00\xff'a"),
        "at": ("timestamptz", "2017-01-02T03:04:05.678+00:00"), "maybe": ("varchar", "there"),
        "place": ("json", {"city": "Ulm", "codes": [1, 2]}), "list": ("json", ["a", "b"]),
        "map": ("json", {"k": 7}), "left": ("varchar", None), "right": ("integer", 3),
        "no": ("boolean", False), "nowhere": ("json", None),
    }  # fmt: skip
    number = schemas.put(topic.name, schema, "PROTOBUF")
    topic.send([("k", framed(number, message))])
    well(
        project.load(
            declared(topic, schemas.url, {name: kind for name, (kind, _) in wanted.items()})
        )
    )
    assert not project.dead("shop.lines")
    (row,) = project.raw("shop.lines", ", ".join(f'"{name}"' for name in wanted))
    for (name, (kind, value)), found in zip(wanted.items(), row, strict=True):
        if kind == "json" and found is not None:
            found = json.loads(found)
        elif kind == "timestamptz":
            found = found.isoformat(timespec="milliseconds")
        assert found == value, name


def test_lists_that_are_empty_are_so(project: Project, topic: Topic, schemas: Registry) -> None:
    schema = """syntax = "proto3";
message Line { int64 id = 1; repeated int32 list = 2; map<string, int32> map = 3; }"""
    topic.send([("k", framed(schemas.put(topic.name, schema, "PROTOBUF"), part(1, 1)))])
    well(
        project.load(declared(topic, schemas.url, {"id": "bigint", "list": "json", "map": "json"}))
    )
    assert project.raw("shop.lines", "id, list, map") == [(1, "[]", "{}")]


def test_a_file_has_several_messages_and_imports_others(
    project: Project, topic: Topic, schemas: Registry
) -> None:
    schemas.put("place.proto", 'syntax = "proto3"; message Place { string city = 1; }', "PROTOBUF")
    main = """syntax = "proto3"; import "place.proto";
message Other { int64 id = 1; message Inner { int64 id = 1; Place place = 2; } }
message Line { int64 id = 1; Place place = 2; }"""
    number = schemas.put(topic.name, main, "PROTOBUF", "place.proto")
    place = part(2, part(1, b"Ulm", SOME), SOME)
    topic.send(
        [
            ("k", framed(number, part(1, 1))),
            ("k", framed(number, part(1, 2) + place, b"\x02\x02")),  # of one index: the second
            ("k", framed(number, part(1, 3) + place, b"\x04\x00\x00")),  # of two: the inner one
            ("k", framed(number, part(1, 4))),
            *(("k", framed(number, part(1, 9), path)) for path in NOWHERE),
        ]
    )
    well(project.load(declared(topic, schemas.url)))
    ulm = '{"city": "Ulm"}'
    assert project.raw("shop.lines", "id, place") == [(1, None), (2, ulm), (3, ulm), (4, None)]
    assert len(unparsable(project)) == len(NOWHERE)


NOWHERE = (
    b"\x02\x04", b"\x02\x01", b"\x04\x02\x00", b"\x01", b"\x02", b"\x80", b"\xff" * 6,
    b"\x7e" + b"\x00" * 63,
)  # fmt: skip
"""Paths of messages that are none: beyond the last, negative, too deep, cut off, too long."""


def test_what_cannot_be_read_is_a_dead_letter_with_its_bytes(
    project: Project, topic: Topic, schemas: Registry
) -> None:
    schema = """syntax = "proto3"; import "google/protobuf/timestamp.proto";
message Line { int64 id = 1; string note = 2; google.protobuf.Timestamp at = 3; Line line = 4; }"""
    number = schemas.put(topic.name, schema, "PROTOBUF")
    good = framed(number, part(1, 1) + part(2, b"xyz", SOME))
    nested = b""
    for _ in range(200):
        nested = part(4, nested, SOME)
    poison = [
        b"", b"\0", good[:5], b"\1" + good[1:], good[:1] + b"\x7f\xff\xff\xff" + good[5:],
        good[:-1], b'{"id": 1}', good.replace(b"xyz", b"x\xffz"), good + b"\x0b", good + b"\x00",
        framed(number, b"\x0c"), framed(number, b"\x08" + b"\xff" * 11), framed(number, nested),
        framed(number, b"\x12\xff\xff\xff\xff\x0f"), framed(number, part(3, part(1, 2**62), SOME)),
        framed(schemas.put(f"{topic.name}-a", '"string"'), b"\x02a"),
    ]  # fmt: skip
    assert len({*poison, good}) == len(poison) + 1
    topic.send([("k", good), *(("k", each) for value in poison for each in (value, good))])
    well(project.load(declared(topic, schemas.url)))
    rows = project.raw("shop.lines", "id, note, _offset")
    assert rows == [(1, "xyz", 2 * nth) for nth in range(len(poison) + 1)]
    assert unparsable(project) == {2 * nth + 1: text for nth, text in enumerate(poison)}
    project.check_books("shop")


def test_random_bytes_have_a_home_and_leave_their_neighbours_alone(
    project: Project, topic: Topic, schemas: Registry
) -> None:
    number = schemas.put(topic.name, LINE, "PROTOBUF")
    dice = random.Random(20170101)
    sent = list[bytes]()
    for nth in range(2000):
        good = framed(number, line(nth + 1, 7))
        at = dice.randrange(5, len(good))
        sent += [good, good[:at] + dice.randbytes(dice.randint(0, 12)) + good[at + 1 :]]
    topic.send([(None, each) for each in sent])
    well(project.load(declared(topic, schemas.url)))
    rows = project.raw("shop.lines", "_offset, id, amount")
    assert [row for row in rows if row[0] % 2 == 0] == [(2 * n, n + 1, 7) for n in range(2000)]
    dead = project.dead("shop.lines")
    assert len(rows) + len(dead) == len(sent) == 4000
    bad = unparsable(project)
    assert len(bad) > 500
    assert bad == {at: sent[at] for at in bad}
    project.check_books("shop")


def test_messages_that_name_no_schema_are_read_by_a_file(
    project: Project, topic: Topic, tmp_path: Path
) -> None:
    (path := tmp_path / "line.proto").write_text(LINE)
    topic.send([("k", line(1, 2)), ("k", b"\xff"), ("k", line(2))])
    well(project.load(declared(topic, None, schema_file=str(path))))
    assert project.raw("shop.lines", "id, amount, _offset") == [(1, 2, 0), (2, None, 2)]
    assert [rules for rules, *_ in project.dead("shop.lines")] == [("unparsable",)]
    path.write_text('syntax = "proto3"; message {')
    topic.send([("k", line(3))])
    (error,) = project.load(afresh=True).errors
    assert "line.proto' cannot be used: " in str(error)
    assert "Expected message name" in str(error)
    path.write_text(LINE)
    well(project.load(afresh=True))
    assert ids(project) == [1, 2, 3]


@pytest.mark.parametrize(
    ("text", "imports", "said"),
    [
        ('import "../x.proto"; message M {}', {"../x.proto": ""}, "it imports"),
        ('import "gone.proto"; message M {}', {}, "gone.proto"),
        ("enum E { A = 0; }", {}, "no message"),
        ("message M { Nowhere n = 1; }", {}, "Nowhere"),
        ("message M {}" * 2, {}, "already defined"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(text: str, imports: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ProtobufSchema(f'syntax = "proto3"; {text}', imports)


def test_a_number_that_another_format_has_read_is_none_of_ours(
    project: Project, topic: Topic, schemas: Registry
) -> None:
    """A source keeps what its schemas came to; topics of two formats may share it."""
    other = Topic(topic.address, 1)
    avro = '{"type": "record", "name": "Line", "fields": [{"name": "id", "type": "long"}]}'
    message = framed(schemas.put(topic.name, avro), b"\x02", b"")
    for each in (topic, other):
        each.send([("k", message)])
    tables = [
        table(name, {"id": "bigint"}, topic=where.name, format=kind, primary_key=["id"], max_dead=1)
        for name, where, kind in (("lines", topic, "avro"), ("others", other, "protobuf"))
    ]
    address = {"brokers": topic.address, "registry": schemas.url}
    well(project.load(source("shop", *tables, kind="kafka", **address)))
    assert project.raw("shop.lines", "id") == [(1,)]
    assert project.raw("shop.others", "id") == []
    assert unparsable(project) == {0: message}
