{#- The rows of one of ingest's own tables over every source, the source's name first: columns is
    what to take of it. A source that was never loaded is left out.

    later    columns that an older version of Millrace did not write: null where they are not there -#}
{% macro over_sources(table, columns, later=[]) %}
    {%- set declared, loaded = {}, {} -%}
    {%- for source in (graph.sources.values() if execute else []) if source.source_meta.ingest -%}
        {%- set raw = api.Relation.create(source.database, source.schema, table) -%}
        {%- do declared.update({source.source_name: raw}) -%}
        {%- if load_relation(raw) -%}{% do loaded.update({source.source_name: raw}) %}{% endif -%}
    {%- endfor -%}
    {%- for name, raw in (loaded or declared).items() %}
        {%- set there = adapter.get_columns_in_relation(raw) | map(attribute='name') | list
            if later and loaded else [] %}
        select
            '{{ name }}' as source_name,
            {%- for column in later %}
            {{ column if column in there else "cast(null as " ~ dbt.type_string() ~ ") as " ~ column }},
            {%- endfor %}
            {{ columns }}
        from {{ raw }}
        {{ 'union all' if not loop.last }}
    {%- endfor %}
{% endmacro %}
