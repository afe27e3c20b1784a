{#- A query of no rows with the columns of `text`: names, each perhaps with `:type`. -#}
{% macro no_rows_of(text) %}
    {%- set columns = [] -%}
    {%- for word in text.split() -%}
        {%- set name, colon, kind = word.partition(':') -%}
        {%- do columns.append((name, kind or 'string')) -%}
    {%- endfor -%}
    {{ return(elementary.empty_table(columns)) }}
{% endmacro %}

{#- Called by Elementary's command line too, with a list of (name, type). -#}
{% macro empty_table(columns) %}
    {%- set types = {
        'string': dbt.type_string(), 'long_string': dbt.type_string(), 'timestamp': dbt.type_timestamp(),
        'boolean': 'boolean', 'int': dbt.type_int(), 'bigint': dbt.type_bigint(), 'float': dbt.type_float(),
    } -%}
    {%- set parts = [] -%}
    {%- for name, kind in columns -%}
        {%- do parts.append('cast(null as ' ~ types.get(kind, kind) ~ ') as ' ~ name) -%}
    {%- endfor -%}
    {{ return('select\n    ' ~ parts | join(',\n    ') ~ '\nwhere 1 = 0') }}
{% endmacro %}

{#- Runs with what is known of the node that ran. -#}
{% macro run_results_of(nodes, runs) %}
    select
        runs.model_execution_id,
        runs.unique_id,
        runs.invocation_id,
        runs.query_id,
        runs.name,
        runs.generated_at,
        runs.status,
        runs.full_refresh,
        runs.message,
        runs.execution_time,
        runs.execute_started_at,
        runs.execute_completed_at,
        runs.compile_started_at,
        runs.compile_completed_at,
        runs.compiled_code,
        runs.adapter_response,
        runs.thread_id,
        runs.group_name,
        nodes.database_name,
        nodes.schema_name,
        coalesce(runs.materialization, nodes.materialization) as materialization,
        nodes.tags,
        nodes.package_name,
        nodes.path,
        nodes.original_path,
        nodes.owner,
        nodes.alias
    from {{ runs }} as runs
    inner join {{ nodes }} as nodes on runs.unique_id = nodes.unique_id
{% endmacro %}
