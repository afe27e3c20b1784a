with steps as (
    select * from {{ source('millrace', 'steps') }}
),

ops_steps as (
    select
        run_id,
        step,
        status,
        detail,
        {{ datediff('started_at', 'finished_at', 'second') }} as step_seconds, -- noqa: LT05
        started_at,
        finished_at
    from steps
)

select * from ops_steps
