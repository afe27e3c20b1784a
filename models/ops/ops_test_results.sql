with results as (
    select *
    from {{ source('millrace', 'node_results') }}
    where resource_type in ('test', 'unit_test')
),

ops_test_results as (
    select
        run_id,
        unique_id,
        node_name as test_name,
        status,
        coalesce(failures, 0) as failure_count,
        status not in ('pass', 'success') as is_failing,
        lag(status) over (partition by unique_id order by finished_at, run_id) as status_before,
        execution_seconds,
        message,
        finished_at
    from results
)

select * from ops_test_results
