"""The oracle of the scans: the fate that every message must have, and what staging must hold.

It knows the plan and the day, and looks at nothing that was delivered.
"""

from datetime import date

import duckdb

from sample import dataset, scans, versions
from sample.scans import LINES

MAX_MESSAGE_BYTES = 16 << 20
"""From here on a value is too large, where its reader says nothing else."""


class ScansOracle:
    """What must come of the messages of `scanner.scans`.

    In which loads they were read does not matter: a topic forgets none of them.

    Args:
        seed: the retailer's seed.
        until: the day at whose end the topic was read to its end.
        max_message_bytes: the largest value that is no dead letter for its size.

    Relations that it gives live as long as the oracle does.
    """

    def __init__(self, seed: int, until: date, max_message_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self._con = dataset.connect(seed)
        versions.create(self._con)
        scans.create(self._con)
        self._all = scans.messages(None, until)
        self._con.execute(f"create table fates as {self._fates(max_message_bytes)}")

    def messages(self) -> duckdb.DuckDBPyRelation:
        """What the topic holds for who reads only what is committed, in the order of partitions.

        Columns: partition, place (from 0, among the committed messages of its partition; offsets
        have gaps), key, value, headers (name, value), event_time.
        """
        return self._con.sql(
            "select partition, place, key, value, headers, event_time "
            f"from ({self._placed()}) order by partition, place"
        )

    def fates(self) -> duckdb.DuckDBPyRelation:
        """One row for each message that is committed, in no order.

        Columns: those of `pos.transactions` (of a tombstone only its key counts, of a dead letter
        none need be there; quantity is text), then
        - partition, place: as in `messages`;
        - fate: `accepted` (the newest good version of its key), `superseded` (an older one),
          `repeated` (one that came before already), `deleted` (taken back by a later tombstone),
          `tombstone`, or `dead`;
        - rule: the rules that a dead one breaks, a sorted JSON list, else null.
        """
        return self._con.table("fates")

    def truth(self) -> duckdb.DuckDBPyRelation:
        """The rows that staging must hold, with the columns and types of `pos.transactions`."""
        typed = ", ".join(f"{name}::{kind} as {name}" for name, kind in LINES.columns.items())
        return self.fates().filter("fate = 'accepted'").project(typed)

    def aborted(self) -> int:
        """How many messages nobody may see: those of transactions that were aborted."""
        found = self._con.execute(f"select count(*) from {self._all} where stage <> 1").fetchone()
        assert found is not None
        return int(found[0])

    def _placed(self) -> str:
        return f"""select *,
                row_number() over (partition by partition order by {scans.ORDER}) - 1 as place
            from {self._all} where stage = 1"""

    def _fates(self, max_message_bytes: int) -> str:
        key = LINES.key_list
        return f"""
        with judged as (
            select * replace (
                case when octet_length(value) > {max_message_bytes} then '["too_large"]'
                    else rule end as rule)
            from ({self._placed()})
        ),
        tombstones as (
            select {key}, max(place) as last_tombstone
            from judged where is_tombstone group by all
        ),
        good as (
            select {key}, updated_at, partition, place,
                place < coalesce(last_tombstone, -1) as is_gone,
                row_number() over (partition by {key}, updated_at order by place) as copy
            from judged left join tombstones using ({key})
            where is_row and rule is null
        ),
        ranked as (
            select partition, place, is_gone, copy,
                row_number() over (
                    partition by {key}, is_gone, copy > 1 order by updated_at desc nulls last
                ) as age
            from good
        )
        select {", ".join(f"judged.{name}" for name in LINES.columns)}, partition, place,
            case
                when rule is not null then 'dead'
                when is_tombstone then 'tombstone'
                when copy > 1 then 'repeated'
                when is_gone then 'deleted'
                when age > 1 then 'superseded'
                else 'accepted'
            end as fate,
            rule
        from judged left join ranked using (partition, place)"""
