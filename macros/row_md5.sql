{#- The md5 of a row's declared columns, as text: breaks the last tie between two versions. A column
    that only the source has may come at any time; it must not change which version stands.

    alias  the row
    raw    the source() relation whose declaration names the columns -#}
{% macro row_md5(alias, raw) %}
    {%- set values = [] -%}
    {#- a unit test has no sources in its graph: then the whole row breaks the tie -#}
    {%- for source in graph.get('sources', {}).values()
            if source.schema == raw.schema and source.identifier == raw.identifier -%}
        {%- for column in source.columns | sort -%}
            {%- do values.append(
                "coalesce(cast(" ~ alias ~ "." ~ column ~ " as " ~ dbt.type_string() ~ "), '~')"
            ) -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- if values -%} md5(concat_ws('|', {{ values | join(', ') }}))
    {%- else -%} md5(cast({{ alias }} as {{ dbt.type_string() }}))
    {%- endif -%}
{% endmacro %}
