{{ config(unique_key=['household_id']) }}

with source as (
    {{ newest_versions(
        source('pos', 'households'),
        key=['household_id'],
        version='updated_at',
        staged=this if is_incremental() else none,
    ) }}
),

renamed as (
    select
        household_id,
        age as age_range,
        income as income_range,
        home_ownership,
        marital_status,
        household_size,
        household_comp as household_composition,
        kids_count as kids_count_range,
        updated_at,
        _load_number,
        _superseded_count,
        _repeated_count
    from source
)

select * from renamed
