{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key='ordered_on',
    post_hook='delete from {{ this }} where order_count = 0',
) }}

with orders as (
    select * from {{ ref('stg_shop__orders') }}
),

{% if is_incremental() %}
-- the days of changed orders: where they are, and where any version of them was
touched as (
    select distinct versions.ordered_on
    from {{ source('shop', 'orders') }} as versions
    inner join orders on versions.order_id = orders.order_id
    where orders._load_number > (select coalesce(max(_load_number), 0) from {{ this }})
),
{% endif %}

fct_daily_orders as (
    select
        ordered_on,
        count(order_id) filter (where not is_deleted) as order_count,
        sum(amount) filter (where not is_deleted) as amount,
        max(_load_number) as _load_number
    from orders
    {% if is_incremental() %}
    right join touched using (ordered_on)
    {% endif %}
    group by ordered_on
)

select * from fct_daily_orders
