with redemptions as (
    select * from {{ ref('stg_loyalty__redemptions') }}
),

campaigns as (
    select * from {{ ref('stg_loyalty__campaigns') }}
),

targets as (
    select * from {{ ref('stg_loyalty__campaign_targets') }}
),

coupons as (
    select
        coupon_upc,
        campaign_id,
        count(distinct product_id) as product_count
    from {{ ref('stg_promo__coupons') }}
    group by coupon_upc, campaign_id
),

fct_coupon_redemptions as (
    select
        redemptions.household_id,
        redemptions.coupon_upc,
        redemptions.campaign_id,
        redemptions.redeemed_on,
        coalesce(coupons.product_count, 0) as product_count,
        targets.household_id is not null as is_household_targeted,
        coalesce(
            redemptions.redeemed_on between campaigns.started_on and campaigns.ended_on, false
        ) as is_within_campaign
    from redemptions
    left join campaigns on redemptions.campaign_id = campaigns.campaign_id
    left join targets
        on
            redemptions.campaign_id = targets.campaign_id
            and redemptions.household_id = targets.household_id
    left join coupons
        on
            redemptions.coupon_upc = coupons.coupon_upc
            and redemptions.campaign_id = coupons.campaign_id
)

select * from fct_coupon_redemptions
