{{ config(materialized='incremental', incremental_strategy='append') }}

{{ watermarks(
    ref('int_scans__versions'),
    at='sold_at',
    lateness='3 days',
    built=this if is_incremental() else none,
) }}
