{{ config(unique_key=['campaign_id', 'household_id']) }}

with source as (
    {{ newest_versions(
        source('loyalty', 'campaign_targets'),
        key=['campaign_id', 'household_id'],
        version='updated_at',
        staged=this if is_incremental() else none,
    ) }}
),

renamed as (
    select
        campaign_id,
        household_id,
        updated_at,
        _load_number,
        _superseded_count,
        _repeated_count
    from source
)

select * from renamed
