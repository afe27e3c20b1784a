{#- SQL: where the stretch of so many seconds begins that a time (UTC) is in; stretches are counted
    from 1970-01-01 00:00:00, as Flink and Spark do. -#}
{% macro window_start(at, seconds) %}
    {{- adapter.dispatch('window_start')(at, seconds) -}}
{% endmacro %}

{% macro duckdb__window_start(at, seconds) -%}
    time_bucket(interval '{{ seconds }} seconds', {{ at }}, timestamp '1970-01-01 00:00:00')
{%- endmacro %}

{% macro spark__window_start(at, seconds) -%}
    timestamp_seconds(unix_seconds({{ at }}) - pmod(unix_seconds({{ at }}), {{ seconds }}))
{%- endmacro %}
