"""A real Kafka: transactions, poison, tombstones, partitions that are added; and it dies itself."""

import random
import shutil
import threading
import time
from pathlib import Path

import duckdb
from projects import source, table
from real_topics import Topic

from sample.broker import Broker
from tests.crash.engine import Case, Disturber, Tally
from tests.crash.stores import Known, Store, rules

COLUMNS = {"id": "bigint", "amount": {"data_type": "integer", "check": "amount >= 0"}}


class Topics(Store):
    """A topic that grows; the broker's folder is of the world too.

    What is in a topic for good is known from what was sent to it.
    """

    name = "topics"
    steps = (
        "first messages", "more, some aborted, some poison", "more partitions",
        "read again, with a column more",
    )  # fmt: skip
    broker: Broker

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._stands = -1

    def bring(self, step: int) -> None:
        address = self.broker.address
        if step in (0, 3):
            made = table("lines", {**COLUMNS, **({"note": "varchar"} if step else {})},
                         topic="lines", primary_key=["id"], key=["id"], deletes="tombstones",
                         max_dead=1, window=40,
                         schema_contract={"columns": "discard_value"})  # fmt: skip
            self.project.declare(source("shop", made, kind="kafka", brokers=address))
        if step == 0:
            self.topic = Topic(address, name="lines")
            self.known["lines"] = Known(("id", "amount", "_deleted"))
        if step == 3:
            known = self.known["lines"]
            known.columns = ("id", "amount", "_deleted", "note")
            noted = [(*row, "n") for row in known.rows if row[2] is None]
            known.rows = [(*row, None) for row in known.rows] + noted
            self._stands = step
            return
        known, topic = self.known["lines"], self.topic
        if step == 2:
            topic.grow(5)
        for end in ("commit", "abort", "commit"):
            made = [(100 * step + i, i) for i in range(45)]
            sent = [(str(n), {"id": n, "amount": amount, "note": "n"}) for n, amount in made]
            topic.send(sent, transaction=end)
            known.rows += [(*row, None) for row in made] if end == "commit" else []
        if step:
            topic.send([("bad", b"\xff"), ("bad", "{"), ("bad", '{"id": 1, "id": 2}')])
            topic.send([("7", {"id": 7, "amount": -1}), (str(step), None), (None, None)])
            known.dead.update(
                {rules("unparsable"): 3, rules("check:amount"): 1, rules("tombstone"): 1}
            )
            known.rows.append((step, None, True))
        self._stands = step

    def keep(self, step: int) -> None:
        """The broker's data too."""
        super().keep(step)
        self.broker.stop()
        shutil.copytree(self.broker.folder / "data", self.folder / f"topics-{step}")
        self.broker.start()

    def restore(self, step: int) -> None:
        """The broker's data too, where they are of another step."""
        super().restore(step)
        if step != self._stands:
            self.broker.stop()
            data = self.broker.folder / "data"
            shutil.rmtree(data)
            shutil.copytree(self.folder / f"topics-{step}", data)
            self._stands = step
        self.broker.start()  # one that is up stays as it is

    def check(self, step: int) -> int:
        count = super().check(step)
        with duckdb.connect(str(self.project.warehouse), read_only=True) as con:
            rows, messages = con.execute(
                "select count(*), count(distinct (_topic, _partition, _offset)) from raw_shop.lines"
            ).fetchall()[0]
        again = len(self._truths[3][0]["lines"].rows) - messages if step == 3 else 0
        assert rows == messages + again, f"{rows} rows of {messages} messages"
        return count

    def command(self, step: int) -> list[str]:
        again = ["rewind-stream", str(self.project.root), "0"]
        return again if step == 3 else super().command(step)


class Landings(Topics):
    """A reader lands what is in the topic, in small files; the load takes them."""

    name = "landings"
    steps = (
        "the first look", "messages land", "the load takes them", "more land, over a torn draft",
        "the load takes them, and clears away",
    )  # fmt: skip
    own = ("ingest.readers.", "ingest.disk.", "ingest.destination.Destination.commit", "dlt: mark")

    def bring(self, step: int) -> None:
        known, landing = self.known, self.path / "landing"
        if step == 0:
            made = table("lines", COLUMNS, topic="lines", primary_key=["id"], max_dead=1, window=40,
                         landing=str(landing))  # fmt: skip
            brokers = self.broker.address
            self.project.declare(source("shop", made, kind="kafka", brokers=brokers))
            self.topic = Topic(brokers, name="lines")
            known["lines"] = Known(("id", "amount"))
        elif step in (1, 3):
            for end in ("commit", "abort", "commit"):
                made = [(100 * step + i, i) for i in range(60)]
                sent = [(str(n), {"id": n, "amount": amount}) for n, amount in made]
                self.topic.send(sent, transaction=end)
                self._landed += made if end == "commit" else []
            self.topic.send([("bad", b"\xff"), ("bad", "{")])
            if step == 3:
                (draft,) = {path.parent for path in landing.rglob("0")}
                torn = f".{0:020}-{5:020}.parquet.{'a' * 32}.partial"
                (draft / "0" / torn).write_bytes(b"PAR1")
        else:
            known["lines"].rows += self._landed
            known["lines"].dead[rules("unparsable")] += 2
            self._landed = []
        self._stands = step

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._landed: list[tuple[int, int]] = []

    def command(self, step: int) -> list[str]:
        return ["land" if step in (1, 3) else "load", str(self.project.root)]

    def check(self, step: int) -> int:
        """After a load nothing is left in the landing."""
        count = super().check(step)
        left = [path for path in (self.path / "landing").rglob("*.p*") if path.suffix != ".json"]
        assert bool(left) == (step in (1, 3)), f"in the landing: {left}"
        return count


def broker_killed(disturber: Disturber, step: int, count: int, tally: Tally) -> None:
    """SIGKILL to the broker at random moments of a load, to the reader too every second time.

    The broker comes up again at once. The reader may ride over it, or ask to be called again.

    Args:
        disturber: of `Topics`, walked.
        step: which.
        count: how many times.
        tally: what comes of it goes in there.
    """
    topics, took, dice = disturber.scenario, disturber.walked[step].seconds, disturber.dice
    assert isinstance(topics, Topics)
    for number in range(count):
        topics.restore(step)
        kills = [_Killing(topics.broker, dice, took) for _ in range(dice.randint(1, 3))]
        reader = [Case(seconds=dice.uniform(0.1, 1) * took)] if number % 2 else []
        try:
            for killing in kills:
                killing.start()
                case = reader.pop() if reader else None
                code = disturber._run(step, case).code
                killing.join()
                tally.fired += killing.fired + (case is not None and code < 0)
            ended = disturber._run(step)
            assert not ended.code, "\n".join(list(disturber.client.said)[-5:])
            tally.rows += topics.check(step)
        except AssertionError as error:
            tally.wrong.append(f"{topics.name}, round {number}: {error}")
        tally.times += 1


class _Killing(threading.Thread):
    """Kills the broker after a while, and brings it up again."""

    def __init__(self, broker: Broker, dice: random.Random, took: float) -> None:
        super().__init__()
        self._broker, self._after, self.fired = broker, dice.uniform(0, took), 0

    def run(self) -> None:
        time.sleep(self._after)
        self._broker.kill()
        self.fired = 1
        self._broker.start()
