{#- One select: what is wrong with each row, in words, as `millrace run` tells it. From two relations:
    `missing`, the rows as they should be, and `extra`, those that are there and should not.

    table_name  what they are rows of
    key         columns that name a row
    columns     all columns
    load        SQL of the load by which a row came: of `m` and `e`, one of which may be null -#}
{% macro told_apart(table_name, key, columns, load) %}
    {%- set text = dbt.type_string() %}
    select
        '{{ table_name }}' as table_name,
        load_number,
        case
            when not is_here then 'there is no row of ' || named
            when not is_there then 'there is a row too many of ' || named
            when differing = '' then 'there is more than one row of ' || named
            else 'of ' || named || ', ' || differing
        end as difference
    from (
        select
            {{ load }} as load_number,
            m._is_there is not null as is_there,
            e._is_there is not null as is_here,
            concat_ws(
                ', '
                {%- for column in key %},
                '{{ column }} ' || cast(coalesce(m.{{ column }}, e.{{ column }}) as {{ text }})
                {%- endfor %}
            ) as named,
            concat_ws(
                ', '
                {%- for column in columns if column not in key %},
                case when m.{{ column }} is distinct from e.{{ column }} then
                    '{{ column }} is ' || coalesce(cast(e.{{ column }} as {{ text }}), 'null')
                    || ', not ' || coalesce(cast(m.{{ column }} as {{ text }}), 'null')
                end
                {%- else %}, null
                {%- endfor %}
            ) as differing
        from (select *, true as _is_there from missing) as m
        full outer join (select *, true as _is_there from extra) as e
            on {% for column in key %}m.{{ column }} = e.{{ column }}{{ ' and ' if not loop.last }}{% endfor %}
    ) as told
{% endmacro %}
