{#- The rows of one of ingest's own tables over every source, the source's name first: columns is
    what to take of it. A source that was never loaded is left out. -#}
{% macro over_sources(table, columns) %}
    {%- set found = {} -%}
    {%- for source in (graph.sources.values() if execute else []) if source.source_meta.ingest -%}
        {%- set raw = adapter.get_relation(source.database, source.schema, table) -%}
        {%- if raw -%}{% do found.update({source.source_name: raw}) %}{% endif -%}
    {%- endfor -%}
    {%- if execute and not found -%}
        {{ exceptions.raise_compiler_error('No source was loaded yet: run `millrace load`.') }}
    {%- endif -%}
    {%- for name, raw in found.items() %}
        select '{{ name }}' as source_name, {{ columns }} from {{ raw }}
        {{ 'union all' if not loop.last }}
    {%- endfor %}
{% endmacro %}
