{{ config(unique_key=['campaign_id']) }}

with source as (
    {{ newest_versions(
        source('loyalty', 'campaigns'),
        key=['campaign_id'],
        version='updated_at',
        staged=this if is_incremental() else none,
    ) }}
),

renamed as (
    select
        campaign_id,
        campaign_type,
        start_date as started_on,
        end_date as ended_on,
        updated_at,
        _load_number,
        _superseded_count,
        _repeated_count
    from source
)

select * from renamed
