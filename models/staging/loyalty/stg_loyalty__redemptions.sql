{{ config(unique_key=['household_id', 'coupon_upc', 'campaign_id', 'redeemed_on']) }}

with source as (
    {{ newest_versions(
        source('loyalty', 'redemptions'),
        key=['household_id', 'coupon_upc', 'campaign_id', 'redemption_date'],
        version='updated_at',
        staged=this if is_incremental() else none,
    ) }}
),

renamed as (
    select
        household_id,
        coupon_upc,
        campaign_id,
        redemption_date as redeemed_on,
        updated_at,
        _load_number,
        _superseded_count,
        _repeated_count
    from source
)

select * from renamed
