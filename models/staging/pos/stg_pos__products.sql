{{ config(unique_key=['product_id']) }}

with source as (
    {{ newest_versions(
        source('pos', 'products'),
        key=['product_id'],
        version='updated_at',
        staged=this if is_incremental() else none,
    ) }}
),

renamed as (
    select
        product_id,
        manufacturer_id,
        department,
        brand,
        product_category,
        product_type,
        package_size,
        updated_at,
        _load_number,
        _superseded_count,
        _repeated_count
    from source
)

select * from renamed
