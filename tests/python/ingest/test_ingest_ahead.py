"""Reading on in a thread: the same pieces, the same errors, and no thread that stays."""

import gc
import threading
from collections.abc import Iterator

import pytest

from ingest.readers.ahead import ahead


def pieces(taken: list[int], fails_at: int | None = None) -> Iterator[int]:
    for number in range(5):
        if number == fails_at:
            raise ConnectionError("away")
        taken.append(number)
        yield number


def test_all_pieces_come_in_their_order_and_one_is_read_ahead() -> None:
    taken: list[int] = []
    at_work = threading.active_count()
    seen = []
    for piece in ahead(pieces(taken)):
        seen.append(piece)
        assert len(taken) <= piece + 2
    assert seen == taken == [0, 1, 2, 3, 4]
    assert threading.active_count() == at_work
    assert gc.isenabled()


def test_an_error_comes_after_the_pieces_before_it() -> None:
    found = ahead(pieces([], fails_at=3))
    assert [next(found), next(found), next(found)] == [0, 1, 2]
    with pytest.raises(ConnectionError, match="away"):
        next(found)
    assert gc.isenabled()


def test_who_stops_early_has_read_one_piece_for_nothing() -> None:
    taken: list[int] = []
    at_work = threading.active_count()
    found = ahead(pieces(taken))
    assert next(found) == 0
    found.close()
    assert taken == [0, 1]
    assert threading.active_count() == at_work
