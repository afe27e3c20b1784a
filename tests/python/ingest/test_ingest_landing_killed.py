"""Readers that land and loads that take it are killed: each message comes once all the same."""

import json
import os
import random
import signal
import threading
import time

import pytest
from landing_readers import Readers, declared, ends, files
from lines import rows, well
from projects import Project
from real_topics import Topic

from sample.broker import Broker

pytestmark = pytest.mark.xdist_group("kafka")


@pytest.mark.parametrize(
    ("shares", "kills"),
    [((("--share", "1/2"), ("--share", "2/2")), 3), (((), ()), 2)],
    ids=["each its half", "both all"],
)
def test_readers_and_loads_are_killed(
    project: Project, broker: Broker, shares: tuple[tuple[str, ...], ...], kills: int
) -> None:
    """Messages come all the while, in transactions of which some are aborted."""
    seed = int(os.environ.get("MILLRACE_CRASH_SEED", time.time_ns() % 10_000))
    print(f"MILLRACE_CRASH_SEED={seed}")
    dice, topic = random.Random(seed), Topic(broker.address, 4)
    well(project.load(declared(project, topic)))
    readers = Readers(project)
    sent: list[int] = []
    ended = threading.Event()

    def produce() -> None:
        number = 0
        while not ended.is_set():
            made = rows(300, number)
            number += 300
            ending = dice.choice(["commit", "commit", "abort", ""])
            topic.send(made, transaction=ending)
            sent.extend(range(number - 300, number) if ending != "abort" else ())
            time.sleep(0.1)  # a steady trickle, so that every kill meets some

    producer = threading.Thread(target=produce)
    producer.start()
    every = ("--every", "0.1s")
    running = [readers.land(*share, *every) for share in shares]
    killed = 0
    try:
        for number in range(kills):
            load = readers.load()
            time.sleep(dice.uniform(0, 0.5))  # a random moment of the load, and of the reader
            one = number % len(running)
            readers.kill(running[one])
            running[one] = readers.land(*shares[one], *every)
            time.sleep(dice.uniform(0, 2))  # a random moment, of the load again
            if load.poll() is None and number % 2 == 0:
                readers.kill(load)
                killed += 1
            load.wait()
        ended.set()
        producer.join()
        for process in running:
            process.send_signal(signal.SIGTERM)
        assert [process.wait(60) for process in running] == [0, 0], readers.said()
    finally:
        ended.set()
        for process in running:
            process.kill()
            process.wait()
    assert readers.land().wait(60) == 0, readers.said()
    well(project.load(afresh=True))
    print(f"{len(sent)} messages; {killed} loads were killed")
    assert len(sent) > 1000
    found = project.raw("shop.lines", "_topic, _partition, _offset, id")
    assert [key for *_, key in sorted(found, key=lambda row: row[3])] == sent
    assert len({row[:3] for row in found}) == len(sent)
    project.check_books("shop")
    state = project.loader().states()["lines"]
    (only,) = state["kafka"]["topics"].values()
    assert {int(n): at for n, at in only["next"].items()} == ends(topic, project)
    told = json.loads((project.root / "landing" / "shop.lines" / "position.json").read_text())
    assert told == {"committer": state["landing"], "kafka": state["kafka"]}
    assert not files(project)
