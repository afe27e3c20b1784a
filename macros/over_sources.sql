{#- The rows of one of ingest's own tables over every source, the source's name first: columns is
    what to take of it. A source that was never loaded is left out.

    later    columns that an older version of Millrace did not write: null where they are not there -#}
{% macro over_sources(table, columns, later=[]) %}
    {%- set declared = {} -%}
    {%- for source in (graph.sources.values() if execute else []) if source.source_meta.ingest -%}
        {%- do declared.update(
            {source.source_name: api.Relation.create(source.database, source.schema, table)}
        ) -%}
    {%- endfor -%}
    {%- set there = columns_there(declared.values()) -%}
    {%- for name, raw in declared.items() if raw.render() in there or not there %}
        select
            '{{ name }}' as source_name,
            {%- for column in later %}
            {{ column if column in there.get(raw.render(), later)
                else "cast(null as " ~ dbt.type_string() ~ ") as " ~ column }},
            {%- endfor %}
            {{ columns }}
        from {{ raw }}
        {{ 'union all' if not loop.last }}
    {%- endfor %}
{% endmacro %}
