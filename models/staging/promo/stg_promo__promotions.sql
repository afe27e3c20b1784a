{{ config(unique_key=['product_id', 'store_id', 'week_number', 'display_code', 'mailer_code']) }}

with source as (
    {{ newest_versions(
        source('promo', 'promotions'),
        key=['product_id', 'store_id', 'week', 'display_location', 'mailer_location'],
        staged=this if is_incremental() else none,
    ) }}
),

renamed as (
    select
        product_id,
        store_id,
        week as week_number,
        display_location as display_code,
        mailer_location as mailer_code,
        display_name,
        _load_number,
        _superseded_count,
        _repeated_count
    from source
)

select * from renamed
