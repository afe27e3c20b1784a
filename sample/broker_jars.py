"""What a broker needs on this machine: Java, and Kafka's jars, which Maven brings once.

They are kept in the user's cache, never in the project.
"""

import hashlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from sample.errors import JarsMissingError, JavaMissingError, MavenMissingError

SETTINGS = Path(__file__).parents[1] / "deploy" / "kafka"
"""The folder of the settings that do not depend on the machine."""

OLDEST_JAVA = 17

# A broker that lives for minutes is better off with quick code at once than with the best later.
_FLAGS = (
    "-Xms64m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData",
    f"-Dlog4j2.configurationFile={SETTINGS / 'log4j2.properties'}",
)  # fmt: skip


@dataclass(frozen=True)
class Kafka:
    """Kafka on this machine.

    Attributes:
        java: the program.
        jars: the folder of Kafka's jars.
        archive: Kafka's classes as Java has read them, for quicker starts; it may be missing.
    """

    java: str
    jars: Path
    archive: Path

    def command(self, main: str, *words: str, archive_to: Path | None = None) -> list[str]:
        """The command line that runs a main class of Kafka.

        Args:
            main: the class, like `kafka.Kafka`.
            words: its arguments.
            archive_to: where the classes are archived when it ends.
        """
        archive = (
            [f"-XX:ArchiveClassesAtExit={archive_to}"]
            if archive_to
            # without an archive Java would say so on standard output
            else [f"-XX:SharedArchiveFile={self.archive}"] * self.archive.exists()
        )
        return [self.java, *archive, *_FLAGS, "-cp", f"{self.jars}/*", main, *words]


def find(cache: Path, env: Mapping[str, str], pom: Path = SETTINGS / "pom.xml") -> Kafka:
    """Kafka, its jars fetched if they are not in the cache yet.

    Args:
        cache: Millrace's cache folder.
        env: the environment; JAVA_HOME and PATH say where Java and Maven are.
        pom: lists the jars.

    Raises:
        JavaMissingError: there is no Java, or only one that is too old.
        MavenMissingError: the jars must be fetched, and there is no Maven.
        JarsMissingError: Maven did not bring them.
    """
    java, version = _java(env)
    home = cache / f"kafka-{hashlib.sha256(pom.read_bytes()).hexdigest()[:12]}"
    jars = home / "jars"
    if not jars.is_dir():
        home.mkdir(parents=True, exist_ok=True)
        with FileLock(home / ".lock"):
            if not jars.is_dir():
                _fetch(pom, jars, env)
    return Kafka(java, jars, home / f"classes-{version}.jsa")


def _java(env: Mapping[str, str]) -> tuple[str, str]:
    """The program, and its version; JAVA_HOME comes before PATH."""
    found = None
    if env.get("JAVA_HOME"):
        found = shutil.which(str(Path(env["JAVA_HOME"]) / "bin" / "java"))
    found = found or shutil.which("java", path=env.get("PATH", ""))
    if found is None:
        raise JavaMissingError(OLDEST_JAVA, "there is none at JAVA_HOME or on the PATH")
    told = subprocess.run([found, "-version"], capture_output=True, text=True, env=dict(env))
    version = re.search(r'version "(\d+)([^"]*)"', told.stderr)
    if version is None:
        raise JavaMissingError(OLDEST_JAVA, f"{found} does not say its version")
    if int(version[1]) < OLDEST_JAVA:
        raise JavaMissingError(OLDEST_JAVA, f"{found} is Java {version[1]}")
    return found, re.sub(r"[^\w.+-]", "_", version[1] + version[2])


def _fetch(pom: Path, jars: Path, env: Mapping[str, str]) -> None:
    """All jars or none: they are copied beside their place, and then moved there."""
    maven = shutil.which("mvn", path=env.get("PATH", ""))
    if maven is None:
        raise MavenMissingError
    with tempfile.TemporaryDirectory(prefix="jars-", dir=jars.parent) as scratch:
        draft = Path(scratch) / "jars"
        done = subprocess.run(
            [maven, "--quiet", "--batch-mode", f"--file={pom}", "dependency:copy-dependencies",
             "-DincludeScope=runtime", f"-DoutputDirectory={draft}"],
            env=dict(env), cwd=scratch, capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode or not draft.is_dir():
            lines = [line for line in done.stdout.splitlines() if line.startswith("[ERROR]")]
            raise JarsMissingError(lines[0] if lines else (done.stdout + done.stderr)[-300:])
        draft.rename(jars)
