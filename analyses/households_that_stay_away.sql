-- Households that spent above the average over their months and came last two months ago or more.
with months as (
    select * from {{ ref('household_value') }}
),

households as (
    select
        household_id,
        avg(sales_amount) as average_month_amount,
        max(month_started_on) as last_month_started_on
    from months
    group by household_id
)

select *
from households
where
    average_month_amount > (select avg(sales_amount) from months)
    and last_month_started_on < (
        select {{ dateadd('month', -1, 'max(month_started_on)') }} from months
    )
order by average_month_amount desc
