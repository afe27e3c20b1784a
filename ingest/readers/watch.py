"""How far the reading of a topic is behind its broker, without reading a message."""

from ingest.declaration import Source, Table
from ingest.errors import SourceError
from ingest.readers import Environment, TableState

Lag = dict[tuple[str, int], int]
"""(topic, partition) -> messages that wait; as offsets count, so at most so many."""


class Watch:
    """Looks at the topics of one table; the connection is kept from one look to the next.

    Args:
        source: the declaration.
        table: one of its tables.
        env: where `env:NAME` is looked up.

    Raises:
        UnsetError: a variable of the settings is not set.
        SourceError: confluent-kafka is not installed.
    """

    def __init__(self, source: Source, table: Table, env: Environment) -> None:
        try:
            from ingest.readers.kafka import client_settings
            from ingest.readers.kafka_broker import Broker
        except ImportError:
            raise SourceError(
                "confluent-kafka is not installed",
                where=source.where,
                mend="uv pip install 'millrace[kafka]'",
            ) from None
        self.table = table
        self._broker = Broker(client_settings(source, env), table.ingest.isolation, table.where)

    def lag(self, state: TableState) -> Lag:
        """What waits in each partition since the state.

        Raises:
            ConnectionError: no broker answers.
            SourceError: it refuses, there is no topic, or messages are lost that were never read.
        """
        from ingest.readers.positions import positions, refuse_loss

        where = positions(self._broker, self.table, state)
        refuse_loss(self.table, where.gaps)
        return {one: where.ends[one] - at for one, at in where.begins.items()}
