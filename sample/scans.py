"""The plan of the tills' scans as events: every message that the topic ever has.

The events are the lines that the tills' database delivers, each version of them (`lines`), on the
day on which it is there. Per 60 000 lines, besides:
- 300 are delivered twice, a third of these one to three days later;
- 36 are taken back (a null value, a tombstone) one to five days later and brought again, within
  five days of that; 36 more belong to baskets that never took place, and are taken back within
  three days for good; so is what vanishes from the tills;
- 12 of each of the `_POISON` come on top: they are no rows, whatever their key says;
- one message has neither key nor value, and one is of 5 MB: a line again, with many blanks.
A message in 40 has a header twice, one in 60 a header without a value. On one day in four a
transaction is aborted: of a fiftieth of that day's lines it says something newer that never was.

A message has the line's columns, and
- `partition`, `key`, `value`, `headers`, `event_time`: what is on the topic;
- `arrives_on`: it is there at the end of that day;
- `stage`: 1, or 0 and 2 for what is aborted, begun before and ended after that day's others;
- `is_row`, `is_tombstone`, `rule`: it is a row; it deletes one; the rules that it breaks, as a
  sorted JSON list, null if good.
"""

from datetime import date

import duckdb

from sample.lines import STRANGE_BASKET
from sample.versions import LONGEST_LIFE, TILLS

TOPIC = "scanner.scans"
PARTITIONS = 3
LARGEST = 6_000_000
"""What the topic takes, in bytes a message."""

(LINES,) = (table for table in TILLS if table.name == "transactions")

ORDER = "arrives_on, stage, arrived_at, turn, basket_id, product_id"
"""The order of all messages; a partition has its own in this order."""

# What is on the topic instead of the row, and the rule that it breaks.
_POISON = {
    "words": ("encode('paper out')", "unparsable"),
    "array": ("encode('[1, 2]')", "unparsable"),
    "torn": ("encode(left(row, len(row) // 2))", "unparsable"),
    "not UTF-8": ("encode(left(row, 9)) || '\\xC3\\x28'::blob || encode(row[10:])", "unparsable"),
    "empty": ("''::blob", "unparsable"),
    "null": ("encode('null')", "unparsable"),
    "nameless": ("null", "tombstone"),
    **{
        f"wrong {column}": (
            f"encode(json_merge_patch(row, '{{\"{column}\":{value}}}')::varchar)",
            f"type:{column}",
        )
        for column, value in (
            ("store_id", '"one"'),
            ("household_id", '{"id":1}'),
            ("sales_value", '"free"'),
            ("transaction_timestamp", '"yesterday"'),
        )
    },
}
_FIRST_POISON, _EACH = 100, 12
_VALUES = " ".join(f"when '{form}' then {value}" for form, (value, _) in _POISON.items())
_RULES = " ".join(f"when '{form}' then '[\"{rule}\"]'" for form, (_, rule) in _POISON.items())


def _member(name: str, kind: str) -> str:
    if kind == "timestamp":
        return f"'{name}', strftime({name}, '%Y-%m-%dT%H:%M:%S')"
    if name == "quantity":  # text in the plan, which can hold a number that is none
        return "'quantity', coalesce(to_json(try_cast(quantity as integer)), to_json(quantity))"
    return f"'{name}', {name}"


_MEMBERS = ", ".join(_member(name, kind) for name, kind in LINES.columns.items())

SCANS = f"""
create macro scans(first, last) as table
with lines as materialized (
    select * exclude (needs_loose_types),
        coalesce(updated_at, transaction_timestamp + interval 5 minute) as arrived_at,
        -- it has one version, and that is good
        basket_id < {STRANGE_BASKET} and draw(1, basket_id, product_id) % 60000 >= 242 as is_plain,
        draw(31, basket_id, product_id) % 60000 as f,
        draw(32, basket_id, product_id) as d,
        draw(33, basket_id, product_id) as e
    from versions_transactions(first, last)
),
events as (
    select *, 'row' as form, 1 as stage, 0 as turn from lines
    union all by name
    -- gone from the tills
    select * replace (leaves_on as arrives_on, at_second(leaves_on, d % 86400) as arrived_at),
        'tombstone' as form, 1 as stage, 0 as turn
    from lines where leaves_on is not null and basket_id >= {STRANGE_BASKET}
    union all by name
    -- taken back, and brought again
    select * replace (
            (arrives_on + 1 + d % 5)::date as arrives_on,
            at_second((arrives_on + 1 + d % 5)::date, d % 43200) as arrived_at
        ),
        'tombstone' as form, 1 as stage, 0 as turn
    from lines where is_plain and f < 36
    union all by name
    select * replace (
            (arrives_on + 1 + d % 5 + e % 6)::date as arrives_on,
            at_second((arrives_on + 1 + d % 5 + e % 6)::date, 43200 + e % 43200) as arrived_at,
            at_second((arrives_on + 1 + d % 5 + e % 6)::date, 43200 + e % 43200) as updated_at
        ),
        'row' as form, 1 as stage, 0 as turn
    from lines where is_plain and f < 36
    union all by name
    -- of a basket that never took place, and taken back
    select * replace (basket_id + {STRANGE_BASKET} as basket_id),
        'row' as form, 1 as stage, 0 as turn
    from lines where is_plain and f between 36 and 71
    union all by name
    select * replace (
            basket_id + {STRANGE_BASKET} as basket_id,
            (arrives_on + d % 4)::date as arrives_on,
            case when d % 4 = 0 then arrived_at + interval 30 minute
                else at_second((arrives_on + d % 4)::date, d % 86400) end as arrived_at
        ),
        'tombstone' as form, 1 as stage, 0 as turn
    from lines where is_plain and f between 36 and 71
    union all by name
    -- delivered twice
    select * replace (
            case when d % 3 = 0 then (arrives_on + 1 + e % 3)::date else arrives_on end
                as arrives_on,
            case d % 3 when 0 then at_second((arrives_on + 1 + e % 3)::date, e % 86400)
                when 1 then arrived_at else arrived_at + to_seconds(e % 3600) end as arrived_at
        ),
        'row' as form, 1 as stage, 1 as turn
    from lines where f between 600 and 899
    union all by name
    select *, {list(_POISON)}[1 + (f - {_FIRST_POISON}) // {_EACH}] as form, 1 as stage, 2 as turn
    from lines where is_plain and f >= {_FIRST_POISON}
        and f < {_FIRST_POISON + _EACH * len(_POISON)}
    union all by name
    from (
        select *, 'nobody' as form, 1 as stage, 3 as turn
        from lines where is_plain and arrives_on = date '2017-01-02'
        order by basket_id, product_id limit 1
    )
    union all by name
    from (
        select *, 'large' as form, 1 as stage, 3 as turn
        from lines where is_plain and f >= 900 and arrives_on = date '2017-01-03'
        order by basket_id, product_id limit 1
    )
    union all by name
    -- never was: a newer version, or that the line is taken back
    select * replace (
            (try_cast(quantity as integer) + 1)::varchar as quantity,
            updated_at + interval 1 day as updated_at
        ),
        case when e % 5 = 0 then 'tombstone' else 'row' end as form, e % 2 * 2 as stage, 4 as turn
    from lines
    where is_plain and d % 50 = 0 and draw(34, arrives_on - date '2017-01-01', 0) % 4 = 0
),
written as (
    select *,
        -- what is null is left out by half of the tills
        case when e % 2 = 0 then json_object({_MEMBERS})
            else json_merge_patch('{{}}', json_object({_MEMBERS})) end::varchar as row
    from events
)
select {LINES.column_list}, (basket_id % {PARTITIONS})::integer as partition,
    case
        when form = 'nobody' then null
        when form = 'nameless' and e % 2 = 0 then encode('till ' || store_id)
        when form = 'nameless' then encode(json_object('basket_id', basket_id)::varchar)
        else encode(json_object('basket_id', basket_id, 'product_id', product_id)::varchar)
    end as key,
    case form when 'row' then encode(row)
        when 'large' then encode('{{' || repeat(' ', 5000000) || row[2:]) {_VALUES} end as value,
    case when form <> 'nobody' then
        [{{'name': 'store', 'value': store_id::varchar}},
            {{'name': 'till', 'value': '4.' || (store_id + week) % 3}}]
        || case when d % 40 = 1 then [{{'name': 'hop', 'value': 'store'}},
            {{'name': 'hop', 'value': 'region'}}] else [] end
        || case when d % 60 = 2 then [{{'name': 'offline', 'value': null}}] else [] end
    end as headers,
    case when form in ('tombstone', 'nobody', 'nameless') then arrived_at
        else coalesce(transaction_timestamp, arrived_at) end as event_time,
    arrives_on, stage, arrived_at, turn,
    form in ('row', 'large') as is_row,
    form = 'tombstone' as is_tombstone,
    case form when 'row' then broken_rules when 'nobody' then '["tombstone"]' {_RULES} end as rule
from written
"""


def create(con: duckdb.DuckDBPyConnection) -> None:
    """Create the table macro `scans(first, last)` in `con`, which has `versions.create`.

    `first` and `last` are the sale days between which lines are looked at.
    """
    con.execute(SCANS)


def messages(after: date | None, day: date) -> str:
    """The SQL of the messages that come later than `after`, up to the end of `day`; not in order.

    Those of aborted transactions are among them. With None for `after` they are all there are.
    """
    first = after - LONGEST_LIFE if after else date(2017, 1, 1)
    return f"""(from scans(date '{first}', date '{day}')
        where arrives_on <= date '{day}' and arrives_on > date '{after or date(2016, 12, 31)}')"""
