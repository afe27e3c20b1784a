"""Faults: which pass by themselves, how long to try again, and how each is told to people."""

import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import requests
import tenacity

from ingest.errors import IngestError, SourceDownError, SourceError, redact

_BUGS = (NameError, AttributeError, TypeError, LookupError, AssertionError)
_TRIES = 7
_LONGEST_WAIT = 30.0  # seconds
SEE = "see the message; nothing was lost or skipped"
_PASSING_STATUS = {408, 425, 429, 500, 502, 503, 504}
_PASSING = (
    "could not connect",
    "connection refused",
    "connection reset",
    "connection timed out",
    "timeout expired",
    "timeout was reached",
    "server closed the connection",
    "terminating connection",
    "no connection to the server",
    "connection has been closed",
    "connection already closed",
    "connection is closed",
    "the database system is",
    "could not translate host name",
    "could not resolve host",
    "name or service not known",
    "lost connection",
    "can't connect",
    "broken pipe",
    "database is locked",
    "database table is locked",
    "too many connections",
    "too many clients",
    "remaining connection slots",
    "temporarily unavailable",
)


def is_transient(error: BaseException) -> bool:
    """The fault may pass by itself: a connection, a lock, an overloaded server."""
    return any(_passes(link) for link in _chain(error))


def patiently(before_sleep: Callable[[], None] = lambda: None) -> tenacity.Retrying:
    """Seven tries, some ten seconds at most, for faults that pass by themselves.

    Args:
        before_sleep: called after a failed try that another will follow.
    """
    return tenacity.Retrying(
        retry=tenacity.retry_if_exception(is_transient),
        wait=tenacity.wait_random_exponential(multiplier=0.2, max=5),
        stop=tenacity.stop_after_attempt(_TRIES),
        before_sleep=lambda _: before_sleep(),
        reraise=True,
    )


def patience(tries: int, pause: float) -> float:
    """Seconds until what is done for ever is tried again after so many failures in a row.

    Args:
        tries: 1 after the first failure.
        pause: seconds between two of them when all is well.
    """
    return float(min(_LONGEST_WAIT, max(1.0, pause) * 2 ** min(tries - 1, 10)))


def explained(error: Exception, where: str, hidden: tuple[str, ...]) -> IngestError:
    """The error for people: named, in one line, without any of the hidden texts."""
    *_, root = _chain(error)
    if isinstance(root, IngestError):
        root.where = root.where or where
        return root
    text = redact(str(root), hidden)
    text = " ".join(text.split("\n\n")[0].split()) or type(root).__name__
    if is_transient(error):
        return SourceDownError(
            f"the source does not answer: {text}",
            where=where,
            mend="the next run reads on from where this one was",
        )
    if isinstance(error, _BUGS):
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return SourceError(
            f"unexpected {type(error).__name__}: {text} ({Path(frame.filename).name}:"
            f"{frame.lineno})",
            where=where,
            mend="this is a fault of the program; nothing was lost or skipped",
        )
    return SourceError(text, where=where, mend=SEE)


def _passes(error: BaseException) -> bool:
    if isinstance(error, IngestError):
        return False
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return error.response.status_code in _PASSING_STATUS
    if isinstance(error, requests.ConnectionError | requests.Timeout | ConnectionError):
        return True
    if isinstance(error, duckdb.HTTPException):
        return getattr(error, "status_code", 0) in _PASSING_STATUS
    text = str(error).lower()
    return any(words in text for words in _PASSING)


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    while link is not None:
        yield link
        if isinstance(link, IngestError):
            return
        link = link.__cause__
