{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key=['store_id', 'window_start'],
    post_hook='delete from {{ this }} where event_count = 0',
) }}

with fct_store_hours as (
    {{ tumbling_windows(
        ref('stg_scanner__scans'),
        versions=ref('int_scans__versions'),
        key=['basket_id', 'product_id'],
        at='sold_at',
        size='1 hour',
        by=['store_id'],
        aggregates={
            'basket_count': 'count(distinct basket_id)',
            'sales_amount': 'cast(sum(sales_amount) as decimal(18, 2))',
        },
        watermarks=ref('scan_watermarks'),
        late=ref('late_scans'),
        where='not is_deleted',
        built=this if is_incremental() else none,
    ) }}
)

select * from fct_store_hours
