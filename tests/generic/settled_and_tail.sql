{#- A live relation is all that is settled and what else the stream told: each of it, and each once.
    In every build all of it is looked at.

    settled  the relation that has the last word; its rows are those with is_settled
    tail     the relation of what the stream told, in which `is_deleted` marks what is not there
    key      columns that name a row -#}
{% test settled_and_tail(model, settled, tail, key) %}
    {%- set same -%}
        {%- for column in key %}a.{{ column }} = b.{{ column }}{{ ' and ' if not loop.last }}{% endfor -%}
    {%- endset -%}
    {%- set named = "a." ~ key | join(" || ', ' || a.") -%}
    with unsettled as (
        select {{ key | join(', ') }} from {{ model }} where not is_settled
    ),

    counted as (
        select
            (select count(*) from {{ model }} where is_settled) as here,
            (select count(*) from {{ settled }}) as there
    ),

    wrong as (
        select here || ' rows are settled, {{ settled.identifier }} has ' || there as difference
        from counted
        where here <> there
        union all
        select {{ named }} || ' is there ' || count(*) || ' times' as difference
        from {{ model }} as a
        where exists (select 1 from unsettled as b where {{ same }})
        group by {{ key | join(', ') }}
        having count(*) > 1
        union all
        select {{ named }} || ' is in {{ tail.identifier }}, and not here' as difference
        from {{ tail }} as a
        where not is_deleted and not exists (select 1 from {{ model }} as b where {{ same }})
    )

    select
        '{{ model.identifier }}' as table_name,
        cast(null as bigint) as load_number,
        difference
    from wrong
{% endtest %}
