"""`millrace deps`: a real `dbt deps` against a hub on loopback, the cache, and our stand-ins."""

import json
import shutil
import socket
import tarfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from ops import packages
from ops.package_files import MARKER, STAND_INS

PACKAGES = {
    "elementary-data/elementary": "0.25.1",
    "metaplane/dbt_expectations": "0.10.9",
    "dbt-labs/dbt_utils": "1.3.3",
    "godatadriven/dbt_date": "0.17.2",
}
VERSIONS = {name.rpartition("/")[2]: version for name, version in PACKAGES.items()}


@dataclass
class Hub:
    """What dbt's package hub answers, for our stand-ins, marked as having come from here."""

    folder: Path
    address: str = ""
    asked: list[str] = field(default_factory=list)
    tarballs: bool = True

    def answer(self, path: str) -> bytes | None:
        self.asked.append(path)
        if path == "/api/v1/index.json":
            return json.dumps(list(PACKAGES)).encode()
        if path.startswith("/api/v1/"):
            name = path.removeprefix("/api/v1/").removesuffix(".json")
            offered = {PACKAGES.get(name, "")} | ({"0.8.6"} if "utils" in name else set())
            versions = {version: self._version(name, version) for version in offered}
            return json.dumps({"name": name, "versions": versions}).encode()
        return self._tarball(path.rpartition("/")[2]) if self.tarballs else None

    def _version(self, name: str, version: str) -> dict[str, object]:
        short = name.rpartition("/")[2]
        tarball = f"{self.address}tar/{short}-{version}.tar.gz"
        return {
            "name": short,
            "version": version,
            "packages": [],
            "downloads": {"tarball": tarball},
        }

    def _tarball(self, file: str) -> bytes:
        name = file.partition("-")[0]
        tree = self.folder / f"{name}-src"
        if not tree.exists():
            shutil.copytree(STAND_INS / name, tree)
            (tree / "from_the_hub").touch()
        path = self.folder / file
        with tarfile.open(path, "w:gz") as tar:
            tar.add(tree, arcname=tree.name)
        return path.read_bytes()


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    (tmp_path / "hub").mkdir()
    served = Hub(tmp_path / "hub")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = served.answer(self.path)
            self.send_response(200 if body else 404)
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, format: str, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.address = f"http://127.0.0.1:{server.server_port}/"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield served
    server.shutdown()
    server.server_close()


@dataclass
class Place:
    """A project, edr's project, a cache and edr's settings, all of a test's own."""

    folder: Path
    project: Path
    edr: Path

    def install(self, hub: str = "http://127.0.0.1:9/", **more: object) -> packages.Installed:
        """Port 9 refuses at once: there is no hub."""
        return packages.install(
            self.project,
            cache=self.folder / "cache",
            hub=hub,
            edr=self.edr,
            edr_config=self.folder / "edr_config",
            **more,  # type: ignore[arg-type]
        )

    def here(self, name: str, file: str = "dbt_project.yml") -> bool:
        return (self.project / "dbt_packages" / name / file).exists()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path, tmp_path / "project", tmp_path / "edr")
    for folder, wanted in (
        (made.project, PACKAGES),
        (made.edr, {"dbt-labs/dbt_utils": "0.8.6", "elementary-data/elementary": "0.25.1"}),
    ):
        folder.mkdir()
        entries = [{"package": name, "version": version} for name, version in wanted.items()]
        (folder / "packages.yml").write_text(yaml.safe_dump({"packages": entries}))
    return made


def test_hub_then_cache_then_stand_ins(place: Place, hub: Hub) -> None:
    first = place.install(hub.address)
    assert (first.origin, first.changed, dict(first.packages)) == ("hub", True, VERSIONS)
    assert all(place.here(name, "from_the_hub") for name in VERSIONS)
    assert (place.edr / "dbt_packages" / "dbt_utils" / "from_the_hub").exists()
    assert not (place.project / "package-lock.yml").exists()
    kept = {
        path.name for path in (place.folder / "cache" / "dbt_packages").iterdir() if path.is_dir()
    }
    assert kept == {f"{n}-{v}" for n, v in VERSIONS.items()} | {"dbt_utils-0.8.6"}

    asked = len(hub.asked)
    again = place.install(hub.address)
    assert (again.origin, again.changed) == ("hub", False)
    assert again.seconds < 0.1
    assert len(hub.asked) == asked

    shutil.rmtree(place.project / "dbt_packages")
    second = place.install()
    assert (second.origin, second.changed) == ("cache", True)
    assert place.here("elementary", "from_the_hub")
    assert second.notes == ("hub: cannot be reached",)

    shutil.rmtree(place.project / "dbt_packages")
    shutil.rmtree(place.folder / "cache")
    third = place.install()
    assert (third.origin, third.changed) == ("stand-ins", True)
    assert all(place.here(name) for name in VERSIONS)
    assert not place.here("elementary", "from_the_hub")
    assert len(third.notes) == 2
    assert packages.origin(place.project) == "stand-ins"
    assert place.install().changed is False


def test_stand_ins_give_way_to_the_real_ones(place: Place, hub: Hub) -> None:
    assert place.install(source="stand-ins").origin == "stand-ins"
    assert place.install(hub.address).origin == "stand-ins"  # a run does not ask the hub again
    assert place.install(hub.address, refresh=True).origin == "hub"
    assert place.here("dbt_utils", "from_the_hub")
    assert place.install(source="stand-ins").changed
    assert place.install().origin == "cache"  # what the cache has is taken without asking


def test_a_hub_that_never_answers_costs_seconds(place: Place) -> None:
    """It takes connections and says nothing, as behind a wall that drops what comes back."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        start = time.perf_counter()
        done = place.install(f"http://127.0.0.1:{deaf.getsockname()[1]}/")
    assert done.origin == "stand-ins"
    assert time.perf_counter() - start < 10


def test_a_hub_without_the_files_is_no_hub(place: Place, hub: Hub) -> None:
    hub.tarballs = False
    assert place.install(hub.address).origin == "stand-ins"


def test_what_plain_dbt_deps_installed_is_kept(place: Place) -> None:
    for name in VERSIONS:
        shutil.copytree(STAND_INS / name, place.project / "dbt_packages" / name)
        (place.project / "dbt_packages" / name / "by_dbt").touch()
    lock = [{"name": n.rpartition("/")[2], "package": n, "version": v} for n, v in PACKAGES.items()]
    (place.project / "package-lock.yml").write_text(yaml.safe_dump({"packages": lock}))
    done = place.install()  # edr's project gets stand-ins: there is no hub
    assert packages.origin(place.edr) == "stand-ins"
    assert done.origin == "hub"
    assert place.here("dbt_utils", "by_dbt")
    assert packages.origin(place.project) == "hub"
    assert (place.folder / "cache" / "dbt_packages" / "dbt_date-0.17.2" / "by_dbt").exists()


def test_a_version_that_changed_is_installed(place: Place, hub: Hub) -> None:
    place.install(source="stand-ins")
    text = (place.project / "packages.yml").read_text()
    (place.project / "packages.yml").write_text(text.replace("1.3.3", "0.8.6"))
    done = place.install(source="stand-ins")
    assert done.changed
    assert done.packages["dbt_utils"] == "0.8.6"


def test_many_at_once_leave_one_whole_tree(place: Place) -> None:
    with ThreadPoolExecutor(6) as pool:
        origins = list(pool.map(lambda _: place.install(source="stand-ins").origin, range(6)))
    assert origins == ["stand-ins"] * 6
    assert {p.name for p in (place.project / "dbt_packages").iterdir()} == {*VERSIONS, MARKER}
    left = [p.name for p in place.project.iterdir() if p.name.startswith((".new", ".old"))]
    assert left == []


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"package": "a/unheard_of", "version": "1.0.0"}, "no stand-in for unheard_of"),
        ({"package": "a/dbt_utils", "version": [">=1.0.0"]}, "one exact version of a/dbt_utils"),
    ],
)
def test_errors_say_what_to_do(place: Place, entry: dict[str, object], message: str) -> None:
    (place.project / "packages.yml").write_text(yaml.safe_dump({"packages": [entry]}))
    with pytest.raises(packages.PackagesError, match=message):
        place.install()


def test_a_project_without_packages_file(place: Place) -> None:
    (place.project / "packages.yml").unlink()
    with pytest.raises(packages.PackagesError, match=r"packages\.yml is missing"):
        place.install()


def test_telemetry_of_edr_is_off_unless_the_user_has_a_say(place: Place) -> None:
    place.install(source="stand-ins")
    path = place.folder / "edr_config" / "config.yml"
    assert "anonymous_usage_tracking: false" in path.read_text()
    path.write_text("anonymous_usage_tracking: true\n")
    place.install(source="stand-ins")
    assert path.read_text() == "anonymous_usage_tracking: true\n"
