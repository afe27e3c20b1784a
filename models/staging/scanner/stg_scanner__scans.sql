{{ config(unique_key=['basket_id', 'product_id']) }}

with source as (
    {{ newest_versions(
        source('scanner', 'scans'),
        key=['basket_id', 'product_id'],
        version='updated_at',
        staged=this if is_incremental() else none,
        deletes=true,
        arrival='_offset',
    ) }}
),

renamed as (
    select
        basket_id,
        product_id,
        household_id,
        store_id,
        week as week_number,
        quantity,
        sales_value as sales_amount,
        retail_disc as retail_discount_amount,
        coupon_disc as coupon_discount_amount,
        coupon_match_disc as coupon_match_discount_amount,
        _is_deleted as is_deleted,
        transaction_timestamp as sold_at,
        updated_at,
        _timestamp as sent_at,
        _load_number,
        _superseded_count,
        _repeated_count
    from source
)

select * from renamed
