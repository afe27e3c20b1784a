{#- When the newest finished load of a raw table's source was read: its freshness (UTC). -#}
{% macro last_finished_load(raw) %}
    select cast(max(book.extracted_at) as timestamp)
    from {{ raw.incorporate(path={'identifier': '_loads'}) }} as book
    inner join {{ raw.incorporate(path={'identifier': '_dlt_loads'}) }} as closed
        on book._dlt_load_id = closed.load_id
    where closed.status = 0
{% endmacro %}
