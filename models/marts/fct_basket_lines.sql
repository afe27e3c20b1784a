{{ config(
    materialized='incremental',
    incremental_strategy='merge',
    unique_key=['basket_id', 'product_id'],
) }}

with transactions as (
    select * from {{ ref('stg_pos__transactions') }}
    {% if is_incremental() %}
    where _load_number > (select coalesce(max(_load_number), 0) from {{ this }})
    {% endif %}
),

fct_basket_lines as (
    select
        basket_id,
        product_id,
        household_id,
        store_id,
        week_number,
        quantity,
        sales_amount,
        coalesce(retail_discount_amount, 0) as retail_discount_amount,
        coalesce(coupon_discount_amount, 0) as coupon_discount_amount,
        coalesce(coupon_match_discount_amount, 0) as coupon_match_discount_amount,
        case
            when quantity > 0 then null
            when coupon_discount_amount > 0 then 'coupon'
            when sales_amount > 0 then 'money_without_count'
            when retail_discount_amount > 0 then 'given_away'
            else 'nothing_sold'
        end as zero_quantity_reason,
        sold_at,
        cast(sold_at as date) as sold_on,
        _load_number
    from transactions
)

select * from fct_basket_lines
