{#- What raw holds of some loads: one row per source, table and load of which it has any, with their
    number and checksum. Rows that were accepted, and dead letters (is_dead).

    loads    name of a relation with source_name and load_number -#}
{% macro raw_contents(loads) %}
    {%- set wanted, parts = {}, [] -%}
    {%- for source in (graph.sources.values() if execute else []) if source.source_meta.ingest -%}
        {%- for name in [source.identifier, '_dead_letters'] -%}
            {%- set raw = api.Relation.create(source.database, source.schema, name) -%}
            {%- do wanted.update({raw.render(): (source.source_name, raw)}) -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- set there = columns_there(wanted.values() | map(attribute=1)) -%}
    {%- for source_name, raw in wanted.values() if raw.render() in there -%}
        {%- set columns = {} -%}
        {%- for column in there[raw.render()] if column not in ['_dlt_id', '_dlt_load_id'] -%}
            {%- do columns.update({column: 'r.' ~ adapter.quote(column)}) -%}
        {%- endfor -%}
        {%- set is_dead = raw.identifier == '_dead_letters' -%}
        {%- set part %}
        select
            '{{ source_name }}' as source_name,
            {{ 'r.table_name' if is_dead else "'" ~ raw.identifier ~ "'" }} as table_name,
            {{ is_dead | lower }} as is_dead,
            r._load_number as load_number,
            count(*) as row_count,
            cast(sum({{ row_hash(columns) }}) as {{ dbt.type_string() }}) as checksum
        from {{ raw }} as r
        where
            r._load_number in (
                select load_number from {{ loads }} where source_name = '{{ source_name }}'
            )
        group by r._load_number {{- ', r.table_name' if is_dead }}
        {%- endset -%}
        {%- do parts.append(part) -%}
    {%- endfor -%}
    {{ parts | join('\n        union all\n') if parts else
        "select '' as source_name, '' as table_name, false as is_dead, 0 as load_number, "
        ~ "0 as row_count, '' as checksum where false" }}
{% endmacro %}
