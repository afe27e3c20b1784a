"""A load that fails within a process that lives on, and a warehouse that someone else holds."""

import subprocess
import sys
from typing import Any

import pytest
from projects import Project, Shop, source, table

from ingest.destination import Destination

ROWS = 90


@pytest.fixture
def filled(project: Project, shop: Shop) -> Shop:
    """90 lines, read in windows of 40; two of them are bad."""
    shop.put(*((i, 1 if i % 50 else -1, f"2017-01-{1 + i // 9:02} 00:00:00") for i in range(ROWS)))
    columns = {
        "id": "bigint",
        "amount": {"data_type": "integer", "check": "amount >= 0"},
        "updated_at": "timestamp",
    }
    made = table("lines", columns, primary_key=["id"], cursor="updated_at", max_dead=1, window=40)
    project.declare(source("shop", made, kind="sql", url="env:DB"))
    return shop


def test_a_load_that_fails_in_the_process_is_undone(
    project: Project, filled: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Destination.commit
    passes = iter(range(100))

    def fails(self: Destination, *args: Any) -> None:
        whole(self, *args)
        if next(passes) == 2:
            raise OSError("no space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Destination, "commit", fails)
        result = project.load()
    assert "no space left" in str(result.errors[0])
    assert 0 < len(project.raw("shop.lines")) < ROWS - 2
    assert not project.load().errors
    assert [row[0] for row in project.raw("shop.lines")] == [i for i in range(ROWS) if i % 50]
    project.check_books("shop")


def test_a_warehouse_that_another_process_holds(project: Project, filled: Shop) -> None:
    project.warehouse.parent.mkdir(parents=True)
    hold = "import duckdb, sys, time; c = duckdb.connect(sys.argv[1]); print(1, flush=True); "
    for seconds in (60.0, 1.5):
        command = [sys.executable, "-c", f"{hold} time.sleep({seconds})", str(project.warehouse)]
        holder = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert holder.stdout is not None
        holder.stdout.readline()
        result = project.load()
        if seconds > 5:
            assert "lock" in str(result.errors[0])
            assert not result.loads
        else:
            assert not result.errors  # it waited
        holder.kill()
        holder.wait()
        holder.stdout.close()
    assert len(project.raw("shop.lines")) == ROWS - 2
