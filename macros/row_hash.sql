{#- The hash of a row, as a number; a sum of them is a checksum that no order of the rows changes.
    `ingest/checksum.py` makes the same one of what it loads, and the book of loads keeps that.

    columns  name to expression. A value is hashed with its name, so that two which changed places
             show, and that again, or DuckDB's way to put hashes together would cancel the names out.
             A null adds nothing, so that a column which came later changes no older row. -#}
{% macro row_hash(columns) %}
    {{- adapter.dispatch('row_hash')(columns) -}}
{% endmacro %}

{% macro duckdb__row_hash(columns) -%}
    {%- set hashes = namespace(left=[]) -%}
    {%- for name, value in columns.items() -%}
        {%- set one -%}
            if({{ value }} is null, 0::ubigint, hash(hash('{{ name | lower }}', {{ value }})))
        {%- endset -%}
        {%- do hashes.left.append(one) -%}
    {%- endfor -%}
    {#- in pairs, and pairs of pairs: one in the other, they are too deep for sqlfluff -#}
    {%- for _ in columns if hashes.left | length > 1 -%}
        {%- set pairs = [] -%}
        {%- for pair in hashes.left | batch(2) -%}
            {%- do pairs.append('xor(' ~ pair | join(', ') ~ ')' if pair | length > 1 else pair[0]) -%}
        {%- endfor -%}
        {%- set hashes.left = pairs -%}
    {%- endfor -%}
    hash({{ hashes.left[0] }})::hugeint
{%- endmacro %}

{#- The same where both sums are of one query, over the same columns: quicker, as neither names nor
    columns that come later matter.

    columns  their names -#}
{% macro quick_row_hash(columns) %}
    {{- adapter.dispatch('quick_row_hash')(columns) -}}
{% endmacro %}

{% macro duckdb__quick_row_hash(columns) -%}
    {#- Once more over all: in a sum of what DuckDB puts together, two rows might change a value and not
        show. In 63 bits: those it adds up in a third less time. -#}
    (hash(hash({{ columns | join(', ') }})) >> 1)::bigint
{%- endmacro %}
