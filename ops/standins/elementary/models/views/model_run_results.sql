{{ elementary.run_results_of(ref('dbt_models'), ref('dbt_run_results')) }}
