{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key=['household_id', 'month_started_on'],
    post_hook='delete from {{ this }} where line_count = 0',
) }}

with lines as (
    select
        *,
        cast(date_trunc('month', sold_on) as date) as month_started_on
    from {{ ref('fct_basket_lines') }}
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

-- the months of changed lines: where they are, and where they were before
touched as (
    select distinct
        positions.household_id,
        cast(date_trunc('month', positions.sold_on) as date) as month_started_on
    from positions
    inner join changed using (basket_id, product_id)
),
{% endif %}

household_value as (
    select
        household_id,
        month_started_on,
        count(distinct basket_id) as basket_count,
        count(distinct store_id) as store_count,
        count(distinct product_id) as product_count,
        count(basket_id) as line_count,
        cast(sum(quantity) as bigint) as quantity,
        cast(sum(sales_amount) as decimal(18, 2)) as sales_amount,
        cast(sum(retail_discount_amount) as decimal(18, 2)) as retail_discount_amount,
        cast(sum(coupon_discount_amount) as decimal(18, 2)) as coupon_discount_amount,
        cast(sum(coupon_match_discount_amount) as decimal(18, 2)) as coupon_match_discount_amount,
        max(sold_on) as last_sold_on,
        max(_load_number) as _load_number
    from lines
    {% if is_incremental() %}
    -- a month that a correction emptied has a row without lines, which the post-hook takes away
    right join touched using (household_id, month_started_on)
    {% endif %}
    group by household_id, month_started_on
)

select * from household_value
