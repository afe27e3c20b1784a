"""A real Apache Kafka on this machine: one process on loopback, with a folder of its own.

The folder holds
- node.json: the cluster's id and the ports, written when the storage is formatted;
- server.properties: the settings of the last start;
- data/: the topics; broker.log; pid; lock, held while it is started or stopped.
"""

import base64
import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from sample import broker_client, broker_jars, broker_process
from sample.broker_client import Topic
from sample.broker_jars import Kafka
from sample.broker_process import HOST
from sample.errors import BrokerError, BrokerNotHereError

_PATIENCE = 60.0

# The pid is written before there is a broker, so none is ever started that nobody knows of.
_SPAWN = 'echo $$ > "$0" && exec "$@"'


@dataclass(frozen=True)
class Status:
    """A broker that is up.

    Attributes:
        address: host and port.
        pid: its process.
        topics: its topics by name, Kafka's own left out.
    """

    address: str
    pid: int
    topics: dict[str, Topic]


class Broker:
    """The broker of a folder. Any process may start it, and another stop it.

    Args:
        folder: where it keeps everything; made by `start`.
        cache: Millrace's cache folder, for Kafka's jars.
        env: the environment that Java and Maven are looked up in, and get.

    Attributes:
        settings: lines of server.properties that come after its own, at the next start.
    """

    def __init__(self, folder: Path, cache: Path, env: Mapping[str, str]) -> None:
        self.folder, self._cache, self._env = folder.absolute(), cache, env
        self.settings: tuple[str, ...] = ()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Where its clients find it, 127.0.0.1:PORT; after a start the same as before if it can.

        Raises:
            BrokerNotHereError: it was never started.
        """
        return f"{HOST}:{self._node()['port']}"

    @property
    def pid(self) -> int | None:
        """Its process, None where it is down: a pid file alone proves nothing."""
        with contextlib.suppress(FileNotFoundError, ValueError):
            pid = int((self.folder / "pid").read_text())
            if str(self._settings) in broker_process.command(pid):
                return pid
        return None

    def start(self) -> str:
        """Bring it up, with the data that it had; one that is up stays as it is.

        Returns:
            the address, at which it answers.

        Raises:
            JavaMissingError, MavenMissingError, JarsMissingError: see `broker_jars.find`.
            ClientMissingError: confluent-kafka is not installed.
            BrokerError: it does not come up; the message has the last lines of its log.
        """
        broker_client.check()
        kafka = _archived(broker_jars.find(self._cache, self._env), self._env)
        self._start(kafka)
        return self.address

    def stop(self) -> None:
        """Bring it down in good order, and wait for it; one that is down stays down.

        Raises:
            BrokerError: it does not end.
        """
        self._ended(signal.SIGTERM)

    def kill(self) -> None:
        """End it by SIGKILL, as a power cut would, and wait for it."""
        self._ended(signal.SIGKILL)

    def status(self) -> Status | None:
        """What it is and has; None where it is down.

        Raises:
            ClientMissingError: confluent-kafka is not installed.
            BrokerError: its process is there, but does not answer.
        """
        pid = self.pid
        if pid is None:
            return None
        topics = broker_client.topics(self.address)
        if topics is None:
            raise BrokerError(f"its process {pid} does not answer at {self.address}", self._log)
        return Status(self.address, pid, topics)

    @property
    def _settings(self) -> Path:
        return self.folder / "server.properties"

    @property
    def _log(self) -> Path:
        return self.folder / "broker.log"

    def _node(self) -> dict[str, str | int]:
        try:
            found: dict[str, str | int] = json.loads((self.folder / "node.json").read_text())
        except FileNotFoundError:
            raise BrokerNotHereError(self.folder) from None
        return found

    def _start(self, kafka: Kafka, archive_to: Path | None = None) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._locked():
            if not (self.folder / "node.json").exists():
                self._format(kafka)
            for attempt in range(3):
                if self.pid is None:
                    self._spawn(
                        kafka.command("kafka.Kafka", str(self._settings), archive_to=archive_to)
                    )
                if self._came_up():
                    return
                told = self._log.read_text(errors="replace")
                if self.pid is not None or "Address already in use" not in told or attempt == 2:
                    self._end(signal.SIGKILL)
                    raise BrokerError("it did not come up", self._log)

    def _format(self, kafka: Kafka) -> None:
        """Make the storage; what is left of a format that was cut off goes."""
        shutil.rmtree(self.folder / "data", ignore_errors=True)
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        node: dict[str, str | int] = {"cluster": f"M{cluster[1:]}", **broker_process.free_ports()}
        self._write_settings(node)
        named = ("--config", str(self._settings), "--cluster-id", str(node["cluster"]))
        command = kafka.command("kafka.tools.StorageTool", "format", *named)
        with self._log.open("wb") as log:
            done = subprocess.run(command, env=dict(self._env), stdout=log, stderr=log)
        if done.returncode:
            raise BrokerError("its storage could not be formatted", self._log)
        broker_process.replace(self.folder / "node.json", json.dumps(node))

    def _spawn(self, command: list[str]) -> None:
        """Start the process; on other ports where somebody has taken the former ones."""
        node = self._node()
        if not all(broker_process.free(int(node[name])) for name in ("port", "controller_port")):
            node |= broker_process.free_ports()
            broker_process.replace(self.folder / "node.json", json.dumps(node))
        self._write_settings(node)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _SPAWN, str(self.folder / "pid"), *command],
                env=dict(self._env), cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, start_new_session=True,  # Ctrl-C at the terminal is not for it
            )  # fmt: skip
        broker_process.wait(lambda: self.pid is not None or self._reaped(), 5)

    def _write_settings(self, node: Mapping[str, str | int]) -> None:
        client, controller = (f"{HOST}:{node[name]}" for name in ("port", "controller_port"))
        broker_process.replace(
            self._settings,
            (broker_jars.SETTINGS / "server.properties").read_text()
            + f"\nlisteners=CLIENT://{client},CONTROLLER://{controller}\n"
            f"advertised.listeners=CLIENT://{client}\n"
            f"controller.quorum.voters=1@{controller}\n"
            f"log.dirs={self.folder / 'data'}\n" + "".join(f"{line}\n" for line in self.settings),
        )

    def _came_up(self) -> bool:
        """Wait for an answer of this very cluster; False when the process ended instead."""
        node, answered, missed = self._node(), False, 0

        def settled() -> bool:
            nonlocal answered, missed
            # to ask costs a client each time; an open port is no answer, but a closed one is
            if not broker_process.free(int(node["port"])):
                answered = broker_client.answers(self.address, str(node["cluster"]))
            # one that goes over from the shell to Java has no command line for a moment
            missed = 0 if self.pid is not None else missed + 1
            return answered or missed > 1

        broker_process.wait(settled, _PATIENCE)
        return answered and self.pid is not None

    def _ended(self, with_signal: signal.Signals) -> None:
        if self.folder.exists():
            with self._locked():
                self._end(with_signal)

    def _end(self, with_signal: signal.Signals) -> None:
        """End the process and wait for it; whoever calls this holds the lock."""
        pid = self.pid
        if pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, with_signal)
        if not broker_process.wait(lambda: self.pid is None, _PATIENCE):
            told = f"process {pid} does not end; end it with: kill -9 {pid}"
            raise BrokerError(told, self._log)
        self._reaped()
        (self.folder / "pid").unlink(missing_ok=True)

    def _reaped(self) -> bool:
        """Whether the process that this object has started has ended."""
        return self._process is not None and self._process.poll() is not None

    def _locked(self) -> FileLock:
        return FileLock(self.folder / "lock")


def _archived(kafka: Kafka, env: Mapping[str, str]) -> Kafka:
    """The same Kafka, its classes archived: made once, by a broker that comes and goes.

    It takes some seconds once, and spares each start one of two seconds of processor.
    """
    if kafka.archive.exists():
        return kafka
    with FileLock(kafka.archive.with_name(".lock")):
        if kafka.archive.exists():
            return kafka
        with tempfile.TemporaryDirectory(prefix="archive-", dir=kafka.archive.parent) as scratch:
            draft = Path(scratch) / "classes.jsa"
            broker = Broker(Path(scratch) / "broker", kafka.archive.parent, env)
            try:
                broker._start(kafka, archive_to=draft)
            except BrokerError:
                pass  # the start that this one was made for tells what is wrong
            finally:
                broker.stop()
            if draft.exists():
                draft.replace(kafka.archive)
    return kafka
