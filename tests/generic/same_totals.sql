{#- Every given column adds up to the same total in both relations: nothing lost, nothing doubled.

    counts   column that counts the rows of the other relation -#}
{% test same_totals(model, to, columns, counts=none) %}
    {%- set totals = {} -%}
    {%- for column in columns -%}
        {%- do totals.update({column: 'coalesce(sum(' ~ column ~ '), 0)'}) -%}
    {%- endfor -%}
    {%- if counts -%}{% do totals.update({counts: 'count(*)'}) %}{% endif %}
    with here as (
        select
            {%- for column in totals %}
            coalesce(sum({{ column }}), 0) as {{ column }}{{ ',' if not loop.last }}
            {%- endfor %}
        from {{ model }}
    ),

    there as (
        select
            {%- for column, total in totals.items() %}
            {{ total }} as {{ column }}{{ ',' if not loop.last }}
            {%- endfor %}
        from {{ to }}
    )

    {% for column in totals %}
    select
        '{{ model.identifier }}' as table_name,
        cast(null as bigint) as load_number,
        'the total of {{ column }} is ' || here.{{ column }} || ', that of {{ to.identifier }} '
        || there.{{ column }} as difference
    from here
    cross join there
    where here.{{ column }} <> there.{{ column }}
    {{ 'union all' if not loop.last }}
    {% endfor %}
{% endtest %}
