{#- Elementary's anomaly tests learn from history with code that only the real package has. Here
    they pass without looking, and the end of the run says so. -#}
{% macro skipped(arguments) %}
    -- skipped: needs the real Elementary package
    select 1 as nothing where 1 = 0
{% endmacro %}

{% test volume_anomalies(model) %}{{ elementary.skipped(kwargs) }}{% endtest %}
{% test freshness_anomalies(model) %}{{ elementary.skipped(kwargs) }}{% endtest %}
{% test event_freshness_anomalies(model) %}{{ elementary.skipped(kwargs) }}{% endtest %}
{% test table_anomalies(model) %}{{ elementary.skipped(kwargs) }}{% endtest %}
{% test dimension_anomalies(model) %}{{ elementary.skipped(kwargs) }}{% endtest %}
{% test column_anomalies(model) %}{{ elementary.skipped(kwargs) }}{% endtest %}
{% test all_columns_anomalies(model) %}{{ elementary.skipped(kwargs) }}{% endtest %}
{% test schema_changes(model) %}{{ elementary.skipped(kwargs) }}{% endtest %}

{#- One warning for the whole run. -#}
{% macro say_what_was_skipped() %}
    {%- if execute and results is defined -%}
        {%- set tests = [] -%}
        {%- for result in results -%}
            {%- if result.node.test_metadata and result.node.test_metadata.namespace == 'elementary' -%}
                {%- do tests.append(result.node.name) -%}
            {%- endif -%}
        {%- endfor -%}
        {%- if tests -%}
            {%- do exceptions.warn(
                tests | length ~ " anomaly test(s) skipped: they need the real Elementary package; "
                ~ "run `millrace deps` where dbt's package hub can be reached"
            ) -%}
        {%- endif -%}
    {%- endif -%}
{% endmacro %}
