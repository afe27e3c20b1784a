{#- Stops where a table's declaration and its staging model differ on deletes: `deletes: compare`
    puts tombstones into raw, and a model that does not know of them takes each for a row.

    raw      the source() relation
    deletes  whether the model knows of tombstones -#}
{% macro agree_on_deletes(raw, deletes) %}
    {#- a unit test has no sources in its graph -#}
    {%- for source in graph.get('sources', {}).values()
            if execute and source.schema == raw.schema and source.identifier == raw.identifier -%}
        {%- set ingest = source.config.get('meta', {}).get('ingest', {}) -%}
        {%- if ingest.get('deletes') and not deletes -%}
            {%- do exceptions.raise_compiler_error(
                source.source_name ~ '.' ~ source.name ~ ' is declared with `deletes: '
                ~ ingest.deletes ~ '`: give newest_versions `deletes=true`, and the model '
                ~ '`_is_deleted as is_deleted`'
            ) -%}
        {%- endif -%}
    {%- endfor -%}
{% endmacro %}
