"""`dbt deps` against dbt's package hub, in a scratch project and within seconds.

dbt itself tries a hub that does not answer five times with 30 seconds each, and empties
``dbt_packages`` before it downloads. Here the hub is asked once; dbt runs when it answered.
"""

from __future__ import annotations

import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

PROBE_SECONDS = 4.0
DEPS_SECONDS = 120.0


class HubError(Exception):
    """dbt's hub did not give the packages; the message says why."""


@dataclass(frozen=True)
class Fetched:
    """Packages as dbt unpacked them: ``folder/<name>``, and the version of each."""

    folder: Path
    versions: Mapping[str, str]


def fetch(project: Path, scratch: Path, hub: str | None = None) -> Fetched:
    """Runs `dbt deps` for the packages files of ``project`` in a new folder below ``scratch``.

    Args:
        project: folder with ``packages.yml`` and perhaps ``package-lock.yml``.
        scratch: where to work; the caller owns ``Fetched.folder.parent`` afterwards.
        hub: address of the hub; dbt's own setting when not given.

    Raises:
        HubError: the hub does not answer within 4 seconds, or `dbt deps` failed.
    """
    hub = _address(hub)
    packages = yaml.safe_load((project / "packages.yml").read_text())
    names = [entry["package"] for entry in packages.get("packages", []) if "package" in entry]
    if names:
        _probe(hub, names[0])
    folder = Path(tempfile.mkdtemp(prefix="deps_", dir=scratch))
    try:
        return _deps(project, packages, folder, hub)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _deps(project: Path, packages: dict[str, Any], folder: Path, hub: str) -> Fetched:
    for entry in packages.get("packages", []):
        if "local" in entry:
            entry["local"] = str((project / entry["local"]).resolve())
    (folder / "packages.yml").write_text(yaml.safe_dump(packages))
    (folder / "dbt_project.yml").write_text("name: scratch\nversion: '1.0.0'\nconfig-version: 2\n")
    if (project / "package-lock.yml").exists():
        shutil.copy(project / "package-lock.yml", folder)
    command = [sys.executable, "-m", "dbt.cli.main", "--no-send-anonymous-usage-stats", "deps"]
    command += ["--project-dir", str(folder), "--profiles-dir", str(folder)]
    quiet = {"DBT_PACKAGE_HUB_URL": hub, "DBT_LOG_PATH": str(folder / "logs"), "NO_COLOR": "1"}
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **quiet},
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=DEPS_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise HubError(f"`dbt deps` did not end within {DEPS_SECONDS:.0f} seconds") from error
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise HubError("`dbt deps` failed: " + " ".join(line.strip() for line in lines[-3:]))
    locked = yaml.safe_load((folder / "package-lock.yml").read_text())["packages"]
    versions = {
        entry.get("name") or entry["package"].rpartition("/")[2]: entry["version"]
        for entry in locked
        if "package" in entry
    }
    return Fetched(folder / "dbt_packages", versions)


def _address(hub: str | None) -> str:
    if hub is None:
        from dbt.clients.registry import DEFAULT_REGISTRY_BASE_URL

        hub = str(DEFAULT_REGISTRY_BASE_URL)
    return hub if hub.endswith("/") else hub + "/"


def _probe(hub: str, package: str) -> None:
    """Asks the hub for one package, and where its files lie for their first bytes.

    In a thread that is left behind when it is late: looking up a name has no timeout of its own.
    """
    answer: queue.Queue[str | None] = queue.Queue()

    def ask() -> None:
        import requests

        try:
            with requests.get(f"{hub}api/v1/{package}.json", timeout=PROBE_SECONDS) as reply:
                reply.raise_for_status()
                versions = reply.json()["versions"]
            tarball = next(iter(versions.values()))["downloads"]["tarball"]
            with requests.get(tarball, stream=True, timeout=PROBE_SECONDS) as reply:
                reply.raise_for_status()
        except requests.ConnectionError:
            answer.put("cannot be reached")
        except Exception as error:
            answer.put(f"{type(error).__name__}: {error}")
        else:
            answer.put(None)

    threading.Thread(target=ask, daemon=True, name="hub-probe").start()
    try:
        fault = answer.get(timeout=PROBE_SECONDS)
    except queue.Empty:
        fault = f"no answer within {PROBE_SECONDS:.0f} seconds"
    if fault is not None:
        raise HubError(fault)
