"""The plan of the loyalty programme's API: the versions of its campaigns, targets, redemptions.

A campaign and its targets appear on the Monday before its start. Three campaigns go through a
version of a type that nobody knows. One redemption in 150 has a date that is none, at
first; one in 250 has a double without a household, for a coupon that was never printed;
one in 250 has no `updated_at`.
"""

TABLES: tuple[tuple[str, tuple[str, ...], dict[str, str]], ...] = (
    (
        "campaigns",
        ("campaign_id",),
        {
            "campaign_id": "bigint",
            "campaign_type": "varchar",
            "start_date": "date",
            "end_date": "date",
            "updated_at": "timestamp",
        },
    ),
    (
        "campaign_targets",
        ("campaign_id", "household_id"),
        {"campaign_id": "bigint", "household_id": "bigint", "updated_at": "timestamp"},
    ),
    (
        "redemptions",
        ("household_id", "coupon_upc", "campaign_id", "redemption_date"),
        {
            "household_id": "bigint",
            "coupon_upc": "bigint",
            "campaign_id": "bigint",
            "redemption_date": "date",
            "updated_at": "timestamp",
        },
    ),
)

_CAMPAIGNS = """
create macro versions_campaigns(first, last) as table
with thrown as (
    select *, draw(31, campaign_id, 0) as d from source.campaign_descriptions
),
planned as (
    select *, row_number() over (order by d, campaign_id) <= 3 as is_spoilt from thrown
),
versions as (
    select *, at_second(delivered_on, 28800 + campaign_id * 60) as updated_at,
        null as broken_rules
    from planned
    union all by name
    select * replace ('Type ' || campaign_id as campaign_type),
        at_second((delivered_on + 1)::date, d % 86400) as updated_at,
        '["accepted_values:campaign_type"]' as broken_rules
    from planned where is_spoilt
    union all by name
    select *, at_second((delivered_on + 3 + d % 4)::date, d % 86400) as updated_at,
        null as broken_rules
    from planned where is_spoilt
)
select campaign_id, campaign_type, start_date, end_date, updated_at,
    updated_at::date as arrives_on,
    lead(updated_at::date) over (partition by campaign_id order by updated_at) as leaves_on,
    broken_rules, false as needs_loose_types
from versions
"""

_TARGETS = """
create macro versions_campaign_targets(first, last) as table
select campaign_id, household_id,
    at_second(delivered_on, 32400 + draw(32, campaign_id, household_id) % 3600) as updated_at,
    delivered_on as arrives_on, null::date as leaves_on, null::varchar as broken_rules,
    false as needs_loose_types
from source.campaigns join source.campaign_descriptions using (campaign_id)
"""

_REDEMPTIONS = """
create macro versions_redemptions(first, last) as table
with thrown as materialized (
    select *, draw(33, household_id + campaign_id * 10000, coupon_upc) as d,
        draw(34, household_id + campaign_id * 10000,
            coupon_upc + datediff('day', date '2017-01-01', redemption_date)) as e
    from source.coupon_redemptions
),
planned as (
    select *, redemption_date::varchar as written_date,
        (redemption_date + case when d % 10 = 0 then 1 + d // 10 % 5 else 0 end)::date as came_on,
        64800 + e % 18000 as came_at,
        e % 150 = 0 as is_misdated, e % 250 = 1 as has_double, e % 250 = 2 as is_undated
    from thrown
),
versions as (
    select household_id, coupon_upc, campaign_id,
        case when is_misdated then 'not-a-date' else written_date end as redemption_date,
        case when not is_undated then at_second(came_on, came_at) end as updated_at,
        came_on as arrives_on, case when is_misdated then came_on + 1 + d % 8 end as leaves_on,
        case when is_misdated then '["type:redemption_date"]' end as broken_rules
    from planned
    union all by name
    select household_id, coupon_upc, campaign_id, written_date as redemption_date,
        at_second((came_on + 1 + d % 8)::date, came_at) as updated_at,
        came_on + 1 + d % 8 as arrives_on, null as leaves_on, null as broken_rules
    from planned where is_misdated
    union all by name
    select null as household_id, coupon_upc + 90000000000 as coupon_upc, campaign_id,
        written_date as redemption_date, at_second(came_on, came_at) as updated_at,
        came_on as arrives_on, null as leaves_on, '["required:household_id"]' as broken_rules
    from planned where has_double
)
select household_id, coupon_upc, campaign_id, redemption_date, updated_at,
    arrives_on::date as arrives_on, leaves_on::date as leaves_on, broken_rules,
    false as needs_loose_types
from versions
"""

VERSIONS = (_CAMPAIGNS, _TARGETS, _REDEMPTIONS)
"""One `create macro` for each table."""
