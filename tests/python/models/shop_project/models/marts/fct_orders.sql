{{ config(
    materialized='incremental',
    incremental_strategy='merge',
    unique_key='order_id',
    post_hook='delete from {{ this }} where is_deleted',
) }}

select
    order_id,
    customer_id,
    ordered_on,
    amount,
    is_deleted,
    _load_number
from {{ ref('stg_shop__orders') }}
{% if is_incremental() %}
where _load_number > (select coalesce(max(_load_number), 0) from {{ this }})
{% endif %}
