"""The plan of the marketing agency's files: their rows, their faults, and what is sent twice."""

from datetime import date, timedelta

PROMOTIONS = {
    "product_id": "bigint",
    "store_id": "bigint",
    "display_location": "varchar",
    "mailer_location": "varchar",
    "week": "integer",
    "display_name": "varchar",
}
COUPONS = {
    "coupon_upc": "bigint",
    "product_id": "bigint",
    "campaign_id": "bigint",
    "copy_number": "integer",
}
COUPON_HEADER = ",".join(COUPONS) + "\n"

FIRST_WEEK_WITH_NAME = 27
"""From this week's file on, the display has its name beside its code."""

RESENT: dict[int | date, int] = {6: 2, 31: 2, date(2017, 2, 6): 1}
"""Week or day of a file that is sent again under another name: after how many days."""

DISPLAY_NAMES = {
    "0": "no display",
    "1": "front of the store",
    "2": "back of the store",
    "3": "end of an aisle, front",
    "4": "end of an aisle, middle",
    "5": "end of an aisle, back",
    "6": "end of an aisle, side",
    "7": "inside the aisle",
    "9": "second place in the store",
    "A": "inside the shelf",
}


def week_begins(week: int) -> date:
    """The day on which a week of the data set begins: a Monday, but for week 1, a Sunday."""
    return date(2017, 1, 1) if week == 1 else date(2017, 1, 2) + timedelta(weeks=week - 2)


def display_name() -> str:
    """The SQL of the name of the display that a row's code stands for."""
    names = ", ".join(f"'{code}': '{name}'" for code, name in DISPLAY_NAMES.items())
    return f"map {{{names}}}[display_location]"


def bad_promotions(week: int) -> str:
    """The SQL of the bad rows at the end of this week's file, often none; the declared columns,
    then `broken_rules`. Every sixth week has two, of a product that does not exist.
    """
    return f"""select {99000000 + week} as product_id, v.store_id, '1' as display_location,
            '0' as mailer_location, v.week, {display_name()} as display_name, v.broken_rules
        from (values (null, {week}, '["required:store_id"]'), (367, 99, '["check:week"]'))
            as v (store_id, week, broken_rules)
        where {week} % 6 = 3"""


def promotions(week: int) -> str:
    """The SQL of the rows of this week's file, in its order."""
    columns = list(PROMOTIONS) if week >= FIRST_WEEK_WITH_NAME else list(PROMOTIONS)[:-1]
    # `week = n` is three times as quick as `week in (n)`: the scan skips what it need not unpack
    return f"""select {", ".join(columns)}
        from (
            select *, {display_name()} as display_name from source.promotions where week = {week}
            union all by name
            select * exclude (broken_rules) from ({bad_promotions(week)})
        )"""


def coupon_lines() -> str:
    """The SQL of every line of every coupon file, but its header.

    Columns: delivered_on, line (from 1, the header not counted), text (with its line end), the
    declared columns (null where the text has no such number), broken_rules. Exact repeats are
    counted by copy_number. In files of 300 coupons and more a line is torn and another has a
    letter in a number; both are extra lines.
    """
    return """
    with numbered as materialized (
        select c.*, d.delivered_on,
            row_number() over (partition by c.coupon_upc, c.product_id, c.campaign_id)::integer
                as copy_number
        from source.coupons as c join source.campaign_descriptions as d using (campaign_id)
    ),
    placed as (
        select *, coupon_upc || ',' || product_id || ',' || campaign_id || ',' || copy_number
                as text,
            row_number() over (
                partition by delivered_on order by campaign_id, coupon_upc, product_id, copy_number
            ) as place,
            count(*) over (partition by delivered_on) as places
        from numbered
    ),
    lines as (
        select delivered_on, place * 3 as place, text, coupon_upc, product_id, campaign_id,
            copy_number, null::varchar as broken_rules
        from placed
        union all
        select delivered_on, place * 3 + 1, left(text, 11 + (place % 6)::integer),
            null, null, null, null, '["unparsable"]'
        from placed where places >= 300 and place = places // 3
        union all
        select delivered_on, place * 3 + 2,
            coupon_upc || ',' || product_id || 'O,' || campaign_id || ',' || copy_number,
            coupon_upc, null, campaign_id, copy_number, '["type:product_id"]'
        from placed where places >= 300 and place = places // 2
    )
    select delivered_on, row_number() over (partition by delivered_on order by place) as line,
        text || chr(10) as text, coupon_upc, product_id, campaign_id, copy_number, broken_rules
    from lines
    """
