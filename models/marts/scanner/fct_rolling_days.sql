{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key='window_start',
    post_hook='delete from {{ this }} where event_count = 0',
) }}

with fct_rolling_days as (
    {{ sliding_windows(
        ref('stg_scanner__scans'),
        versions=ref('int_scans__versions'),
        key=['basket_id', 'product_id'],
        at='sold_at',
        size='1 day',
        slide='6 hours',
        aggregates={
            'household_count': 'count(distinct household_id)',
            'sales_amount': 'cast(sum(sales_amount) as decimal(18, 2))',
        },
        watermarks=ref('scan_watermarks'),
        late=ref('late_scans'),
        where='not is_deleted',
        built=this if is_incremental() else none,
    ) }}
)

select * from fct_rolling_days
