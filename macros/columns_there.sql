{#- The columns of some tables, in their order, by the table as SQL names it; a table that is not there
    is left out. It asks the warehouse, in one question. dbt's cache of a schema that no model is in is
    filled by whoever asks first, one table after the other, while another thread reads it already:
    to that one a table that is there may seem to be missing.

    relations    list of relations; those of one schema need not come together -#}
{% macro columns_there(relations) %}
    {%- set wanted, found = {}, {} -%}
    {%- for relation in relations -%}
        {%- do wanted.setdefault(relation.schema, []).append(relation.identifier) -%}
    {%- endfor -%}
    {%- set question -%}
        select
            table_catalog,
            table_schema,
            table_name,
            {{ dbt.listagg('column_name', "','", 'order by ordinal_position') }}
        from information_schema.columns
        where
            {%- for schema, tables in wanted.items() %}
            table_schema = '{{ schema }}' and table_name in ('{{ tables | join("', '") }}')
            {{- ' or' if not loop.last }}
            {%- endfor %}
        group by table_catalog, table_schema, table_name
    {%- endset -%}
    {%- for database, schema, table, names in (run_query(question).rows if wanted else []) -%}
        {%- do found.update({api.Relation.create(database, schema, table).render(): names.split(',')}) -%}
    {%- endfor -%}
    {{ return(found) }}
{% endmacro %}
