"""The plan of the tills: which versions the lines, the products and the households have.

Shares, per 60 000 lines: 180 come wrong but plausible and are corrected 1 to 10 days later,
20 come in a form that breaks a rule and are corrected, 8 are good, then broken, then good again,
12 have no `updated_at` for ever. 22 more lines belong to baskets that never took place: they
break a rule, and some of them vanish.
"""

_STRANGE_BASKET = 90_000_000_000
"""Added to a real basket's number for a basket that the data set does not have."""

TABLES: tuple[tuple[str, tuple[str, ...], dict[str, str]], ...] = (
    (
        "transactions",
        ("basket_id", "product_id"),
        {
            "household_id": "bigint",
            "store_id": "bigint",
            "basket_id": "bigint",
            "product_id": "bigint",
            "quantity": "integer",
            "sales_value": "decimal(10,2)",
            "retail_disc": "decimal(10,2)",
            "coupon_disc": "decimal(10,2)",
            "coupon_match_disc": "decimal(10,2)",
            "week": "integer",
            "transaction_timestamp": "timestamp",
            "updated_at": "timestamp",
        },
    ),
    (
        "products",
        ("product_id",),
        {
            "product_id": "bigint",
            "manufacturer_id": "bigint",
            "department": "varchar",
            "brand": "varchar",
            "product_category": "varchar",
            "product_type": "varchar",
            "package_size": "varchar",
            "updated_at": "timestamp",
        },
    ),
    (
        "households",
        ("household_id",),
        {
            "household_id": "bigint",
            "age": "varchar",
            "income": "varchar",
            "home_ownership": "varchar",
            "marital_status": "varchar",
            "household_size": "varchar",
            "household_comp": "varchar",
            "kids_count": "varchar",
            "updated_at": "timestamp",
        },
    ),
)

# A line arrives minutes after the sale; 3.5 % arrive 1 to 6 days late. One in a hundred of those
# sold between 22:00 and 23:05 is written at once but committed after midnight, up to 50 minutes
# behind what is there already. From there on its fate is the number `f`.
_TRANSACTIONS = f"""
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
    select * replace (basket_id + {_STRANGE_BASKET} as basket_id, null::bigint as household_id),
        came_on as arrives_on, null::date as leaves_on, '["required:household_id"]' as broken_rules
    from planned where f between 208 and 213
    union all by name
    select * replace (
            basket_id + {_STRANGE_BASKET} as basket_id, null::bigint as store_id,
            null::timestamp as transaction_timestamp
        ),
        came_on as arrives_on, removed_on as leaves_on,
        '["required:store_id","required:transaction_timestamp"]' as broken_rules
    from planned where f between 214 and 217
    union all by name
    select * replace (
            basket_id + {_STRANGE_BASKET} as basket_id, null::decimal(10, 2) as sales_value
        ),
        came_on as arrives_on, removed_on as leaves_on, '["required:sales_value"]' as broken_rules
    from planned where f between 218 and 221
    union all by name
    select * replace (basket_id + {_STRANGE_BASKET} as basket_id),
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

# Master data is all there on the first morning. One product in 250 changes over the year, once or
# (a third of them) twice; on the first of each month head office writes 1 500 products again
# without a change. A dozen come with a brand that nobody knows, at first or in such a batch.
_PRODUCTS = """
create macro versions_products(first, last) as table
with thrown as materialized (
    select *, draw(11, product_id, 0) as d, draw(12, product_id, 0) as e,
        draw(13, product_id, 0) as g
    from source.products
),
planned as (
    select *,
        case
            when d % 250 = 0 then case when e % 3 = 0 then 'twice' else 'once' end
            when brand = 'Private' and d % 1400 = 1 then 'misspelt at first'
            when g % 60 between 2 and 12 then
                case when brand = 'Private' and e % 100 = 0 then 'misspelt later'
                    else 'written again' end
            else 'quiet'
        end as fate,
        (date '2017-01-05' + e % case when e % 3 = 0 then 170 else 330 end)::date as first_on,
        (date '2017-01-05' + e % 170 + 20 + g % 150)::date as second_on,
        make_date(2017, least(greatest(g % 60, 1), 12), 1) as batch_on,
        coalesce(['12 OZ', '16 OZ', '1 LB', '6 CT'][1 + d // 250 % 4], '') as older_size,
        case when package_size = older_size then '10 OZ' else older_size end as old_size,
        case when brand = 'Private' then 'National' else 'Private' end as old_brand,
        case when product_category = 'SEASONAL' then 'GENERAL' else 'SEASONAL' end as old_category
    from thrown
),
versions as (
    select * replace (
            case when fate = 'misspelt at first' then 'Privat'
                when fate = 'once' and g % 3 = 0 then old_brand else brand end as brand,
            case when fate = 'twice' or (fate = 'once' and g % 3 = 1)
                then old_category else product_category end as product_category,
            case when fate = 'twice' or (fate = 'once' and g % 3 = 2)
                then old_size else package_size end as package_size
        ),
        at_second(date '2017-01-01', 21600 + e % 10000) as updated_at,
        case when fate = 'misspelt at first' then '["accepted_values:brand"]' end as broken_rules
    from planned
    union all by name
    select * replace (case when fate = 'twice' then old_size else package_size end as package_size),
        at_second(first_on, g % 86400) as updated_at, null as broken_rules
    from planned where fate in ('once', 'twice')
    union all by name
    select *, at_second(second_on, g % 86400) as updated_at, null as broken_rules
    from planned where fate = 'twice'
    union all by name
    select *, at_second((date '2017-01-04' + e % 40)::date, g % 86400) as updated_at,
        null as broken_rules
    from planned where fate = 'misspelt at first'
    union all by name
    select * replace (case when fate = 'misspelt later' then 'Privat' else brand end as brand),
        at_second(batch_on, 7200 + e % 7200) as updated_at,
        case when fate = 'misspelt later' then '["accepted_values:brand"]' end as broken_rules
    from planned where fate in ('written again', 'misspelt later')
    union all by name
    select *, at_second((batch_on + 2 + e % 8)::date, g % 86400) as updated_at,
        null as broken_rules
    from planned where fate = 'misspelt later'
)
select product_id, manufacturer_id, department, brand, product_category, product_type,
    package_size, updated_at, updated_at::date as arrives_on,
    lead(updated_at::date) over (partition by product_id order by updated_at) as leaves_on,
    broken_rules, false as needs_loose_types
from versions
"""

# One household in ten tells us of a change: a birthday or a better income, some a child later on.
_HOUSEHOLDS = """
create macro versions_households(first, last) as table
with thrown as materialized (
    select *, draw(21, household_id, 0) as d, draw(22, household_id, 0) as e,
        ['19-24', '25-34', '35-44', '45-54', '55-64', '65+'] as ages,
        ['Under 15K', '15-24K', '25-34K', '35-49K', '50-74K', '75-99K', '100-124K', '125-149K',
            '150-174K', '175-199K', '200-249K', '250K+'] as incomes
    from source.demographics
),
planned as (
    select *,
        d % 10 = 0 as changes, d % 40 = 0 as changes_twice,
        coalesce(ages[nullif(list_position(ages, age) - 1, 0)], ages[2]) as old_age,
        coalesce(incomes[nullif(list_position(incomes, income) - 1, 0)], incomes[2]) as old_income,
        case when household_size = '1' then '2' else '1' end as old_size,
        (date '2017-01-08' + e % 170)::date as first_on,
        (date '2017-01-08' + e % 170 + 30 + d // 40 % 140)::date as second_on
    from thrown
),
versions as (
    select * replace (
            case when changes and (changes_twice or e % 2 = 0) then old_age else age end as age,
            case when changes and not changes_twice and e % 2 = 1 then old_income
                else income end as income,
            case when changes_twice then old_size else household_size end as household_size
        ),
        at_second(date '2017-01-01', 32400 + e % 3000) as updated_at
    from planned
    union all by name
    select * replace (case when changes_twice then old_size else household_size end
            as household_size),
        at_second(first_on, e % 86400) as updated_at
    from planned where changes
    union all by name
    select *, at_second(second_on, e % 86400) as updated_at
    from planned where changes_twice
)
select household_id, age, income, home_ownership, marital_status, household_size, household_comp,
    kids_count, updated_at, updated_at::date as arrives_on,
    lead(updated_at::date) over (partition by household_id order by updated_at) as leaves_on,
    null::varchar as broken_rules, false as needs_loose_types
from versions
"""

VERSIONS = (_TRANSACTIONS, _PRODUCTS, _HOUSEHOLDS)
"""One `create macro` for each table."""
