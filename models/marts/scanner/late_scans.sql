{{ config(materialized='incremental', incremental_strategy='append') }}

{{ late_events(
    ref('int_scans__versions'),
    key=['basket_id', 'product_id'],
    at='sold_at',
    watermarks=ref('scan_watermarks'),
    built=this if is_incremental() else none,
) }}
