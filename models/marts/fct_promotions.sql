{{ config(
    materialized='incremental',
    incremental_strategy='merge',
    unique_key=['product_id', 'store_id', 'week_number', 'display_code', 'mailer_code'],
) }}

with promotions as (
    select * from {{ ref('stg_promo__promotions') }}
    {% if is_incremental() %}
    where _load_number > (select coalesce(max(_load_number), 0) from {{ this }})
    {% endif %}
),

fct_promotions as (
    select
        product_id,
        store_id,
        week_number,
        display_code,
        mailer_code,
        display_name,
        display_code <> '0' as is_on_display,
        mailer_code <> '0' as is_in_mailer,
        _load_number
    from promotions
)

select * from fct_promotions
