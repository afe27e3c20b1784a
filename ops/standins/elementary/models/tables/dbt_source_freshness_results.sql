{{ elementary.no_rows_of(
'
    source_freshness_execution_id unique_id max_loaded_at snapshotted_at generated_at
    created_at:timestamp max_loaded_at_time_ago_in_s:float status error compile_started_at
    compile_completed_at execute_started_at execute_completed_at invocation_id warn_after
    error_after filter
') }}
