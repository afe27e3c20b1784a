{{ elementary.run_results_of(ref('dbt_snapshots'), ref('dbt_run_results')) }}
