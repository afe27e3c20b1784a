"""`deletes: compare`: when a table's keys are compared, and how much may be gone without asking."""

from datetime import datetime

from ingest.declaration import Accept, Source, Table
from ingest.errors import ContractError, DeclarationError
from ingest.readers import TableState


def is_due(table: Table, state: TableState, now: datetime) -> bool:
    """Whether the table's keys are to be compared again.

    Args:
        table: the declaration.
        state: what the table's last load left.
        now: UTC. A comparison that lies ahead of it was dated by a clock that was set back since.
    """
    if table.ingest.deletes != "compare":
        return False
    last = state.get("compared_at")
    if last is None:
        return True
    since = now - datetime.fromisoformat(last)
    return not 0 <= since.total_seconds() < table.ingest.compare_every.total_seconds()


def acceptable(sources: tuple[Source, ...], words: tuple[str, ...], accept: Accept) -> None:
    """Let deletes or losses be accepted of named tables alone, where there can be any.

    Args:
        sources: what the words chose.
        words: like `pos.products`.
        accept: which of the two.

    Raises:
        DeclarationError: a table is not named, not compared, or no topic.
    """
    for table in (table for source in sources for table in source.tables):
        if table.label not in words:
            raise DeclarationError(
                f"{accept} are accepted of one table at a time",
                mend=f"name it: millrace load {table.label} --accept-{accept}",
            )
        if accept == "loss" and table.ingest.topic is None:
            raise DeclarationError(
                f"{table.label} is no topic: nothing of it is lost before it is read",
                where=table.where,
            )
        if accept == "deletes" and table.ingest.deletes != "compare":
            raise DeclarationError(
                f"{table.label} is not compared with its source",
                where=table.where,
                mend="declare `deletes: compare` for it",
            )


def refuse_many(table: Table, gone: int, alive: int) -> None:
    """Stop before more is deleted than the table allows without asking.

    Args:
        table: the declaration.
        gone: keys that are gone at the source.
        alive: keys that raw holds alive.

    Raises:
        ContractError: more than the share `max_deleted`, or every one.
    """
    if gone == 0 or (gone < alive and gone <= table.ingest.max_deleted * alive):
        return
    raise ContractError(
        f"{gone:,} of {alive:,} rows of {table.label} are gone at the source, more than "
        f"max_deleted ({table.ingest.max_deleted:.1%}) allows: this looks like a truncated read, "
        "and nothing was deleted",
        where=table.where,
        mend="look at the source; where the rows are rightly gone: "
        f"millrace load {table.label} --accept-deletes",
    )
