{{ elementary.no_rows_of(
'
    id data_issue_id test_execution_id test_unique_id model_unique_id invocation_id
    detected_at:timestamp created_at:timestamp database_name schema_name table_name
    column_name test_type test_sub_type test_results_description owners tags
    test_results_query other test_name test_params severity status failures:bigint
    test_short_name test_alias result_rows failed_row_count:bigint
') }}
