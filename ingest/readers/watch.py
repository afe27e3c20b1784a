"""How far the reading of a topic is behind its broker, without reading a message."""

from dataclasses import replace

from ingest.declaration import Source, Table
from ingest.readers import Environment, TableState
from ingest.readers.kafka import open_broker
from ingest.readers.landed import Landed
from ingest.readers.offsets import Partition
from ingest.readers.positions import positions, refuse_loss

Lag = dict[Partition, int]
"""Partition to messages that wait; as offsets count, so at most so many."""


class Watch:
    """Looks at the topics of one table; the connection is kept from one look to the next.

    `waits` says whether a load would take anything by the last look: where readers land messages,
    it takes what has landed.

    Args:
        source: the declaration.
        table: one of its tables.
        env: where `env:NAME` is looked up.

    Raises:
        UnsetError: a variable of the settings is not set.
        SourceError: confluent-kafka is not installed.
    """

    def __init__(self, source: Source, table: Table, env: Environment) -> None:
        self.table, self._broker = table, open_broker(source, table, env)
        self._env = env
        self.waits = False

    def lag(self, state: TableState) -> Lag:
        """What waits in each partition since the state.

        Raises:
            ConnectionError: no broker answers.
            SourceError: it refuses, there is no topic, or messages are lost that were never read.
        """
        if self.table.ingest.landing is None:
            where = positions(self._broker, self.table, state)
            refuse_loss(self.table, where.gaps)
            lag = {one: where.ends[one] - at for one, at in where.begins.items()}
            self.waits = any(lag.values())
            return lag
        landed = Landed.of(self.table, self._env, state)
        where = landed.look(self._broker, state)
        self.waits = landed.waits(where, state)
        if not self.waits:
            refuse_loss(self.table, where.gaps)
            landed.refuse_left(replace(where, ends=where.begins), state)
        return {one: where.ends[one] - at for one, at in where.begins.items()}
