{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key=['store_id', 'sold_on'],
    post_hook='delete from {{ this }} where line_count = 0',
) }}

with lines as (
    select * from {{ ref('fct_basket_lines') }}
),

positions as (
    select * from {{ ref('int_basket_lines__positions') }}
),

{% if is_incremental() %}
changed as (
    select
        basket_id,
        product_id
    from {{ ref('fct_basket_lines') }}
    where _load_number > (select coalesce(max(_load_number), 0) from {{ this }})
),

-- the days of changed lines: where they are, and where they were before
touched as (
    select distinct
        positions.store_id,
        positions.sold_on
    from positions
    inner join changed using (basket_id, product_id)
),
{% endif %}

fct_daily_store_sales as (
    select
        store_id,
        sold_on,
        count(distinct basket_id) as basket_count,
        count(distinct household_id) as household_count,
        count(basket_id) as line_count,
        cast(sum(quantity) as bigint) as quantity,
        cast(sum(sales_amount) as decimal(18, 2)) as sales_amount,
        cast(sum(retail_discount_amount) as decimal(18, 2)) as retail_discount_amount,
        cast(sum(coupon_discount_amount) as decimal(18, 2)) as coupon_discount_amount,
        cast(sum(coupon_match_discount_amount) as decimal(18, 2)) as coupon_match_discount_amount,
        max(_load_number) as _load_number
    from lines
    {% if is_incremental() %}
    -- a day that a correction emptied has a row without lines, which the post-hook takes away
    right join touched using (store_id, sold_on)
    {% endif %}
    group by store_id, sold_on
)

select * from fct_daily_store_sales
