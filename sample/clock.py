"""clock.json: the day up to which everything is delivered, written last."""

import json
import os
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from sample.errors import UnreadableClockError


@dataclass(frozen=True)
class Clock:
    """Where a retailer stands.

    Attributes:
        day: everything up to the end of this day is delivered.
        seed: the seed of its plan.
    """

    day: date
    seed: int


def path(home: Path) -> Path:
    """The clock's file."""
    return home / "clock.json"


def read(home: Path) -> Clock | None:
    """The clock, or None before the retailer's first day.

    Raises:
        UnreadableClockError: the file is there but is not a clock.
    """
    try:
        found = json.loads(path(home).read_text())
        return Clock(date.fromisoformat(found["date"]), int(found["seed"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise UnreadableClockError(path(home), f"{type(error).__name__}: {error}") from error


def write(home: Path, clock: Clock) -> None:
    """Set the clock, in one step."""
    draft = path(home).with_name("clock.json.tmp")
    with draft.open("w") as file:
        json.dump({"date": clock.day.isoformat(), "seed": clock.seed}, file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path(home))
