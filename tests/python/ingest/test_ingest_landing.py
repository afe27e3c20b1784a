"""Readers land a topic's messages, one load takes them: each once, whatever dies or overlaps."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from landing_readers import declared, ends, files, landed, lander
from lines import COLUMNS, ids, rows, well
from projects import Project
from real_topics import Topic

from ingest.destination import Destination
from ingest.errors import DeclarationError, LoadError, SourceError
from ingest.readers import kafka_broker, land, landing
from ingest.readers.kafka import KafkaReader
from ingest.readers.land import Share
from ingest.readers.landed import Landed
from ingest.readers.landing import Landing
from ingest.readers.messages import SCHEMA
from ingest.readers.offsets import Place
from ingest.readers.rewound import since
from ingest.readers.watch import Watch
from ops.cli_land import _share
from sample.broker import Broker

pytestmark = pytest.mark.xdist_group("kafka")


@pytest.fixture
def topic(broker: Broker) -> Topic:
    return Topic(broker.address)


@pytest.fixture
def begun(project: Project, topic: Topic) -> Project:
    """A project whose load has looked at the topic once."""
    well(project.load(declared(project, topic)))
    return project


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of ten messages."""
    monkeypatch.setattr(land, "_WINDOW", 10)
    monkeypatch.setattr(kafka_broker, "_AT_ONCE", 10)


def stopped(project: Project, words: str, accept: Any = "") -> str:
    """The one error of a load."""
    (error,) = project.loader().load("run", accept=accept).errors
    assert words in str(error)
    return str(error)


def test_each_committed_message_that_landed_comes_once(begun: Project, topic: Topic) -> None:
    topic.send(rows(1000))
    topic.send(rows(500, 5000), transaction="abort")
    topic.send(rows(300, 1000), transaction="commit")
    topic.send([("x", b"\xff"), ("y", None)], headers=[("a", b"1"), ("a", None)])
    assert not well(begun.load()).loads
    halves = [landed(begun, Share(nth=nth, of=2)) for nth in (0, 1)]
    assert all(half.files for half in halves)
    assert sum(half.messages for half in halves) == 1302
    assert not landed(begun).files
    well(begun.load())
    assert ids(begun) == list(range(1300))
    assert sorted(rules for rules, _, _ in begun.dead("shop.lines")) == [
        ("tombstone",), ("unparsable",)
    ]  # fmt: skip
    assert not files(begun)
    assert not landed(begun).files
    assert not well(begun.load(afresh=True)).loads
    begun.check_books("shop")
    assert topic.group("millrace.shop.lines") == ends(topic, begun)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("trims", [True, False], ids=["trimmed", "not trimmed"])
def test_what_overlaps_comes_once(
    begun: Project, topic: Topic, monkeypatch: pytest.MonkeyPatch, trims: bool
) -> None:
    """Two readers of the same partitions, of which neither saw what the other landed."""
    topic.send(rows(100))
    landed(begun)
    first = {path: path.read_bytes() for path in files(begun)}
    for path in first:
        path.unlink()
    monkeypatch.setattr(land, "_WINDOW", 35)
    topic.send(rows(50, 100))
    landed(begun)
    other = len(files(begun))
    for path, content in first.items():
        path.write_bytes(content)
    assert len(files(begun)) == len(first) + other
    if not trims:
        monkeypatch.setattr(landing, "trimmed", lambda batch, first, end: batch)
    well(begun.load())
    assert (ids(begun) == list(range(150))) == trims
    assert not files(begun)
    begun.check_books("shop")


@pytest.mark.usefixtures("small")
def test_a_hole_is_waited_for_and_told(begun: Project, topic: Topic) -> None:
    topic.send(rows(50), partition=0)
    topic.send(rows(5, 100), partition=1)
    landed(begun)
    third = [path for path in files(begun) if "/0/" in str(path)][2]
    third.unlink()
    told = stopped(begun, "up to 30 have not landed, though later ones have")
    assert "millrace land shop.lines" in told
    assert ids(begun) == [*range(20), *range(100, 105)]
    watch = Watch(begun.loader().source, begun.loader().source.tables[0], begun.env)
    with pytest.raises(SourceError, match="have not landed"):
        watch.lag(begun.loader().states()["lines"])
    topic.send(rows(5, 105), partition=1)
    landed(begun, Share(numbers={1}))
    loader = begun.loader()
    well(loader.load("run", once=True))
    assert [line for line in begun.lines if "have not landed" in line], "told, though it goes on"
    landed(begun)
    well(loader.load("run"))
    assert ids(begun) == [*range(50), *range(100, 110)]
    assert not files(begun)
    begun.check_books("shop")


@pytest.mark.usefixtures("small")
def test_a_list_that_is_read_while_files_land_shows_no_hole(
    begun: Project, topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have the second of two files and not the first, which landed behind its back."""
    list_of = Landing.files
    state = begun.loader().states()["lines"]
    declared = begun.loader().source.tables[0]
    before = Landed.of(declared, begun.env, state)
    topic.send(rows(20), partition=0)
    reader = lander(begun)
    reader.round()
    where = before.look(reader._broker, state)
    monkeypatch.setattr(Landing, "files", lambda self: {p: f[1:] for p, f in list_of(self).items()})
    assert not before.hole(replace(where, ends=where.begins))
    assert Landed.of(declared, begun.env, state).hole(replace(where, ends=where.begins))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("how", ["cut off", "damaged", "of another stretch", "foreign", "a name"])
def test_a_file_that_is_not_whole_is_named(begun: Project, topic: Topic, how: str) -> None:
    topic.send(rows(40), partition=0)
    landed(begun)
    second = files(begun)[1]
    content = second.read_bytes()
    if how == "cut off":
        second.write_bytes(content[: len(content) // 2])
    elif how == "damaged":
        at = content.index(b"\x28\xb5\x2f\xfd", 200) + 30  # into a packed page
        second.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    elif how == "of another stretch":
        second.write_bytes(files(begun)[2].read_bytes())
    elif how == "foreign":
        pq.write_table(pa.table({"a": [1]}), second)
    else:
        second = second.rename(second.with_name("notes.txt"))
    stopped(begun, str(second))
    assert ids(begun) == []
    second.unlink()
    landed(begun)
    well(begun.load(afresh=True))
    assert ids(begun) == list(range(40))
    begun.check_books("shop")


@pytest.mark.parametrize("in_place", [False, True], ids=["renamed", "written in place"])
def test_what_a_killed_reader_wrote_half_is_none(
    begun: Project, topic: Topic, in_place: bool
) -> None:
    topic.send(rows(40), partition=0)
    reader = lander(begun)
    (found,) = reader._broker.topics(topic.name)[1]
    place = found.places[topic.name, 0]
    words = (str(reader._landing.folder), place, in_place)
    child = f"import test_ingest_landing as t; t.write_half{words!r}"
    paths = {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", child], env={**os.environ, **paths})
    assert done.returncode == -signal.SIGKILL
    (half,) = files(begun)
    assert half.stat().st_size > 100
    if in_place:
        assert not landed(begun).files, "it looks as though it had landed"
        stopped(begun, f"{half} cannot be read")
        return
    landed(begun)
    well(begun.load(afresh=True))
    assert ids(begun) == list(range(40))
    assert not files(begun)


def write_half(folder: str, place: Place, in_place: bool) -> None:
    """In a process of its own: SIGKILL in the middle of a file."""
    write, opened = pq.write_table, Path.open

    def half(rows: pa.Table, out: Any, **more: Any) -> None:
        whole = pa.BufferOutputStream()
        write(rows, whole, **more)
        out.write(whole.getvalue()[:200])
        out.flush()
        os.kill(os.getpid(), signal.SIGKILL)

    def straight(self: Path, *mode: Any) -> Any:
        name = self.name.removeprefix(".").partition(".parquet")[0]
        return opened(self.with_name(f"{name}.parquet"), *mode)

    pq.write_table = half
    if in_place:
        Path.open = straight  # type: ignore[method-assign, assignment]
    rows = pa.Table.from_pylist([{"offset": n, "value": b"{}"} for n in range(40)], SCHEMA)
    no_table: Any = None  # it only names the table in errors
    Landing(Path(folder), no_table).write(place, "cluster", rows, 0, 40)


@pytest.mark.parametrize("too_soon", [False, True], ids=["after the load", "too soon"])
def test_what_landed_stays_until_its_load_is_in(
    begun: Project, topic: Topic, monkeypatch: pytest.MonkeyPatch, too_soon: bool
) -> None:
    topic.send(rows(40))
    landed(begun)
    batch = KafkaReader._batch

    def settled(self: Any, *given: Any, **more: Any) -> Any:
        made = batch(self, *given, **more)
        made.taken()
        return made

    def fails(self: Any, *given: Any) -> None:
        raise LoadError("the disk is full")

    with monkeypatch.context() as patch:
        if too_soon:
            patch.setattr(KafkaReader, "_batch", settled)
        patch.setattr(Destination, "commit", fails)
        stopped(begun, "the disk is full")
    well(begun.load(afresh=True))
    assert (ids(begun) == list(range(40))) != too_soon


def test_what_has_landed_is_not_lost_with_the_topics_messages(begun: Project, topic: Topic) -> None:
    topic.send(rows(10), partition=0)
    landed(begun)
    topic.send(rows(10, 10), partition=0)
    topic.cut({0: 15})
    done = lander(begun).round()
    assert f"{topic.name}/0: up to 5 messages from offset 10 on are gone" in str(done.problem)
    assert done.messages == 5, "what stands behind the loss lands all the same"
    stopped(begun, "from offset 10 up to 15 have not landed")
    assert ids(begun) == list(range(10))
    stopped(begun, "up to 5 messages from offset 10 on are gone")
    well(begun.loader().load("run", accept="loss"))
    assert ids(begun) == [*range(10), *range(15, 20)]
    assert [origin for _, _, origin in begun.dead("shop.lines")] == [f"{topic.name}/0/10-15"]
    assert not landed(begun).files
    begun.check_books("shop")


def test_what_landed_of_a_topic_that_is_made_anew_comes_first(begun: Project, topic: Topic) -> None:
    topic.send(rows(3), partition=0)
    landed(begun)
    topic.delete()
    stopped(begun, "the cluster has no topic")
    assert ids(begun) == [0, 1, 2]
    topic.make()
    topic.send(rows(5, 100), partition=0)
    assert "made anew" in str(lander(begun).round().problem)
    stopped(begun, "the topic was deleted and made anew")
    assert ids(begun) == [0, 1, 2]
    well(begun.loader().load("run", accept="loss"))
    landed(begun)
    well(begun.load(afresh=True))
    assert ids(begun) == [0, 1, 2, *range(100, 105)]
    assert not well(begun.load()).loads
    begun.check_books("shop")


def test_new_partitions_land_and_come_after_the_others(begun: Project, topic: Topic) -> None:
    topic.send(rows(2), partition=0)
    topic.grow(5)
    topic.send(rows(2, 10), partition=4)
    landed(begun)
    well(begun.load())
    assert begun.raw("shop.lines", "_load_number, id") == [(1, 0), (1, 1), (2, 10), (2, 11)]
    assert not files(begun)


def test_the_load_says_where_reading_begins(project: Project, topic: Topic) -> None:
    topic.send(rows(2))
    node = declared(project, topic, start="latest")
    project.declare(node)
    with pytest.raises(SourceError, match="no load has said yet"):
        landed(project)
    well(project.load(node))
    topic.send(rows(2, 2))
    assert landed(project).messages == 2
    well(project.load(afresh=True))
    assert ids(project) == [2, 3]


@pytest.mark.usefixtures("small")
def test_more_than_the_landing_may_hold_stays_in_the_broker(
    begun: Project, topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(land, "_FILES", 2)
    topic.send(rows(60), partition=0)
    topic.send(rows(5, 100), partition=1)
    found = []
    while (done := landed(begun)).full:
        assert done.full == {(topic.name, 0)}
        assert not landed(begun).files
        found.append(len(files(begun)))
        files(begun)[0].unlink()  # a hole lands in any case
        assert landed(begun).messages == 10
        well(begun.load())
    assert found == [3, 2]
    well(begun.load())
    assert ids(begun) == [*range(60), *range(100, 105)]


def test_the_load_of_another_warehouse_is_refused(
    begun: Project, topic: Topic, tmp_path: Path
) -> None:
    other = Project(tmp_path / "other")
    topic.send(rows(2))
    landed(begun)
    other.declare(declared(begun, topic))
    stopped(other, "the load of another warehouse takes what lands in")
    well(begun.load())
    assert ids(begun) == [0, 1]


def test_a_position_that_was_set_back_lets_land_again(begun: Project, topic: Topic) -> None:
    """As after `millrace rewind`: the files are gone, the broker has the messages."""
    topic.send(rows(5))
    kept = begun.warehouse.read_bytes()
    landed(begun)
    well(begun.load())
    begun.warehouse.write_bytes(kept)
    assert not well(begun.load(afresh=True)).loads
    assert landed(begun).messages == 5
    well(begun.load())
    assert ids(begun) == list(range(5))


def test_a_rewind_reads_from_the_broker(begun: Project, topic: Topic) -> None:
    topic.send([(str(n), {"id": n, "note": "x"}) for n in range(9)])
    landed(begun)
    only = {"schema_contract": {"columns": "discard_value"}}
    well(begun.load(declared(begun, topic, **only)))
    begun.declare(declared(begun, topic, {**COLUMNS, "note": "varchar"}, **only))
    loader = begun.loader()
    well(loader.rewind_stream(loader.source.tables[0], since("0", loader.source.tables[0]), "a"))
    assert ids(begun) == sorted([*range(9), *range(9)])
    begun.check_books("shop")


def test_the_stream_goes_by_what_has_landed(begun: Project, topic: Topic) -> None:
    declared = begun.loader().source
    watch = Watch(declared, declared.tables[0], begun.env)
    topic.send(rows(7), partition=0)
    state = begun.loader().states()["lines"]
    assert (watch.lag(state)[topic.name, 0], watch.waits) == (7, False)
    landed(begun)
    assert (watch.lag(state)[topic.name, 0], watch.waits) == (7, True)


@pytest.mark.parametrize("where", ["", "s3://bucket/landing"])
def test_a_landing_is_a_folder(project: Project, topic: Topic, where: str) -> None:
    project.declare(declared(project, topic, landing=where))
    with pytest.raises(DeclarationError, match="has no landing folder"):
        lander(project)
    stopped(project, "has no landing folder")


@pytest.mark.parametrize("words", [("0,x", None), (None, "2"), (None, "3/2"), ("0", "1/2")])
def test_a_share_that_is_none_is_refused(words: tuple[str | None, str | None]) -> None:
    with pytest.raises(typer.BadParameter):
        _share(*words)
    assert _share(None, "2/2") == Share(nth=1, of=2)
    assert _share("0,3", None) == Share(numbers=frozenset({0, 3}))
