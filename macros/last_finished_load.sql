{#- When rows last came in: the read of the newest finished load (UTC). It is what a source's
    freshness asks.

    raw    the source() relation
    alone  false: the newest load of any table of its source. A load without news writes nothing, so
           a table that seldom changes says nothing of whether its source still answers; its
           siblings do. True: of this table alone, for one that brings rows all the time. -#}
{% macro last_finished_load(raw, alone=false) %}
    select cast(max(book.extracted_at) as timestamp)
    from {{ raw.incorporate(path={'identifier': '_loads'}) }} as book
    inner join {{ raw.incorporate(path={'identifier': '_dlt_loads'}) }} as closed
        on book._dlt_load_id = closed.load_id
    where closed.status = 0 {%- if alone %} and book.table_name = '{{ raw.identifier }}'{% endif %}
{% endmacro %}
