"""The plan of the master data: how products and households change over the year.

At the year's end each is as the data set has it.
"""

# Master data is all there on the first morning. One product in 250 changes over the year, once or
# (a third of them) twice; on the first of each month head office writes 1 500 products again
# without a change. A dozen come with a brand that nobody knows, at first or in such a batch.
PRODUCTS = """
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
HOUSEHOLDS = """
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
