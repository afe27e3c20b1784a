"""The dbt packages: from dbt's hub, else from the user's cache, else our stand-ins.

Two dbt projects need packages: this one, and the small one that Elementary's command line
(``edr``) carries inside its Python package. Both are served here, so that plain ``dbt build`` and
plain ``edr report`` find what they look for and never ask the network themselves.

Nothing is half installed: a tree is made beside its place, then renamed into it, under a lock.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import shutil
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import yaml
from filelock import FileLock

from ops import hub as dbt_hub
from ops.package_files import (
    MARKER,
    STAND_INS,
    Origin,
    PackagesError,
    Pins,
    beside,
    marker,
    read_marker,
    replace,
)
from ops.permissions import readable

__all__ = ["Installed", "PackagesError", "asked", "edr_project", "install", "origin"]


@dataclass(frozen=True)
class Installed:
    """What ``install`` did. ``notes`` says why a better origin was not used; one line each."""

    origin: Origin
    packages: Pins
    changed: bool
    seconds: float
    notes: tuple[str, ...] = ()


def install(
    project: Path,
    *,
    source: Literal["auto", "hub", "cache", "stand-ins"] = "auto",
    cache: Path | None = None,
    hub: str | None = None,
    edr: Path | None = None,
    edr_config: Path | None = None,
    refresh: bool = False,
) -> Installed:
    """Puts the packages of ``packages.yml`` into ``dbt_packages`` of the project and of ``edr``.

    Args:
        project: the dbt project's root.
        source: one origin, or ``auto``: for each of the two projects the first of hub, cache
            and stand-ins that has what it asks for.
        cache: Millrace's cache folder; ``~/.cache/millrace`` when not given.
        hub: address of the hub; dbt's own setting when not given.
        edr: the dbt project of Elementary's command line; the installed one when not given.
        edr_config: where ``edr`` reads its settings; ``~/.edr`` when not given. Where it has none,
            it gets a file that switches its telemetry and its version check off.
        refresh: asks the hub again although stand-ins of the versions asked for are in place.

    Raises:
        PackagesError: no origin allowed by ``source`` has what ``packages.yml`` asks for.
    """
    start = time.perf_counter()
    homes = [home for home in (project, edr or edr_project(cache)) if home is not None]
    folder = (cache or default_cache()) / "dbt_packages"
    pins = {home: asked(home) for home in homes}
    allowed: tuple[Origin, ...] = ("hub", "cache", "stand-ins") if source == "auto" else (source,)
    _silence_edr(edr_config or Path.home() / ".edr")
    origins: dict[Path, Origin] = {}
    notes: dict[str, str] = {}
    changed = False
    for home in homes:
        _adopt(home, pins[home], folder)
        there = _in_place(home, pins[home], allowed, folder, refresh)
        if there is None:
            there, changed = _install(home, pins[home], allowed, folder, hub, notes), True
        origins[home] = there
    seconds = time.perf_counter() - start
    said = tuple(f"{origin}: {note}" for origin, note in notes.items())
    return Installed(origins[project], pins[project], changed, seconds, said)


def _install(
    home: Path,
    pins: Pins,
    allowed: tuple[Origin, ...],
    cache: Path,
    hub: str | None,
    notes: dict[str, str],
) -> Origin:
    """Installs from the first origin that can; an origin that failed before is not asked again."""
    cache.mkdir(parents=True, exist_ok=True)
    with readable(), FileLock(cache / ".lock"):
        for kind in allowed:
            if kind == "hub" and kind in notes:
                continue
            try:
                if kind == "hub":
                    _keep(dbt_hub.fetch(home, cache, hub), cache, pins)
                replace(home / "dbt_packages", _trees(kind, pins, cache), marker(kind, pins))
            except (PackagesError, dbt_hub.HubError) as error:
                notes[kind] = str(error)
                continue
            return kind
    told = "".join(f"\n  {kind}: {note}" for kind, note in notes.items())
    raise PackagesError(f"no dbt packages for {home}{told}")


def origin(project: Path) -> Origin | None:
    """Where the project's installed packages came from; None: not installed by Millrace."""
    found = read_marker(project / "dbt_packages").get("origin")
    return found if found in ("hub", "cache", "stand-ins") else None


def mark(project: Path) -> str:
    """What changes with the installed packages: where they came from, and their versions."""
    return json.dumps(read_marker(project / "dbt_packages"), sort_keys=True)


def edr_project(cache: Path | None = None) -> Path | None:
    """The dbt project inside Elementary's command line; None where it is not installed.

    Where it cannot be written to, a copy of it in Millrace's cache stands in for it. Plain
    `edr report` does not know the copy; ``quality.report`` uses it.
    """
    spec = importlib.util.find_spec("elementary")
    if spec is None or spec.origin is None:
        return None
    own = Path(spec.origin).parent / "monitor" / "dbt_project"
    if os.access(own, os.W_OK):
        return own
    copy = (cache or default_cache()) / f"edr-{metadata.version('elementary-data')}"
    if not copy.exists():
        copy.parent.mkdir(parents=True, exist_ok=True)
        with beside(copy) as new:
            leave = shutil.ignore_patterns("dbt_packages", "target", "logs")
            shutil.copytree(own, new, ignore=leave, dirs_exist_ok=True)
            new.rename(copy)
    return copy


def default_cache() -> Path:
    """Where Millrace keeps what it fetched, when the settings do not say."""
    return Path.home() / ".cache" / "millrace"


def asked(project: Path) -> Pins:
    """The hub packages that ``packages.yml`` names, with the exact version of each.

    A range is settled by the project's ``package-lock.yml``.

    Raises:
        PackagesError: ``packages.yml`` is missing, or gives a range that no lock settles.
    """
    path = project / "packages.yml"
    if not path.exists():
        raise PackagesError(f"{path} is missing")
    locked = {p.get("package"): p["version"] for p in _entries(project / "package-lock.yml")}
    pins: dict[str, str] = {}
    for entry in _entries(path):
        package, version = entry.get("package"), entry.get("version")
        if package is None:
            continue
        if not isinstance(version, str) or not version[:1].isdigit():
            version = locked.get(package)
        if version is None:
            raise PackagesError(f"{path}: give one exact version of {package}, such as 1.2.3")
        pins[str(package).rpartition("/")[2]] = version
    return pins


def _silence_edr(folder: Path) -> None:
    """Elementary's command line takes its telemetry setting from this one file only."""
    path = folder / "config.yml"
    if not path.exists():
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(
                "anonymous_usage_tracking: false\ndisable_elementary_version_check: true\n"
            )


def _entries(path: Path) -> list[dict[str, Any]]:
    """The entries of a packages file; none where there is no such file."""
    if not path.exists():
        return []
    return (yaml.safe_load(path.read_text()) or {}).get("packages") or []


def _in_place(
    home: Path, pins: Pins, allowed: tuple[Origin, ...], cache: Path, refresh: bool
) -> Origin | None:
    """The origin of the packages when all that is asked for is already there, else None."""
    place = home / "dbt_packages"
    mark = read_marker(place)
    kind: Origin | None = mark.get("origin")
    if kind not in allowed or mark != marker(kind, pins):
        return None
    if any(not (place / name / "dbt_project.yml").exists() for name in pins):
        return None
    if kind == "stand-ins" and len(allowed) > 1 and (refresh or _cached(pins, cache)):
        return None
    return kind


def _adopt(home: Path, pins: Pins, cache: Path) -> None:
    """Keeps what a plain `dbt deps` installed: it is the real thing, and bears no mark yet."""
    place, lock = home / "dbt_packages", home / "package-lock.yml"
    if (place / MARKER).exists() or not lock.exists() or not place.is_dir():
        return
    locked = {str(p.get("package")).rpartition("/")[2]: p["version"] for p in _entries(lock)}
    if any(locked.get(name) != version for name, version in pins.items()):
        return
    if any(not (place / name / "dbt_project.yml").exists() for name in locked):
        return
    for name, version in locked.items():
        kept = cache / f"{name}-{version}"
        if not kept.is_dir():
            cache.mkdir(parents=True, exist_ok=True)
            with beside(kept) as new:
                shutil.copytree(place / name, new, dirs_exist_ok=True)
                new.rename(kept)
    _resolved_path(cache, pins).write_text(json.dumps(locked))
    with contextlib.suppress(OSError):
        (place / MARKER).write_text(json.dumps(marker("hub", pins), indent=1))


def _cached(pins: Pins, cache: Path) -> bool:
    return all((cache / f"{name}-{version}").is_dir() for name, version in pins.items())


def _trees(kind: Origin, pins: Pins, cache: Path) -> dict[str, Path]:
    """The folder of each package at its origin."""
    if kind == "stand-ins":
        trees = {name: STAND_INS / name for name in pins}
        hint = "there is no stand-in for {}: run `millrace deps` where dbt's hub can be reached"
    else:
        resolved = {**pins, **_resolved(cache, pins)}
        trees = {name: cache / f"{name}-{version}" for name, version in resolved.items()}
        hint = "{} is not in " + str(cache)
    missing = [tree.name for tree in trees.values() if not tree.is_dir()]
    if missing:
        raise PackagesError(hint.format(", ".join(missing)))
    return trees


def _keep(fetched: dbt_hub.Fetched, cache: Path, pins: Pins) -> None:
    """Moves what the hub gave into the cache, and remembers what the request resolved to."""
    for name, version in fetched.versions.items():
        place = cache / f"{name}-{version}"
        if not place.is_dir():
            (fetched.folder / name).rename(place)
    _resolved_path(cache, pins).write_text(json.dumps(dict(fetched.versions)))
    shutil.rmtree(fetched.folder.parent)


def _resolved_path(cache: Path, pins: Pins) -> Path:
    digest = hashlib.sha256(json.dumps(dict(pins), sort_keys=True).encode()).hexdigest()
    return cache / f"{digest[:16]}.json"


def _resolved(cache: Path, pins: Pins) -> dict[str, str]:
    path = _resolved_path(cache, pins)
    return json.loads(path.read_text()) if path.exists() else {}
