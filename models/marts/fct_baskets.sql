{{ config(
    materialized='incremental',
    incremental_strategy='merge',
    unique_key='basket_id',
) }}

with lines as (
    select * from {{ ref('fct_basket_lines') }}
),

{% if is_incremental() %}
-- not from `lines`: DuckDB would copy the whole of a CTE that is read twice
touched as (
    select distinct basket_id
    from {{ ref('fct_basket_lines') }}
    where _load_number > (select coalesce(max(_load_number), 0) from {{ this }})
),
{% endif %}

fct_baskets as (
    select
        basket_id,
        min(household_id) as household_id,
        min(store_id) as store_id,
        min(week_number) as week_number,
        count(*) as line_count,
        cast(sum(quantity) as bigint) as quantity,
        cast(sum(sales_amount) as decimal(18, 2)) as sales_amount,
        cast(sum(retail_discount_amount) as decimal(18, 2)) as retail_discount_amount,
        cast(sum(coupon_discount_amount) as decimal(18, 2)) as coupon_discount_amount,
        cast(sum(coupon_match_discount_amount) as decimal(18, 2)) as coupon_match_discount_amount,
        min(sold_at) as sold_at,
        cast(min(sold_at) as date) as sold_on,
        max(_load_number) as _load_number
    from lines
    {% if is_incremental() %}
    inner join touched using (basket_id)
    {% endif %}
    group by basket_id
)

select * from fct_baskets
