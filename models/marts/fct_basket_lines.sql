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
    {{ basket_lines('transactions') }}
)

select * from fct_basket_lines
