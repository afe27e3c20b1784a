{% test expect_table_row_count_to_be_between(
    model, min_value=none, max_value=none, group_by=none, row_condition=none, strictly=false
) %}
    {{ dbt_expectations.unmet(
        model, dbt_expectations.in_range('count(*)', min_value, max_value, strictly), row_condition, group_by
    ) }}
{% endtest %}

{#- A group that only one of the tables has differs by all its rows. -#}
{% test expect_table_row_count_to_equal_other_table(
    model, compare_model, group_by=none, compare_group_by=none, factor=1,
    row_condition=none, compare_row_condition=none
) %}
    {%- set keys = group_by or [] -%}
    {%- set sides = [
        ('own', model, keys, row_condition, 1),
        ('other', compare_model, compare_group_by or keys, compare_row_condition or row_condition, factor),
    ] %}
    with
    {%- for name, table, columns, condition, times in sides %}
    {{ name }} as (
        select
            {%- for column in columns %} {{ column }} as key_{{ loop.index }},{% endfor %} count(*) * {{ times }} as row_count
        from {{ table }}
        {%- if condition %} where {{ condition }}{% endif %}
        {%- if columns %} group by {{ columns | join(', ') }}{% endif %}
    ){{ ',' if not loop.last }}
    {%- endfor %}
    select own.row_count, other.row_count as other_count
    from own
    {%- if keys %}
    full outer join other on {% for key in keys %}own.key_{{ loop.index }} = other.key_{{ loop.index }}
        {%- if not loop.last %} and {% endif %}{% endfor %}
    {%- else %}
    cross join other
    {%- endif %}
    where coalesce(own.row_count, 0) <> coalesce(other.row_count, 0)
{% endtest %}

{% test expect_column_mean_to_be_between(
    model, column_name, min_value=none, max_value=none, group_by=none, row_condition=none, strictly=false
) %}
    {{ dbt_expectations.unmet(
        model, dbt_expectations.in_range('avg(' ~ column_name ~ ')', min_value, max_value, strictly),
        row_condition, group_by
    ) }}
{% endtest %}

{% test expect_column_stdev_to_be_between(
    model, column_name, min_value=none, max_value=none, group_by=none, row_condition=none, strictly=false
) %}
    {{ dbt_expectations.unmet(
        model, dbt_expectations.in_range('stddev(' ~ column_name ~ ')', min_value, max_value, strictly),
        row_condition, group_by
    ) }}
{% endtest %}

{#- The quantile is taken between the two values next to it. -#}
{% test expect_column_quantile_values_to_be_between(
    model, column_name, quantile, min_value=none, max_value=none, group_by=none, row_condition=none,
    strictly=false
) %}
    {%- set value = 'percentile_cont(' ~ quantile ~ ') within group (order by ' ~ column_name ~ ')' %}
    {{ dbt_expectations.unmet(
        model, dbt_expectations.in_range(value, min_value, max_value, strictly), row_condition, group_by
    ) }}
{% endtest %}

{% test expect_column_distinct_count_to_be_greater_than(
    model, column_name, value, group_by=none, row_condition=none
) %}
    {{ dbt_expectations.unmet(
        model, 'count(distinct ' ~ column_name ~ ') > ' ~ value, row_condition, group_by
    ) }}
{% endtest %}

{#- Of the rows that have a value; a table without one is wholly unique. -#}
{% test expect_column_proportion_of_unique_values_to_be_between(
    model, column_name, min_value=none, max_value=none, group_by=none, row_condition=none, strictly=false
) %}
    {%- set share = 'coalesce(count(distinct ' ~ column_name ~ ') * 1.0 / nullif(count(' ~ column_name ~ '), 0), 1)' %}
    {{ dbt_expectations.unmet(
        model, dbt_expectations.in_range(share, min_value, max_value, strictly), row_condition, group_by
    ) }}
{% endtest %}
