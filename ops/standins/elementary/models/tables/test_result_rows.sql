{{ elementary.no_rows_of(
'
    elementary_test_results_id result_row detected_at:timestamp created_at:timestamp
    row_index:int test_type
') }}
