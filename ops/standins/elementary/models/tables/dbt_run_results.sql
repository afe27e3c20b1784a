{{ elementary.no_rows_of(
'
    model_execution_id unique_id invocation_id generated_at created_at:timestamp name
    message status resource_type execution_time:float execute_started_at
    execute_completed_at compile_started_at compile_completed_at rows_affected:bigint
    full_refresh:boolean compiled_code failures:bigint query_id thread_id materialization
    adapter_response group_name
') }}
