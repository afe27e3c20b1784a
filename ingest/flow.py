"""A table's batches, one after another; after a fault the reader is opened again."""

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager

from ingest.batch import Checked
from ingest.declaration import Table
from ingest.readers import Batch, Reader, TableState, TopicReader

Ask = Callable[[Reader, Table, TableState], Generator[Batch, None, None]]


def without_the_lost(
    reader: Reader, table: Table, state: TableState
) -> Generator[Batch, None, None]:
    """The ordinary batches, behind what a topic has lost."""
    assert isinstance(reader, TopicReader)  # `acceptable` refuses the others
    return reader.behind_loss(table, state)


class Reading:
    """The reader of one source: opened when it is asked for, closed after a fault."""

    def __init__(self, opening: Callable[[], AbstractContextManager[Reader]]) -> None:
        self._opening = opening
        self._opened: AbstractContextManager[Reader] | None = None
        self._reader: Reader | None = None

    def get(self) -> Reader:
        """The reader."""
        if self._reader is None:
            opened = self._opening()
            self._reader = opened.__enter__()
            self._opened = opened
        return self._reader

    def close(self) -> None:
        """Let go of the source."""
        opened, self._opened, self._reader = self._opened, None, None
        if opened is not None:
            opened.__exit__(None, None, None)


class Flow:
    """A table's batches. What is `gathered` is whole, and waits to be loaded.

    Args:
        reading: where the batches come from.
        table: the declaration.
        state: where the last finished load ended.
        ask: asks the reader for the table's batches since a state; the ordinary ones if not given.
    """

    def __init__(
        self, reading: Reading, table: Table, state: TableState, ask: Ask | None = None
    ) -> None:
        self._reading, self.table, self.state = reading, table, state
        self._ask: Ask = ask or (lambda reader, table, state: reader.batches(table, state))
        self._batches: Generator[Batch, None, None] | None = None
        self._given_anew: Batch | None = None
        self.gathered: Checked | None = None
        self.reread = 0
        self.done = False
        self.failed = False

    def next(self) -> Batch | None:
        """The next batch; None at the end."""
        batch, self._given_anew = self._given_anew, None
        if batch is None:
            if self._batches is None:
                self._batches = self._ask(self._reading.get(), self.table, self.state)
            batch = next(self._batches, None)
        self.done = batch is None
        return batch

    def throw_back(self, error: Exception) -> None:
        """The last batch could not be checked: the reader gives it in smaller or safer pieces.

        Raises:
            Exception: the error, when the reader has no other way.
        """
        assert self._batches is not None
        try:
            self._given_anew = self._batches.throw(error)
        except StopIteration:
            self._given_anew = None

    def restart(self) -> None:
        """After a passing fault the reading starts afresh, from what is gathered."""
        self._batches = self._given_anew = None
        self._reading.close()

    def gather(self, checked: Checked) -> int:
        """Take a batch into the load that is being made up; how many rows that has now."""
        self.state = {**self.state, **checked.state}
        self.reread += checked.reread
        if self.gathered is None:
            self.gathered = checked
        else:
            self.gathered.add(checked)
        return self.gathered.fetched
