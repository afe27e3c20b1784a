{#- SQL: the row came with a load that the tests of content look at. That is every load, and in quick
    builds (var all_rows) those that no good build has taken.

    loads    [source, table] whose load numbers `_load_number` has -#}
{% macro fresh_loads(loads) -%}
    {%- if var('all_rows') -%} true
    {%- else -%}
        _load_number > (
            select coalesce(max(load_number), 0)
            from {{ source('millrace', 'built') }}
            where source_name = '{{ loads[0] }}' and table_name = '{{ loads[1] }}'
        )
    {%- endif -%}
{%- endmacro %}
