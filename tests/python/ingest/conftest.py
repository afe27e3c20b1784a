"""What the tests of ingestion share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from projects import Project, Shop
from real_registry import Registry
from services import kafka, registry

from sample.broker import Broker


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """An empty project in a folder of its own."""
    return Project(tmp_path / "project")


@pytest.fixture
def shop(project: Project, tmp_path: Path) -> Shop:
    """A SQLite database that the project finds as `env:DB`, with an empty table `lines`."""
    return Shop(project, tmp_path)


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    """A broker for tests that have topics of their own."""
    with kafka() as found:
        yield found


@pytest.fixture(scope="session")
def schemas() -> Iterator[Registry]:
    """A schema registry for tests that have subjects of their own."""
    with registry() as found:
        yield found
