with runs as (
    select * from {{ source('millrace', 'runs') }}
),

steps as (
    select
        run_id,
        count(*) as step_count,
        max_by(step, started_at) as last_step,
        max_by(step, started_at) filter (where status = 'killed') as killed_in
    from {{ source('millrace', 'steps') }}
    group by run_id
),

ops_runs as (
    select
        runs.run_id,
        runs.command,
        runs.target,
        runs.status,
        runs.exit_code,
        coalesce(steps.step_count, 0) as step_count,
        steps.last_step,
        steps.killed_in,
        {{ datediff('runs.started_at', 'runs.finished_at', 'second') }} as run_seconds, -- noqa: LT05
        runs.started_at,
        runs.finished_at
    from runs
    left join steps on runs.run_id = steps.run_id
)

select * from ops_runs
