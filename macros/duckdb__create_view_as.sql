{#- A view names no database of its own: readers have the marts under another name than dbt, as the
    snapshot's file is called or attached, and a view that named dbt's would find nothing there. What
    is left nameless DuckDB looks up beside the view. -#}
{% macro duckdb__create_view_as(relation, sql) -%}
    {%- if config.get('contract').enforced %}
    {{ get_assert_columns_equivalent(sql) }}
    {%- endif %}
    {{ config.get('sql_header') or '' }}
    create view {{ relation }} as (
        {{ sql | replace(relation.include(schema=false, identifier=false).render() ~ '.', '') }}
    );
{%- endmacro %}
