{{ config(materialized='table') }}

select
    customer_id,
    count(*) as order_count
from {{ ref('stg_shop__orders') }}
where not is_deleted
group by customer_id
