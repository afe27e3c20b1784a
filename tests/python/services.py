"""Real services for the tests, thrown away afterwards. Where one is not installed, a skip says so.

@pytest.fixture(scope="module")
def pos_url() -> Iterator[str]:
    with postgres() as url:
        yield url
"""

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from real_registry import Registry, RegistryMissingError
from real_registry import command as registry_command

from ops.packages import default_cache
from sample.broker import Broker
from sample.broker_process import free_ports, wait
from sample.errors import (
    ClientMissingError,
    JarsMissingError,
    JavaMissingError,
    MavenMissingError,
)

POSTGRES_MISSING = (
    "PostgreSQL's programs are not here. "
    "Install them with: apt-get install postgresql, or brew install postgresql"
)
NO_PLAIN_USER = (
    "PostgreSQL does not run as root, and there is no user 'postgres' or no runuser to run it as. "
    "Install both with: apt-get install postgresql util-linux"
)

MARIADB_MISSING = (
    "MariaDB's programs are not here. "
    "Install them with: apt-get install mariadb-server, or brew install mariadb"
)

# A cluster that lives for some seconds: nothing has to survive a crash of the machine.
_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "4GB",
    "shared_buffers": "256MB",
    "listen_addresses": "127.0.0.1",
}


def postgres_programs() -> Path | None:
    """The folder of the newest `initdb` and `pg_ctl` on this machine, or None."""
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3])
    )
    return found[-1].parent if found else None


@contextmanager
def postgres(**settings: str) -> Iterator[str]:
    """A throw-away PostgreSQL cluster on a free loopback port.

    Takes about two seconds to come and less to go. As root it runs as user `postgres`.

    Args:
        settings: settings of postgresql.conf, over the quick ones that it has anyway.

    Yields:
        postgresql://millrace:secret@127.0.0.1:PORT/millrace, an empty database of its owner.

    Raises:
        pytest.skip.Exception: PostgreSQL or its user is not installed; says what to install.
    """
    programs = postgres_programs()
    if programs is None:
        pytest.skip(POSTGRES_MISSING)
    as_user = _as_plain_user()
    folder = Path(tempfile.mkdtemp(prefix="millrace-pg-"))
    try:
        if as_user:
            shutil.chown(folder, "postgres")
        data = folder / "data"
        (secret := folder / "secret").write_text("secret")
        secret.chmod(0o644)
        options = f"-A scram-sha-256 --pwfile={secret} -E UTF8 --locale=C --no-sync"
        initdb = [*as_user, str(programs / "initdb"), "-D", str(data), "-U", "millrace"]
        _run([*initdb, *options.split()])
        control = [*as_user, str(programs / "pg_ctl"), "-D", str(data), "-s", "-w"]
        port = _start(control, folder, {**_SETTINGS, **settings})
        try:
            environment = {**os.environ, "PGPASSWORD": "secret"}
            at = ["-h", "127.0.0.1", "-p", str(port), "-U", "millrace"]
            _run([str(programs / "createdb"), *at, "millrace"], environment)
            yield f"postgresql://millrace:secret@127.0.0.1:{port}/millrace"
        finally:
            _run([*control, "-m", "immediate", "stop"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def mariadb() -> Iterator[str]:
    """A throw-away MariaDB server on a free loopback port.

    Yields:
        mysql://millrace:secret@127.0.0.1:PORT/millrace, an empty database of its owner.

    Raises:
        pytest.skip.Exception: MariaDB is not installed; says what to install.
    """
    # a system's folder for servers is not on everyone's path
    path = f"{os.environ['PATH']}:/usr/local/sbin:/usr/sbin"
    server, install = (shutil.which(n, path=path) for n in ("mariadbd", "mariadb-install-db"))
    if server is None or install is None:
        pytest.skip(MARIADB_MISSING)
    folder = Path(tempfile.mkdtemp(prefix="millrace-my-"))
    try:
        data, user = f"--datadir={folder / 'data'}", f"--user={getpass.getuser()}"
        _run([install, "--no-defaults", data, user, "--skip-test-db"])
        (begin := folder / "begin.sql").write_text(
            "create database millrace character set utf8mb4;\n"
            "create user millrace@'127.0.0.1' identified by 'secret';\n"
            "grant all on millrace.* to millrace@'127.0.0.1';\n"
        )
        for attempt in range(3):
            port = free_port()
            options = f"--bind-address=127.0.0.1 --port={port} --skip-name-resolve"
            process = subprocess.Popen(
                [server, "--no-defaults", data, user, *options.split(), f"--init-file={begin}",
                 f"--socket={folder / 'socket'}", f"--log-error={folder / 'log.err'}"],
            )  # fmt: skip
            try:
                if not _came_up(process, folder / "log.err"):
                    assert attempt < 2, (folder / "log.err").read_text()[-500:]
                    continue  # somebody took the port meanwhile
                yield f"mysql://millrace:secret@127.0.0.1:{port}/millrace"
                return
            finally:
                process.kill()  # nothing is to be saved
                process.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def kafka() -> Iterator[Broker]:
    """A throw-away Kafka broker on a free loopback port; takes one to two seconds to come.

    The first one on a machine takes more: Maven fetches Kafka's jars into the user's cache.

    Yields:
        the broker, up; it has `address`, `kill()` (SIGKILL), `stop()`, and `start()` to bring it up
        again with its data, at the same address.

    Raises:
        pytest.skip.Exception: Java, Maven or the client is not installed; says what to install.
    """
    folder = Path(tempfile.mkdtemp(prefix="millrace-kafka-"))
    broker = Broker(folder, _cache(), os.environ)
    try:
        try:
            broker.start()
        except (JavaMissingError, MavenMissingError, JarsMissingError, ClientMissingError) as error:
            pytest.skip(str(error))
        yield broker
    finally:
        broker.kill()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def registry() -> Iterator[Registry]:
    """A throw-away schema registry on a free loopback port; takes about seven seconds to come.

    The first one on a machine takes a minute more: Maven fetches it into the user's cache.

    Raises:
        pytest.skip.Exception: Java 21 or Maven is not installed; says what to install.
    """
    found = Registry(int(free_ports()["port"]))
    try:
        command = registry_command(_cache(), found.port)
    except RegistryMissingError as error:
        pytest.skip(str(error))
    with tempfile.TemporaryDirectory(prefix="millrace-registry-") as folder:
        log = Path(folder) / "log"
        with log.open("wb") as out:
            process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=out)
        try:
            assert wait(lambda: found.is_up() or process.poll() is not None, 300)
            assert process.poll() is None, log.read_text()[-500:]
            yield found
        finally:
            process.kill()  # nothing is to be saved
            process.wait()


def _cache() -> Path:
    return Path(os.environ.get("MILLRACE_CACHE") or default_cache())


def _came_up(process: subprocess.Popen[bytes], log: Path) -> bool:
    """Whether MariaDB says that it is ready; False when it ended instead."""
    ends = time.monotonic() + 60
    while time.monotonic() < ends and process.poll() is None:
        if log.exists() and "ready for connections" in log.read_text():
            return True
        time.sleep(0.1)
    return False


def free_port() -> int:
    """A port of loopback that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _as_plain_user() -> list[str]:
    """What to put before a command so that it does not run as root."""
    if os.geteuid() != 0:
        return []
    runuser = shutil.which("runuser")
    if runuser is None or subprocess.run(["id", "postgres"], capture_output=True).returncode:
        pytest.skip(NO_PLAIN_USER)
    return [runuser, "-u", "postgres", "--"]


def _start(control: list[str], folder: Path, settings: dict[str, str]) -> int:
    """Start the server; another port if somebody took the free one before us."""
    for attempt in range(3):
        port = free_port()
        options = {**settings, "port": str(port), "unix_socket_directories": str(folder)}
        given = " ".join(f"-c {name}={value}" for name, value in options.items())
        try:
            _run([*control, "-l", str(folder / "data" / "log"), "-o", given, "start"])
        except RuntimeError:
            if attempt == 2:
                raise
            continue
        return port
    raise AssertionError("not reached")


def _run(command: list[str], environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", env=environment)
    if done.returncode:
        raise RuntimeError(f"{command[-1]} failed: {(done.stderr or done.stdout).strip()[-500:]}")
