{{ config(materialized='view') }}

{% set columns %}
    basket_id, product_id, household_id, store_id, week_number, quantity, sales_amount,
    retail_discount_amount, coupon_discount_amount, coupon_match_discount_amount,
    zero_quantity_reason, sold_at, sold_on, _load_number
{% endset %}

with settled as (
    select * from {{ ref('fct_basket_lines') }}
),

tail as (
    select * from {{ ref('scan_tail') }}
),

unsettled as (
    select * from tail
    where
        not is_deleted
        and not exists (
            select 1 from settled
            where settled.basket_id = tail.basket_id and settled.product_id = tail.product_id
        )
),

live_basket_lines as (
    select {{ columns }}, true as is_settled from settled
    union all
    select {{ columns }}, false as is_settled from unsettled
)

select * from live_basket_lines
