"""One run at a time: races, dead, stopped and busy holders, and a lock that is taken away."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from copies import PROJECT

from ops.lock import LEASE as LEASE_OF_RUNS
from ops.lock import HeldError, holder, place, run_lock

PAIRS = 100 if os.environ.get("MILLRACE_TEST_SEEDS") else 40
PLAYER = Path(__file__).with_name("lock_player.py")
LEASE = 1.5


@contextmanager
def player(what: str, folder: Path, word: object) -> Iterator[subprocess.Popen[str]]:
    """A process of `lock_player.py`; it is gone at the end."""
    process = subprocess.Popen(
        [sys.executable, str(PLAYER), what, str(folder), str(word)],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def says(process: subprocess.Popen[str], word: str) -> str:
    """The process's lines up to one with this word."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if word in line:
            return "".join(lines)
    raise AssertionError(f"it never said {word!r}: {lines}")


def stop(process: subprocess.Popen[str]) -> None:
    """Halt it, and wait until it stands still."""
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)


def until(there: Callable[[], object], seconds: float = 10) -> None:
    ends = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < ends
        time.sleep(0.02)


def test_of_each_pair_of_starts_exactly_one_runs(tmp_path: Path) -> None:
    with player("race", tmp_path, PAIRS) as process:
        said, _ = process.communicate()
    pairs = [json.loads(line) for line in said.splitlines()]
    assert len(pairs) == PAIRS
    for pair in pairs:
        assert pair["codes"] == [5, -signal.SIGKILL if pair["killed"] else 0]
        assert f"`millrace run` is at work: process {pair['winner']} on " in pair["told"]


def test_each_holder_has_the_next_number(tmp_path: Path) -> None:
    for token in (1, 2, 3):
        with run_lock(tmp_path / "w", "run") as lock:
            assert lock.token == token
            assert lock.former is None if token == 1 else lock.former.token == token - 1
        assert holder(tmp_path / "w") is None


def test_a_killed_holder_is_followed_at_once(tmp_path: Path) -> None:
    with player("write", tmp_path, "guarded") as process:
        says(process, "held")
        process.kill()
        process.wait()
    begun = time.monotonic()
    with run_lock(tmp_path / "warehouse", "run") as lock:
        assert lock.token == 2
    assert time.monotonic() - begun < 1


def test_a_second_start_ends_at_once(tmp_path: Path) -> None:
    with player("write", tmp_path, "guarded") as process:
        says(process, "held")
        begun = time.monotonic()
        with (
            pytest.raises(HeldError, match=f"process {process.pid} on"),
            run_lock(tmp_path / "warehouse", "run"),
        ):
            pass
        assert time.monotonic() - begun < 1
        assert process.poll() is None


def test_a_stopped_holder_is_ended_and_never_writes_again(tmp_path: Path) -> None:
    told: list[str] = []
    with player("write", tmp_path, "guarded") as process:
        says(process, "held")
        stop(process)
        with run_lock(tmp_path / "warehouse", "run", told.append, LEASE):
            written = (tmp_path / "written").read_text()
            process.send_signal(signal.SIGCONT)
            assert process.wait(5) == -signal.SIGKILL
            assert (tmp_path / "written").read_text() == written
    assert "it does not move; watching it for 2 s" in told[0]
    assert f"process {process.pid} was ended" in told[1]


@pytest.mark.parametrize("how", ["guarded", "unguarded"])
def test_the_token_stops_a_zombie_that_was_not_ended(tmp_path: Path, how: str) -> None:
    """What happens where a lock is just declared expired, as many are; and without the token."""
    with player("write", tmp_path, how) as process:
        says(process, "held")
        stop(process)
        place(tmp_path / "warehouse").unlink()
        with run_lock(tmp_path / "warehouse", "run"):
            written = (tmp_path / "written").read_text()
            process.send_signal(signal.SIGCONT)
            if how == "unguarded":
                until(lambda: len((tmp_path / "written").read_text()) > len(written))
                return
            assert process.wait(5) == 5
            assert "was taken away from this run" in says(process, "taken away")
            # the line that it was at when it was stopped, at most
            assert len((tmp_path / "written").read_text()) <= len(written) + 2


def test_a_holder_that_wakes_up_in_time_goes_on(tmp_path: Path) -> None:
    with player("write", tmp_path, "guarded") as process:
        says(process, "held")
        stop(process)
        with player("contend", tmp_path, LEASE) as other:
            says(other, "watching it")
            process.send_signal(signal.SIGCONT)
            assert other.wait(5) == 5
        assert process.poll() is None


def test_a_sleep_of_the_whole_machine_ends_no_holder(tmp_path: Path) -> None:
    """Both stood still for longer than the lease, and the contender is awake first."""
    with player("write", tmp_path, "guarded") as process:
        says(process, "held")
        stop(process)
        with player("contend", tmp_path, LEASE) as other:
            says(other, "watching it")
            stop(other)
            time.sleep(LEASE + 0.5)
            other.send_signal(signal.SIGCONT)
            time.sleep(0.2)
            process.send_signal(signal.SIGCONT)
            assert other.wait(5) == 5
        assert process.poll() is None


def test_a_holder_in_a_long_query_beats(tmp_path: Path) -> None:
    with player("query", tmp_path, 3) as process:
        says(process, "held")
        beats, gaps, last = -1, [], time.monotonic()
        while process.poll() is None and len(gaps) < 6:
            entry = holder(tmp_path / "warehouse")
            if entry and entry.beats != beats:
                gaps.append(time.monotonic() - last)
                beats, last = entry.beats, time.monotonic()
            time.sleep(0.02)
    assert max(gaps) < LEASE_OF_RUNS / 2, gaps


def test_a_holder_that_cannot_beat_but_works_is_not_ended(tmp_path: Path) -> None:
    with player("grip", tmp_path, 0) as process:
        says(process, "held")
        until(lambda: time.time() - place(tmp_path / "warehouse").stat().st_mtime > 3.2)
        told: list[str] = []
        with pytest.raises(HeldError), run_lock(tmp_path / "warehouse", "run", told.append, LEASE):
            pass
        assert "watching" in told[0], "its beats had stopped"
        assert process.poll() is None


def test_a_holder_that_cannot_be_seen_is_left_alone(tmp_path: Path) -> None:
    with player("write", tmp_path, "guarded") as process:
        says(process, "held")
        stop(process)
        file = place(tmp_path / "warehouse")
        entry = json.loads(file.read_text())
        entry["process"]["space"] = "another machine's"
        file.write_text(json.dumps(entry).ljust(2048))
        with (
            pytest.raises(HeldError, match="gone for good: rm "),
            run_lock(tmp_path / "warehouse", "run", lease=LEASE),
        ):
            pass
        assert process.poll() is None
