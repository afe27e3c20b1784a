"""The sample's Kafka: up, down, killed and up again, and what is said where it cannot be."""

import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from services import kafka

from ops.packages import default_cache
from sample import broker_client, broker_jars, broker_process
from sample.broker import Broker
from sample.broker_client import Topic
from sample.errors import (
    BrokerError,
    BrokerNotHereError,
    JarsMissingError,
    JavaMissingError,
    MavenMissingError,
)

pytestmark = pytest.mark.xdist_group("broker")

THREE = {b"one", b"two", b"three"}


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    """A broker with a topic of three messages."""
    with kafka() as found:
        _make(found.address, "kept", sorted(THREE))
        yield found


def _make(address: str, topic: str, messages: list[bytes]) -> None:
    from confluent_kafka import Producer
    from confluent_kafka.admin import AdminClient, NewTopic

    admin = AdminClient({"bootstrap.servers": address})
    for future in admin.create_topics([NewTopic(topic, 2)]).values():
        future.result()
    producer = Producer({"bootstrap.servers": address})
    for number, message in enumerate(messages):
        producer.produce(topic, message, partition=number % 2)
    assert producer.flush(20) == 0


def _three(address: str, topic: str) -> set[bytes]:
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": address, "group.id": "test"})
    try:
        consumer.assign([TopicPartition(topic, part, 0) for part in range(2)])
        return {message.value() or b"" for message in consumer.consume(3, timeout=10)}
    finally:
        consumer.close()


def test_amid_its_start_it_may_have_no_command_line(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shell that writes its process down becomes Java: then it has neither's for a moment."""
    looks, command = [], broker_process.command

    def looked(pid: int) -> str:
        looks.append(pid)
        return "" if looks.count(pid) == 3 else command(pid)

    broker.kill()
    monkeypatch.setattr(broker_process, "command", looked)
    broker.start()
    assert max(map(looks.count, looks)) > 3, "it was looked for again"
    assert _three(broker.address, "kept") == THREE


def test_what_it_had_is_there_after_a_kill(broker: Broker) -> None:
    address, pid = broker.address, broker.pid
    broker.kill()
    assert broker.status() is None
    assert not broker_client.answers(address, "any")
    assert broker.start() == address
    status = broker.status()
    assert status is not None
    assert (status.address, status.topics) == (address, {"kept": Topic(2, 3)})
    assert status.pid != pid
    assert _three(address, "kept") == THREE


@pytest.mark.parametrize("liar", ["this test", "999999999", "no number", ""])
def test_a_pid_file_that_lies_is_seen_through(broker: Broker, liar: str) -> None:
    file = broker.folder / "pid"
    true = file.read_text()
    assert broker.pid == int(true)
    file.write_text(str(os.getpid()) if liar == "this test" else liar)
    try:
        assert broker.pid is None
        assert broker.status() is None
        broker.stop()  # and this test is not ended by it
    finally:
        file.write_text(true)
    assert broker.pid == int(true)


def test_another_cluster_is_not_taken_for_it(broker: Broker) -> None:
    cluster = str(broker._node()["cluster"])
    assert broker_client.answers(broker.address, cluster)
    assert not broker_client.answers(broker.address, cluster[::-1])


def test_two_starts_at_once_are_one_and_a_taken_port_is_left(broker: Broker) -> None:
    broker.stop()
    former = broker.address
    with socket.socket() as other:
        other.bind(("127.0.0.1", int(former.rpartition(":")[2])))
        other.listen()
        twins = [Broker(broker.folder, default_cache(), os.environ) for _ in range(2)]
        threads = [threading.Thread(target=twin.start) for twin in twins]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert twins[0].pid == twins[1].pid == broker.pid is not None
        assert broker.address != former
    assert _three(broker.address, "kept") == THREE
    twins[0].stop()
    assert broker.status() is None


def _millrace(home: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ops.cli", "sample", "kafka", *words],
        env={**os.environ, "MILLRACE_HOME": str(home), **env},
        capture_output=True,
        text=True,
    )


def test_the_command_brings_it_up_and_down(broker: Broker, tmp_path: Path) -> None:
    here = Broker(tmp_path / "sample_data" / "kafka", default_cache(), os.environ)
    try:
        up = _millrace(tmp_path, "up")
        assert up.returncode == 0, up.stderr
        assert f"export MILLRACE_SCANNER_BROKERS={here.address}\n" in up.stderr
        _make(here.address, "told", [b"x"] * 3)
        status = _millrace(tmp_path, "status")
        assert f"up at {here.address}, process {here.pid}" in status.stderr
        assert "told: 2 partitions, at most 3 messages" in status.stderr
        assert _millrace(tmp_path, "down").returncode == 0
        assert here.pid is None
    finally:
        here.kill()


def test_without_java_the_command_says_what_to_install(tmp_path: Path) -> None:
    done = _millrace(tmp_path, "up", PATH=str(tmp_path), JAVA_HOME="")
    assert done.returncode == 1
    assert "Java 17 or newer" in done.stderr
    assert "openjdk-17-jre-headless" in done.stderr
    assert "Traceback" not in done.stderr


def _script(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def fakes(tmp_path: Path) -> dict[str, str]:
    """An environment in which Java is a script that says that it is Java 21."""
    (tmp_path / "bin").mkdir()
    _script(tmp_path / "bin", "java", "echo 'openjdk version \"21.0.1\"' >&2")
    return {"PATH": str(tmp_path / "bin")}


def test_an_old_java_is_told(tmp_path: Path, fakes: dict[str, str]) -> None:
    _script(tmp_path / "bin", "java", "echo 'openjdk version \"11.0.2\"' >&2")
    with pytest.raises(JavaMissingError, match=r"bin/java is Java 11\."):
        broker_jars.find(tmp_path, fakes)


def test_java_home_comes_before_the_path(tmp_path: Path, fakes: dict[str, str]) -> None:
    (tmp_path / "home" / "bin").mkdir(parents=True)
    _script(tmp_path / "home" / "bin", "java", "echo 'java version \"1.8.0_202\"' >&2")
    with pytest.raises(JavaMissingError, match=r"home/bin/java is Java 1\."):
        broker_jars.find(tmp_path, {**fakes, "JAVA_HOME": str(tmp_path / "home")})


def test_without_maven_and_jars_it_says_what_to_install(
    tmp_path: Path, fakes: dict[str, str]
) -> None:
    with pytest.raises(MavenMissingError, match="apt-get install maven"):
        broker_jars.find(tmp_path, fakes)


def test_jars_that_did_not_come_whole_are_not_there(tmp_path: Path, fakes: dict[str, str]) -> None:
    _script(
        tmp_path / "bin",
        "mvn",
        'for w; do case $w in -DoutputDirectory=*) d=${w#*=};; esac; done; /bin/mkdir -p "$d"; '
        'echo > "$d/a.jar"; [ -n "$FAIL" ] && { echo "[ERROR] no way there"; exit 1; }; exit 0',
    )
    with pytest.raises(JarsMissingError, match="no way there"):
        broker_jars.find(tmp_path / "cache", {**fakes, "FAIL": "1"})
    (home,) = (tmp_path / "cache").iterdir()
    assert [path.name for path in home.iterdir()] == [".lock"]
    found = broker_jars.find(tmp_path / "cache", fakes)
    assert [path.name for path in found.jars.iterdir()] == ["a.jar"]
    (tmp_path / "bin" / "mvn").unlink()
    assert broker_jars.find(tmp_path / "cache", fakes) == found


def test_an_open_port_is_no_answer(
    tmp_path: Path, fakes: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Java that listens where Kafka would, and never says a word."""
    _script(
        tmp_path / "bin",
        "java",
        'case "$*" in *-version) echo \'java version "17"\' >&2;; '
        f'*format*) ;; *) exec {sys.executable} {tmp_path / "mute.py"} "$@";; esac',
    )
    (tmp_path / "mute.py").write_text(
        "import re, socket, sys, time\n"
        "port = re.search(r'listeners=CLIENT://127.0.0.1:(\\d+)', open(sys.argv[-1]).read())[1]\n"
        "server = socket.create_server(('127.0.0.1', int(port)))\n"
        "time.sleep(60)\n"
    )
    monkeypatch.setattr(broker_jars, "_fetch", lambda pom, jars, env: jars.mkdir())
    monkeypatch.setattr("sample.broker._archived", lambda kafka, env: kafka)
    monkeypatch.setattr("sample.broker._PATIENCE", 1.0)
    mute = Broker(tmp_path / "broker", tmp_path / "cache", fakes)
    with pytest.raises(BrokerError, match="did not come up"):
        mute.start()
    assert mute.pid is None


def test_a_folder_without_a_broker(tmp_path: Path) -> None:
    none = Broker(tmp_path / "none", tmp_path, os.environ)
    assert none.status() is None
    none.stop()
    with pytest.raises(BrokerNotHereError, match="millrace sample kafka up"):
        _ = none.address
    assert not (tmp_path / "none").exists()


def test_tests_skip_where_java_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert shutil.which("java") is None
    with pytest.raises(pytest.skip.Exception, match="openjdk-17-jre-headless"), kafka():
        pytest.fail("it came up")
