{#- The rows of one of ingest's own tables over every source, the source's name first: columns is
    what to take of it. A source that was never loaded is left out. -#}
{% macro over_sources(table, columns) %}
    {%- set declared, loaded = {}, {} -%}
    {%- for source in (graph.sources.values() if execute else []) if source.source_meta.ingest -%}
        {%- set raw = api.Relation.create(source.database, source.schema, table) -%}
        {%- do declared.update({source.source_name: raw}) -%}
        {%- if load_relation(raw) -%}{% do loaded.update({source.source_name: raw}) %}{% endif -%}
    {%- endfor -%}
    {%- for name, raw in (loaded or declared).items() %}
        select '{{ name }}' as source_name, {{ columns }} from {{ raw }}
        {{ 'union all' if not loop.last }}
    {%- endfor %}
{% endmacro %}
