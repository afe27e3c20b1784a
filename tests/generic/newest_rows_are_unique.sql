{#- No two rows share a key, among all rows of what the loads touched that no good build has taken.
    For tables so long that to look at every row takes seconds: the test of all rows is then
    tagged "deep".

    key          list of columns; the first alone picks the rows that are compared
    source_name  and table_name: whose load numbers the table's `_load_number` has -#}
{% test newest_rows_are_unique(model, key, source_name, table_name) %}
    with newest as (
        select {{ key[0] }}
        from {{ model }}
        where
            _load_number > (
                select coalesce(max(load_number), 0)
                from {{ source('millrace', 'built') }}
                where source_name = '{{ source_name }}' and table_name = '{{ table_name }}'
            )
    )

    select
        {{ key | join(', ') }},
        count(*) as row_count
    from {{ model }}
    where {{ key[0] }} in (select {{ key[0] }} from newest)
    group by {{ key | join(', ') }}
    having count(*) > 1
{% endtest %}
