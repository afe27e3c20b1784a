{#- No two rows share a key, among all rows of what the ten newest loads touched. For tables so long
    that to look at every row takes seconds: the test of all rows is then tagged "deep".

    key  list of columns; the first alone picks the rows that are compared -#}
{% test newest_rows_are_unique(model, key) %}
    with newest as (
        select {{ key[0] }}
        from {{ model }}
        where _load_number > (select max(_load_number) - 10 from {{ model }})
    )

    select
        {{ key | join(', ') }},
        count(*) as row_count
    from {{ model }}
    where {{ key[0] }} in (select {{ key[0] }} from newest)
    group by {{ key | join(', ') }}
    having count(*) > 1
{% endtest %}
