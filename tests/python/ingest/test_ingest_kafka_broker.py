"""What a broker can do to its readers: ask for a password, and lose the end of its log."""

import json
import shutil
import time
from pathlib import Path
from typing import Any

import landing_readers
import pytest
from lines import rows, well
from projects import Project, source, table
from real_topics import Topic
from services import free_port, kafka

pytestmark = pytest.mark.xdist_group("kafka")

PASSWORD = "h3rring-and-c1der"
JAAS = (
    f'org.apache.kafka.common.security.plain.PlainLoginModule required user_reader="{PASSWORD}" ;'
)


def declared(topic: Topic, **client: str) -> dict[str, Any]:
    made = table("lines", {"id": "bigint"}, topic=topic.name, primary_key=["id"])
    return source("shop", made, kind="kafka", brokers="env:SHOP_BROKERS", client=client)


def test_credentials_are_taken_from_the_environment_and_never_told(project: Project) -> None:
    with kafka() as broker:
        topic = Topic(broker.address, 1)
        topic.send([("1", {"id": 1})])
        broker.stop()
        ports = json.loads((broker.folder / "node.json").read_text())
        address = f"127.0.0.1:{free_port()}"
        broker.settings = (
            f"listeners=CLIENT://{broker.address},SAFE://{address},"
            f"CONTROLLER://127.0.0.1:{ports['controller_port']}",
            f"advertised.listeners=CLIENT://{broker.address},SAFE://{address}",
            "listener.security.protocol.map="
            "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT,SAFE:SASL_PLAINTEXT",
            "sasl.enabled.mechanisms=PLAIN",
            f"listener.name.safe.plain.sasl.jaas.config={JAAS}",
        )
        broker.start()
        node = declared(
            topic,
            **{
                "security.protocol": "SASL_PLAINTEXT",
                "sasl.mechanism": "PLAIN",
                "sasl.username": "reader",
                "sasl.password": "env:SHOP_PASSWORD",
            },
        )
        project.env |= {"SHOP_BROKERS": address, "SHOP_PASSWORD": "wr0ng-one"}
        (error,) = project.load(node).errors
        assert "the cluster refuses" in str(error)
        assert "look at the settings under `client`" in str(error)
        assert "wr0ng-one" not in repr(error)
        assert project.book("shop") == []
        project.env["SHOP_PASSWORD"] = PASSWORD
        well(project.load(afresh=True))
        assert project.raw("shop.lines", "id") == [(1,)]


def test_a_log_that_was_cut_back_is_told_and_accepted_by_name(
    project: Project, tmp_path: Path
) -> None:
    """A broker that comes back with an older disk has lost what was read from it already."""
    with kafka() as broker:
        topic = Topic(broker.address, 1)
        project.env["SHOP_BROKERS"] = broker.address
        topic.send([(str(n), {"id": n}) for n in range(10)])
        broker.stop()
        shutil.copytree(broker.folder / "data", tmp_path / "data")
        broker.start()
        topic.send([(str(n), {"id": n}) for n in range(10, 15)])
        well(project.load(declared(topic)))
        broker.stop()
        shutil.rmtree(broker.folder / "data")
        shutil.copytree(tmp_path / "data", broker.folder / "data")
        broker.start()
        topic.send([("20", {"id": 20})])
        (error,) = project.load(afresh=True).errors
        assert "the log was cut back to 11" in str(error)
        assert project._process is not None
        well(project._process.load("run", accept="loss"))
        topic.send([("21", {"id": 21})])
        well(project.load(afresh=True))
        assert project.raw("shop.lines", "id") == [*((n,) for n in range(15)), (21,)]
        ((rules, payload, _),) = project.dead("shop.lines")
        assert (rules, payload["from"], payload["to"]) == (("lost",), 11, 15)
        project.check_books("shop")


def test_a_reader_that_lands_waits_for_a_broker_that_comes_back(project: Project) -> None:
    with kafka() as broker:
        topic = Topic(broker.address, 1)
        well(project.load(landing_readers.declared(project, topic)))
        topic.send(rows(3))
        broker.stop()
        readers = landing_readers.Readers(project)
        reader = readers.land()
        # nothing tells from outside that it has asked in vain: the first time takes four seconds
        time.sleep(8)
        broker.start()
        assert reader.wait(60) == 0, readers.said()
        assert "3 messages in 1 files" in readers.said()
