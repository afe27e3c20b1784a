"""Topics of a real Kafka: every committed message is in raw once, or a dead letter, or told."""

from typing import Any

import pytest
from lines import COLUMNS, declared, ids, rows, well
from projects import Project
from real_topics import Topic

from ingest.errors import SourceError
from ingest.load import SourceResult
from ingest.readers import kafka as kafka_reader
from ingest.readers import kafka_broker
from ingest.readers.rewound import SinceError, since
from sample.broker import Broker

pytestmark = pytest.mark.xdist_group("kafka")


@pytest.fixture
def topic(broker: Broker) -> Topic:
    return Topic(broker.address)


def stopped(project: Project, words: str) -> str:
    """The one error of a load that brings nothing."""
    before = project.book("shop")
    (error,) = project.load().errors
    assert words in str(error)
    assert project.book("shop") == before
    return str(error)


def test_a_message_is_a_row_with_all_that_it_had(project: Project, topic: Topic) -> None:
    headers = [("store", b"7"), ("store", b"\xff"), ("none", None)]
    topic.send(
        [("a", {"id": 1, "amount": 2, "_offset": 9, "New name": [1]})],
        partition=1,
        headers=headers,
        timestamp=1_500_000_000_123,
    )
    well(project.load(declared(topic)))
    told = "* exclude (_load_number, _extracted_at, _replayed_from, _timestamp)"
    assert project.raw("shop.lines", f"{told}, _timestamp::varchar") == [
        (1, 2, topic.name, 1, 0, b"a",
         '[{"name":"store","value":"7"},{"name":"store","value":"\\\\xFF"},'
         '{"name":"none","value":null}]',
         "create", f"{topic.name}/1/0", "[1]", "9", "2017-07-14 02:40:00.123")
    ]  # fmt: skip
    project.check_books("shop")


def test_each_committed_message_comes_once_and_no_other(project: Project, topic: Topic) -> None:
    topic.send(rows(1000))
    topic.send(rows(500, 5000), transaction="abort")
    topic.send(rows(300, 1000), transaction="commit")
    node = declared(topic)
    well(project.load(node))
    topic.send(rows(10, 1300))
    well(project.load())
    assert not well(project.load(afresh=True)).loads
    assert ids(project) == list(range(1310))
    assert [entry["rows_read"] for entry in project.book("shop")] == [1300, 10]
    project.check_books("shop")


def test_all_of_an_aborted_transaction_comes_for_who_wants_it(
    project: Project, topic: Topic
) -> None:
    topic.send(rows(3))
    topic.send(rows(2, 3), transaction="abort")
    well(project.load(declared(topic, isolation="read_uncommitted")))
    assert ids(project) == [0, 1, 2, 3, 4]


def test_an_open_transaction_is_waited_for(project: Project, topic: Topic) -> None:
    """What stands behind it in its partition comes when it has ended, and not before."""
    from confluent_kafka import Producer

    open_one = Producer({"bootstrap.servers": topic.address, "transactional.id": topic.name})
    open_one.init_transactions(20)
    open_one.begin_transaction()
    open_one.produce(topic.name, b'{"id": 1}', b"1", partition=0)
    open_one.flush(20)
    topic.send(rows(1, 2), partition=0)
    topic.send(rows(1, 3), partition=1)
    well(project.load(declared(topic)))
    assert ids(project) == [3]
    open_one.commit_transaction(20)
    well(project.load())
    assert ids(project) == [1, 2, 3]


def test_who_has_read_an_open_transaction_waits_for_it_from_then_on(
    project: Project, topic: Topic
) -> None:
    from confluent_kafka import Producer

    open_one = Producer({"bootstrap.servers": topic.address, "transactional.id": topic.name})
    open_one.init_transactions(20)
    open_one.begin_transaction()
    open_one.produce(topic.name, b'{"id": 1}', b"1", partition=0)
    open_one.flush(20)
    well(project.load(declared(topic, isolation="read_uncommitted")))
    assert not well(project.load(declared(topic))).loads
    open_one.commit_transaction(20)
    topic.send(rows(1, 2), partition=0)
    well(project.load())
    assert ids(project) == [1, 2]


def test_poison_is_a_dead_letter_with_its_bytes(project: Project, topic: Topic) -> None:
    topic.send(rows(2))
    poison: list[Any] = [
        b"no json", b"[1]", b"\xff\xfe", b"", b"null", b'{"id": 1, "id": 2}', b"no json",
        {"id": "x"}, {"amount": 1}, {"id": 7, "amount": 1.5}, b"x" * 3000, None,
    ]  # fmt: skip
    topic.send([("k", value) for value in poison], partition=0)
    topic.send([(None, None)], partition=0)
    well(project.load(declared(topic, max_message_bytes=2000)))
    assert ids(project) == [0, 1]
    first = sum(1 for (at,) in project.raw("shop.lines", "_partition") if at == 0)
    letters = {int(origin.rpartition("/")[2]) - first: (rules, payload)
               for rules, payload, origin in project.dead("shop.lines")}  # fmt: skip
    unparsable = ("no json", [1], "\\xFF\\xFE", "", None, {"id": 2}, "no json")
    assert [letters[n] for n in range(7)] == [(("unparsable",), text) for text in unparsable]
    assert [letters[n][0] for n in range(7, 13)] == [
        ("type:id",), ("required:id",), ("type:amount",), ("too_large",), ("tombstone",),
        ("tombstone",),
    ]  # fmt: skip
    assert letters[10][1] == "x" * 3000
    assert letters[7][1]["_offset"] == str(first + 7)
    project.check_books("shop")


def test_a_tombstone_deletes_what_its_key_names(project: Project, topic: Topic) -> None:
    node = declared(topic, key=["id"], deletes="tombstones")
    topic.send([("1", {"id": 1}), ('{"id": 2}', {"id": 2}), ("1", None), ('{"id": 2}', None)])
    topic.send([("x", None), (None, None), ('{"no": 1}', None)])
    well(project.load(node))
    assert project.raw("shop.lines", "id, _deleted") == [(1, True), (1, None), (2, True), (2, None)]
    assert sorted(rules for rules, _, _ in project.dead("shop.lines")) == [
        ("tombstone",), ("tombstone",), ("type:id",)
    ]  # fmt: skip
    project.check_books("shop")


def test_text_is_one_column(project: Project, topic: Topic) -> None:
    topic.send([(None, "plain"), (None, "é"), (None, ""), (None, b"\xff")], partition=0)
    node = declared(topic, {"line": "varchar"}, format="text", primary_key=[])
    well(project.load(node))
    assert project.raw("shop.lines", "line") == [("",), ("plain",), ("é",)]
    assert project.dead("shop.lines") == [(("unparsable",), "\\xFF", f"{topic.name}/0/3")]


def test_small_pieces_make_one_load(
    project: Project, topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_reader, "_ROWS", 100)
    monkeypatch.setattr(kafka_broker, "_AT_ONCE", 30)
    topic.send(rows(1000))
    well(project.load(declared(topic)))
    assert ids(project) == list(range(1000))
    assert len(project.book("shop")) == 1
    topic.send(rows(1000, 1000))
    well(project.load(declared(topic, window=300)))
    assert ids(project) == list(range(2000))
    assert len(project.book("shop")) > 2
    project.check_books("shop")


def test_the_group_is_told_and_never_asked(project: Project, topic: Topic) -> None:
    topic.send(rows(4), partition=0)
    well(project.load(declared(topic)))
    group = "millrace.shop.lines"
    assert topic.group(group)[0] == 4
    topic.admin.alter_consumer_group_offsets([_offsets(group, topic, 0)])[group].result(20)
    assert topic.group(group)[0] == 0
    topic.send(rows(1, 4), partition=0)
    well(project.load(afresh=True))
    assert ids(project) == [0, 1, 2, 3, 4]
    assert topic.group(group)[0] == 5


def _offsets(group: str, topic: Topic, at: int) -> Any:
    from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition

    return ConsumerGroupTopicPartitions(group, [TopicPartition(topic.name, 0, at)])


@pytest.mark.parametrize(
    ("start", "wanted"), [("earliest", [0, 1, 2]), ("latest", [2]), ("2017-01-02", [1, 2])]
)
def test_the_first_load_begins_where_it_is_told(
    project: Project, topic: Topic, start: str, wanted: list[int]
) -> None:
    for day, sent in ((1, 0), (2, 1)):
        topic.send(rows(1, sent), timestamp=1_483_228_800_000 + (day - 1) * 86_400_000)
    well(project.load(declared(topic, start=start)))
    topic.send(rows(1, 2))
    well(project.load(afresh=True))
    assert ids(project) == wanted


def test_what_retention_took_is_told_and_accepted_by_name(project: Project, topic: Topic) -> None:
    topic.send(rows(10), partition=0)
    well(project.load(declared(topic)))
    topic.send(rows(10, 10), partition=0)
    topic.cut({0: 15})
    stopped(project, f"{topic.name}/0: up to 5 messages from offset 10 on are gone")
    assert project._process is not None
    well(project._process.load("run", accept="loss"))
    assert ids(project) == [*range(10), *range(15, 20)]
    ((rules, payload, origin),) = project.dead("shop.lines")
    assert (rules, payload["from"], payload["to"]) == (("lost",), 10, 15)
    assert origin == f"{topic.name}/0/10-15"
    topic.send(rows(1, 20), partition=0)
    well(project.load(afresh=True))
    assert ids(project)[-1] == 20
    project.check_books("shop")


def test_a_topic_made_anew_is_another_one(project: Project, topic: Topic) -> None:
    topic.send(rows(3), partition=0)
    well(project.load(declared(topic)))
    topic.delete()
    topic.make()
    topic.send(rows(5, 100), partition=0)
    stopped(project, "the topic was deleted and made anew")
    assert project._process is not None
    well(project._process.load("run", accept="loss"))
    assert ids(project) == [0, 1, 2, 100, 101, 102, 103, 104]
    assert not well(project.load()).loads
    project.check_books("shop")


def test_a_topic_that_is_gone_is_told(project: Project, topic: Topic) -> None:
    topic.send(rows(3))
    well(project.load(declared(topic)))
    topic.delete()
    stopped(project, f"the cluster has no topic {topic.name!r}")


def test_new_partitions_are_read_from_their_start_after_the_others(
    project: Project, topic: Topic
) -> None:
    topic.send(rows(3), partition=0)
    well(project.load(declared(topic, start="latest")))
    topic.send(rows(2), partition=0)
    topic.grow(5)
    topic.send(rows(2, 10), partition=4)
    well(project.load())
    assert project.raw("shop.lines", "_load_number, id") == [(1, 0), (1, 1), (2, 10), (2, 11)]
    assert not well(project.load(afresh=True)).loads


def test_new_partitions_wait_for_one_load_and_not_for_a_quiet_moment(
    project: Project, topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `millrace stream` loads: one load, and the next call begins again with the old ones."""
    monkeypatch.setattr(kafka_reader, "_ROWS", 2)
    topic.send(rows(2), partition=0)
    well(project.load(declared(topic)))
    topic.grow(5)
    topic.send(rows(2, 10), partition=4)
    loader = project.loader()
    for number in range(2, 5):
        topic.send(rows(2, 20 * number), partition=0)
        well(loader.load("run", once=True))
    found = dict(project.raw("shop.lines", "id, _load_number"))
    assert found.keys() == {0, 1, 10, 11, 40, 41, 60, 61, 80, 81}
    assert found[40] < found[10] == found[60]


def test_a_pattern_takes_topics_as_they_come(project: Project, broker: Broker) -> None:
    first = Topic(broker.address, name="shop.one")
    first.send(rows(2))
    node = declared(first, start="latest")
    node["tables"][0]["config"]["meta"]["ingest"]["topic"] = r"^shop\."
    well(project.load(node))
    first.send(rows(2))
    Topic(broker.address, name="shop.two").send(rows(2, 2))
    Topic(broker.address, name="other.three").send(rows(2, 4))
    well(project.load())
    assert ids(project) == [0, 1, 2, 3]


def test_compacted_and_large_messages(project: Project, broker: Broker) -> None:
    config = {"max.message.bytes": "20000000", "cleanup.policy": "compact",
              "segment.ms": "100", "min.cleanable.dirty.ratio": "0.01"}  # fmt: skip
    topic = Topic(broker.address, 1, config)
    large = "x" * 5_000_000
    for _ in range(3):
        topic.send([("1", {"id": 1, "amount": n}) for n in range(50)])
    topic.send([("2", {"id": 2, "note": large})])
    well(project.load(declared(topic)))
    assert project.raw("shop.lines", "max(length(note))") == [(5_000_000,)]
    assert len(ids(project)) <= 151
    project.check_books("shop")


def test_a_broker_that_is_killed_is_waited_for(project: Project, broker: Broker) -> None:
    topic = Topic(broker.address)
    topic.send(rows(100))
    node = declared(topic)
    well(project.load(node))
    topic.send(rows(100, 100))
    broker.kill()
    broker.start()
    well(project.load(afresh=True))
    assert ids(project) == list(range(200))


def test_a_broker_that_is_away_is_told(
    project: Project, topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_broker, "_ANSWER", 0.5)
    node = declared(topic)
    node["config"]["meta"]["ingest"]["brokers"] = "127.0.0.1:9"
    (error,) = project.load(node).errors
    assert "the source does not answer" in str(error)
    assert "the next run reads on from where this one was" in str(error)


def rewound(project: Project, to: str) -> SourceResult:
    """The topic from there on once more, in a process of its own."""
    loader = project.loader()
    table = loader.source.tables[0]
    return loader.rewind_stream(table, since(to, table), "rewind")


def test_a_rewind_recognises_what_raw_has(project: Project, topic: Topic) -> None:
    topic.send(rows(20))
    topic.send([("1", None), ("x", b"{"), ("y", None)])
    well(project.load(declared(topic, key=["id"], deletes="tombstones")))
    assert not well(rewound(project, "0")).loads
    assert not well(rewound(project, "2017-01-01")).loads
    topic.send(rows(1, 20))
    assert not well(rewound(project, "0")).loads, "what was not read is the ordinary load's"
    well(project.load(afresh=True))
    assert ids(project) == sorted([*range(21), 1])
    project.check_books("shop")


def test_a_rewind_brings_what_comes_to_other_rows_by_now(project: Project, topic: Topic) -> None:
    """They rank where their message first stood: below what came for the key afterwards."""
    topic.send([("1", {"id": 1, "amount": 1, "Note": "a"})], partition=0)
    node = declared(topic, schema_contract={"columns": "discard_value"})
    well(project.load(node))
    topic.send([("1", {"id": 1, "amount": 2}), ("2", {"id": 2, "Note": "b"})], partition=0)
    topic.send([("3", {"id": "x", "Note": "b"}), ("4", "{")], partition=0)
    well(project.load(afresh=True))
    more = declared(topic, {**COLUMNS, "note": "varchar"},
                    schema_contract={"columns": "discard_value"})  # fmt: skip
    project.declare(more)
    well(rewound(project, "0"))
    assert project.raw("shop.lines", "_offset, _load_number, _replayed_from, note") == [
        (0, 1, None, None), (0, 3, 1, "a"), (1, 2, None, None), (2, 2, None, None), (2, 3, 2, "b")
    ]  # fmt: skip
    assert not well(rewound(project, "0")).loads
    assert [rules for rules, _, _ in project.dead("shop.lines")] == [("type:id",), ("unparsable",)]
    project.check_books("shop")


def test_a_rewind_that_was_cut_off_goes_on(
    project: Project, topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_reader, "_ROWS", 100)
    monkeypatch.setattr(kafka_broker, "_AT_ONCE", 50)
    topic.send([(str(n), {"id": n, "note": "x"}) for n in range(1000)], partition=0)
    only = {"window": 200, "schema_contract": {"columns": "discard_value"}}
    well(project.load(declared(topic, **only)))
    project.declare(declared(topic, {**COLUMNS, "note": "varchar"}, **only))
    whole = kafka_broker.Broker.messages

    def torn(self: Any, *offsets: Any) -> Any:
        for number, given in enumerate(whole(self, *offsets)):
            if number == 9:
                raise SourceError("the network is gone")
            yield given

    monkeypatch.setattr(kafka_broker.Broker, "messages", torn)
    assert rewound(project, "0").errors
    monkeypatch.setattr(kafka_broker.Broker, "messages", whole)
    before = len(project.raw("shop.lines", "id"))
    assert 1000 < before < 2000
    well(rewound(project, "0"))
    assert ids(project) == sorted([*range(1000), *range(1000)])
    assert project.book("shop")[-1]["rows_fetched"] < 1000, "it went on, not from the start"
    project.check_books("shop")


@pytest.mark.parametrize("to", ["-1", "yesterday", "2017-13-01"])
def test_a_point_that_is_none_is_refused(project: Project, topic: Topic, to: str) -> None:
    (table,) = project.declare(declared(topic)).tables
    with pytest.raises(SinceError, match="no offset and no time"):
        since(to, table)
