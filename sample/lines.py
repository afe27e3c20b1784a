"""The plan of the lines of the baskets.

Shares, per 60 000 lines: 180 come wrong but plausible and are corrected 1 to 10 days later,
20 come in a form that breaks a rule and are corrected, 8 are good, then broken, then good again,
12 have no `updated_at` for ever. 22 more lines belong to baskets that never took place: they
break a rule, and some of them vanish.
"""

STRANGE_BASKET = 90_000_000_000
"""Added to a real basket's number for a basket that the data set does not have."""

# A line arrives minutes after the sale; 3.5 % arrive 1 to 6 days late. One in a hundred of those
# sold between 22:00 and 23:05 is written at once but committed after midnight, up to 50 minutes
# behind what is there already. From there on its fate is the number `f`.
TRANSACTIONS = f"""
create macro versions_transactions(first, last) as table
with lines as materialized (
    select *, transaction_timestamp::date as sold_on,
        draw(1, basket_id, product_id) % 60000 as f,
        draw(2, basket_id, product_id) as d,
        draw(3, basket_id, product_id) as e
    from source.transactions
    where transaction_timestamp >= first and transaction_timestamp < last + 1
),
written as (
    select *,
        case
            when d % 1000 < 35 then at_second((sold_on + 1 + (d // 1000) % 6)::date, e % 86400)
            when e % 100 = 0 and hour(transaction_timestamp) >= 22
                and transaction_timestamp < at_second(sold_on, 83100)
                then at_second(sold_on, 83400 + d % 3000)
            else transaction_timestamp + to_seconds(60 + e % 540)
        end as written_at,
        d % 1000 >= 35 and e % 100 = 0 and hour(transaction_timestamp) >= 22
            and transaction_timestamp < at_second(sold_on, 83100) as is_committed_late
    from lines
),
arrived as (
    select *, written_at::date + is_committed_late::integer as came_on from written
),
-- the same lines with the days on which they change
planned as (
    select * exclude (sold_on, d, e, is_committed_late),
        (came_on + 1 + d % 10)::date as mended_on,
        (came_on + 1 + d % 5)::date as spoilt_on,
        (came_on + 6 + e % 5)::date as restored_on,
        (came_on + 5 + d % 16)::date as removed_on,
        e % 82800 as second_of_day
    from arrived
),
versions as (
    -- what most lines have: one version, good for ever
    select * replace (case when f between 230 and 241 then null else written_at end as written_at),
        came_on as arrives_on, null::date as leaves_on, null as broken_rules
    from planned where f >= 208
    union all by name
    -- wrong but plausible
    select * replace (
            quantity + 1 + (second_of_day % 3)::integer as quantity,
            (sales_value + 0.25 * (1 + second_of_day % 9))::decimal(10, 2) as sales_value
        ),
        came_on as arrives_on, mended_on as leaves_on, null as broken_rules
    from planned where f < 180
    union all by name
    select * replace (-quantity - 1 as quantity),
        came_on as arrives_on, mended_on as leaves_on, '["check:quantity"]' as broken_rules
    from planned where f between 180 and 189
    union all by name
    select * replace (
            -quantity - 1 as quantity, (-sales_value - 0.01)::decimal(10, 2) as sales_value
        ),
        came_on as arrives_on, mended_on as leaves_on,
        '["check:quantity","check:sales_value"]' as broken_rules
    from planned where f between 190 and 194
    union all by name
    select * replace (99 as week),
        came_on as arrives_on, mended_on as leaves_on, '["check:week"]' as broken_rules
    from planned where f between 195 and 199
    union all by name
    select * replace (at_second(mended_on, second_of_day) as written_at),
        mended_on as arrives_on, null::date as leaves_on, null as broken_rules
    from planned where f < 200
    union all by name
    -- good, then spoilt, then good again
    select *, came_on as arrives_on, spoilt_on as leaves_on, null as broken_rules
    from planned where f between 200 and 207
    union all by name
    select * replace (
            -quantity - 1 as quantity, at_second(spoilt_on, second_of_day) as written_at
        ),
        spoilt_on as arrives_on, restored_on as leaves_on, '["check:quantity"]' as broken_rules
    from planned where f between 200 and 207
    union all by name
    select * replace (at_second(restored_on, second_of_day) as written_at),
        restored_on as arrives_on, null::date as leaves_on, null as broken_rules
    from planned where f between 200 and 207
    union all by name
    -- baskets that never took place
    select * replace (basket_id + {STRANGE_BASKET} as basket_id, null::bigint as household_id),
        came_on as arrives_on, null::date as leaves_on, '["required:household_id"]' as broken_rules
    from planned where f between 208 and 213
    union all by name
    select * replace (
            basket_id + {STRANGE_BASKET} as basket_id, null::bigint as store_id,
            null::timestamp as transaction_timestamp
        ),
        came_on as arrives_on, removed_on as leaves_on,
        '["required:store_id","required:transaction_timestamp"]' as broken_rules
    from planned where f between 214 and 217
    union all by name
    select * replace (
            basket_id + {STRANGE_BASKET} as basket_id, null::decimal(10, 2) as sales_value
        ),
        came_on as arrives_on, removed_on as leaves_on, '["required:sales_value"]' as broken_rules
    from planned where f between 218 and 221
    union all by name
    select * replace (basket_id + {STRANGE_BASKET} as basket_id),
        came_on as arrives_on, case when f < 226 then removed_on end as leaves_on,
        '["type:quantity"]' as broken_rules
    from planned where f between 222 and 229
)
select household_id, store_id, basket_id, product_id,
    quantity || case when broken_rules = '["type:quantity"]' then 'x' else '' end as quantity,
    sales_value, retail_disc, coupon_disc, coupon_match_disc, week, transaction_timestamp,
    written_at as updated_at, arrives_on::date as arrives_on, leaves_on::date as leaves_on,
    broken_rules, coalesce(broken_rules = '["type:quantity"]', false) as needs_loose_types
from versions
"""
