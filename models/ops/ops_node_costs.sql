with results as (
    select * from {{ source('millrace', 'node_results') }}
),

ops_node_costs as (
    select
        unique_id,
        node_name,
        resource_type,
        count(*) as run_count,
        sum(execution_seconds) as seconds_in_all,
        avg(execution_seconds) as seconds_on_average,
        max(execution_seconds) as seconds_at_most,
        max_by(execution_seconds, finished_at) as seconds_last,
        max(finished_at) as last_finished_at
    from results
    group by unique_id, node_name, resource_type
)

select * from ops_node_costs
