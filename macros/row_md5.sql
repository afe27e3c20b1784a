{#- The md5 of a row's declared columns, as text: breaks the last tie between two versions. A column
    that only the source has may come at any time; it must not change which version stands.

    alias  the row
    raw    the source() relation whose declaration names the columns -#}
{% macro row_md5(alias, raw) %}
    {%- set values, there = [], [] -%}
    {#- a unit test has no sources in its graph: then the whole row breaks the tie -#}
    {%- for source in graph.get('sources', {}).values()
            if execute and source.schema == raw.schema and source.identifier == raw.identifier -%}
        {#- what was declared since the last load is not in raw yet -#}
        {%- for column in adapter.get_columns_in_relation(raw) -%}
            {%- do there.append(column.name) -%}
        {%- endfor -%}
        {%- for column in source.columns | sort if column in there -%}
            {%- do values.append(
                "coalesce(cast(" ~ alias ~ "." ~ column ~ " as " ~ dbt.type_string() ~ "), '~')"
            ) -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- if values -%} md5(concat_ws('|', {{ values | join(', ') }}))
    {%- else -%} md5(cast({{ alias }} as {{ dbt.type_string() }}))
    {%- endif -%}
{% endmacro %}
