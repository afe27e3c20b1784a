"""What the tests of ingestion share."""

from pathlib import Path

import pytest
from projects import Project, Shop


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """An empty project in a folder of its own."""
    return Project(tmp_path / "project")


@pytest.fixture
def shop(project: Project, tmp_path: Path) -> Shop:
    """A SQLite database that the project finds as `env:DB`, with an empty table `lines`."""
    return Shop(project, tmp_path)
