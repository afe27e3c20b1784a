with households as (
    select * from {{ ref('stg_pos__households') }}
),

named as (
    select household_id from {{ ref('stg_pos__transactions') }}
    union
    select household_id from {{ ref('stg_loyalty__campaign_targets') }}
    union
    select household_id from {{ ref('stg_loyalty__redemptions') }}
    union
    select household_id from households
),

dim_households as (
    select
        named.household_id,
        coalesce(households.age_range, 'Unknown') as age_range,
        coalesce(households.income_range, 'Unknown') as income_range,
        coalesce(households.home_ownership, 'Unknown') as home_ownership,
        coalesce(households.marital_status, 'Unknown') as marital_status,
        coalesce(households.household_size, 'Unknown') as household_size,
        coalesce(households.household_composition, 'Unknown') as household_composition,
        coalesce(households.kids_count_range, 'Unknown') as kids_count_range,
        households.household_id is not null as is_described,
        households.updated_at
    from named
    left join households on named.household_id = households.household_id
)

select * from dim_households
