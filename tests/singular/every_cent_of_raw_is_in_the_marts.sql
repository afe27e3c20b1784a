{{ config(tags=['deep']) }}

-- Straight from raw, by other means than staging: the newest version of each line, added up by
-- store and day, is what the marts say, to the cent. Reads all of raw, so it is tagged "deep".
with finished as (
    {{ finished_loads(source('pos', 'transactions')) }}
),

versions as (
    select
        told.store_id,
        told.transaction_timestamp,
        told.sales_value,
        row_number() over (
            partition by told.basket_id, told.product_id
            order by
                told.updated_at desc nulls last,
                coalesce(told._replayed_from, told._load_number) desc,
                told._source desc,
                {{ row_md5('told', source('pos', 'transactions')) }} desc
        ) as newest
    from {{ source('pos', 'transactions') }} as told
    where told._load_number in (select load_number from finished)
),

raw_days as (
    select
        store_id,
        cast(transaction_timestamp as date) as sold_on,
        count(*) as line_count,
        sum(sales_value) as sales_amount
    from versions
    where newest = 1
    group by store_id, cast(transaction_timestamp as date)
),

mart_days as (
    select
        store_id,
        sold_on,
        line_count,
        sales_amount
    from {{ ref('fct_daily_store_sales') }}
)

select
    store_id,
    sold_on,
    raw_days.line_count as raw_line_count,
    mart_days.line_count as mart_line_count,
    raw_days.sales_amount as raw_sales_amount,
    mart_days.sales_amount as mart_sales_amount
from raw_days
full outer join mart_days using (store_id, sold_on)
where
    coalesce(raw_days.line_count, 0) <> coalesce(mart_days.line_count, 0)
    or coalesce(raw_days.sales_amount, 0) <> coalesce(mart_days.sales_amount, 0)
