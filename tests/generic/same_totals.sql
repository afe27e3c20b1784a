{#- Every given column adds up to the same total in both relations: nothing lost, nothing doubled. -#}
{% test same_totals(model, to, columns) %}
    with here as (
        select
            {%- for column in columns %}
            coalesce(sum({{ column }}), 0) as {{ column }}{{ ',' if not loop.last }}
            {%- endfor %}
        from {{ model }}
    ),

    there as (
        select
            {%- for column in columns %}
            coalesce(sum({{ column }}), 0) as {{ column }}{{ ',' if not loop.last }}
            {%- endfor %}
        from {{ to }}
    )

    {% for column in columns %}
    select
        '{{ column }}' as column_name,
        here.{{ column }} as total_here,
        there.{{ column }} as total_there
    from here
    cross join there
    where here.{{ column }} <> there.{{ column }}
    {{ 'union all' if not loop.last }}
    {% endfor %}
{% endtest %}
