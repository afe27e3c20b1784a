"""Two worlds, built once: the planted rows tested with the real packages and with our stand-ins."""

import json

import pytest
from planted import HOOKS, World, world


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> World:
    """With the real packages, and with Elementary's own hooks writing its tables."""
    made = world(tmp_path_factory.mktemp("real"), "cache")
    with_hooks = json.dumps(dict.fromkeys(HOOKS, False))
    made.logs.append(made.dbt("build", "--vars", with_hooks, fails=True))
    return made


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> World:
    """With our stand-ins."""
    made = world(tmp_path_factory.mktemp("stand_in"), "stand-ins")
    made.logs.append(made.dbt("build", fails=True))
    return made
