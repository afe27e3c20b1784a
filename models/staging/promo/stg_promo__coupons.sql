{{ config(unique_key=['coupon_upc', 'product_id', 'campaign_id', 'copy_number']) }}

with source as (
    {{ newest_versions(
        source('promo', 'coupons'),
        key=['coupon_upc', 'product_id', 'campaign_id', 'copy_number'],
        staged=this if is_incremental() else none,
    ) }}
),

renamed as (
    select
        coupon_upc,
        product_id,
        campaign_id,
        copy_number,
        _load_number,
        _superseded_count,
        _repeated_count
    from source
)

select * from renamed
