with campaigns as (
    select * from {{ ref('stg_loyalty__campaigns') }}
),

targets as (
    select
        campaign_id,
        count(*) as household_count
    from {{ ref('stg_loyalty__campaign_targets') }}
    group by campaign_id
),

coupons as (
    select
        campaign_id,
        count(distinct coupon_upc) as coupon_count,
        count(distinct product_id) as product_count
    from {{ ref('stg_promo__coupons') }}
    group by campaign_id
),

named as (
    select campaign_id from campaigns
    union
    select campaign_id from targets
    union
    select campaign_id from coupons
    union
    select campaign_id from {{ ref('stg_loyalty__redemptions') }}
),

dim_campaigns as (
    select
        named.campaign_id,
        campaigns.campaign_type,
        campaigns.started_on,
        campaigns.ended_on,
        coalesce(targets.household_count, 0) as household_count,
        coalesce(coupons.coupon_count, 0) as coupon_count,
        coalesce(coupons.product_count, 0) as product_count,
        campaigns.campaign_id is not null as is_known
    from named
    left join campaigns on named.campaign_id = campaigns.campaign_id
    left join targets on named.campaign_id = targets.campaign_id
    left join coupons on named.campaign_id = coupons.campaign_id
)

select * from dim_campaigns
