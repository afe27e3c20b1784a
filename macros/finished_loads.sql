{#- The loads of one raw table that finished: the book of loads has them, and dlt closed them.
    Rows of any other load do not exist for dbt: the next start of ingest takes them away. -#}
{% macro finished_loads(raw) %}
    select book.load_number
    from {{ raw.incorporate(path={'identifier': '_loads'}) }} as book
    inner join {{ raw.incorporate(path={'identifier': '_dlt_loads'}) }} as closed
        on book._dlt_load_id = closed.load_id
    where closed.status = 0 and book.table_name = '{{ raw.identifier }}'
{% endmacro %}
