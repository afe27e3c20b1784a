"""What the start page tells, as data. Times are UTC without a zone, as in the warehouse."""

from dataclasses import dataclass, field
from datetime import date, datetime


@dataclass(frozen=True)
class Step:
    """One step of a run; `seconds` is None while it goes on."""

    name: str
    status: str
    seconds: float | None
    detail: str


@dataclass(frozen=True)
class Run:
    """A command in the journal; `finished_at` is None while it goes on, and after a kill."""

    run_id: str
    command: str
    target: str
    started_at: datetime
    finished_at: datetime | None
    status: str
    exit_code: int | None


@dataclass(frozen=True)
class Book:
    """The sums over all finished loads of one source table, in rows."""

    source: str
    table: str
    loads: int
    read: int
    accepted: int
    dead: int
    last_load: int
    last_at: datetime
    freshness: str
    """dbt's word for the last check: pass, warn, error; empty when there was none."""


@dataclass(frozen=True)
class Delivery:
    """Rows accepted from one source in one run."""

    run_id: str
    at: datetime
    source: str
    rows: int


@dataclass(frozen=True)
class Result:
    """What came of one dbt node in the last build that had any of its type."""

    kind: str
    name: str
    status: str
    seconds: float
    failures: int
    message: str


@dataclass(frozen=True)
class DeadLetters:
    """Open dead letters of one table that broke one rule, with the latest as an example."""

    source: str
    table: str
    rule: str
    rows: int
    since: datetime
    example_from: str
    example: str


@dataclass(frozen=True)
class Mart:
    """One published table: its size in rows and columns."""

    name: str
    rows: int
    columns: int


@dataclass(frozen=True)
class Facts:
    """All that the start page shows. What cannot be had, or is not there yet, is empty."""

    now: datetime
    target: str = "dev"
    snapshot: str = "published/marts.duckdb"
    """The readers' file."""
    runs: list[Run] = field(default_factory=list)
    """The latest first."""
    steps: list[Step] = field(default_factory=list)
    """Of the latest run."""
    books: list[Book] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    """The oldest first."""
    results: list[Result] = field(default_factory=list)
    dead_letters: list[DeadLetters] = field(default_factory=list)
    open_letters: int = 0
    """Rows; one that broke two rules counts once here, and once in each of `dead_letters`."""
    marts: list[Mart] = field(default_factory=list)
    published_at: datetime | None = None
    published_bytes: int = 0
    daily_sales: list[tuple[date, float]] = field(default_factory=list)
    pages: list[str] = field(default_factory=list)
    """File names of the other pages that lie beside the start page."""
