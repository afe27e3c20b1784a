{% test expect_column_values_to_be_between(
    model, column_name, min_value=none, max_value=none, row_condition=none, strictly=false
) %}
    {{ dbt_expectations.unmet(
        model, dbt_expectations.in_range(column_name, min_value, max_value, strictly), row_condition
    ) }}
{% endtest %}

{% test expect_column_value_lengths_to_be_between(
    model, column_name, min_value=none, max_value=none, row_condition=none, strictly=false
) %}
    {%- set length = dbt.length(column_name) | trim %}
    {{ dbt_expectations.unmet(
        model, dbt_expectations.in_range(length, min_value, max_value, strictly), row_condition
    ) }}
{% endtest %}

{#- `is_raw` is for warehouses whose plain strings know escapes. -#}
{% test expect_column_values_to_match_regex(
    model, column_name, regex, row_condition=none, is_raw=false, flags=''
) %}
    {{ dbt_expectations.unmet(
        model, adapter.dispatch('matches', 'dbt_expectations')(column_name, regex, flags), row_condition
    ) }}
{% endtest %}

{% macro default__matches(column_name, regex, flags) -%}
    {{ return("regexp_matches(" ~ column_name ~ ", '" ~ regex ~ "', '" ~ flags ~ "')") }}
{%- endmacro %}

{% macro spark__matches(column_name, regex, flags) -%}
    {%- set inline = '(?' ~ flags ~ ')' if flags else '' -%}
    {{ return("regexp_like(" ~ column_name ~ ", r'" ~ inline ~ regex ~ "')") }}
{%- endmacro %}

{% test expect_column_pair_values_A_to_be_greater_than_B(
    model, column_A, column_B, or_equal=false, row_condition=none
) %}
    {{ dbt_expectations.unmet(
        model, column_A ~ (' >= ' if or_equal else ' > ') ~ column_B, row_condition
    ) }}
{% endtest %}

{#- Rows whose columns are null (all of them, or any: `ignore_row_if`) are not counted. -#}
{% test expect_compound_columns_to_be_unique(
    model, column_list, quote_columns=false, ignore_row_if='all_values_are_missing', row_condition=none
) %}
    {%- set joints = {'all_values_are_missing': ' and ', 'any_value_is_missing': ' or '} -%}
    {%- if ignore_row_if not in joints -%}
        {{ exceptions.raise_compiler_error("ignore_row_if is one of " ~ joints | join(', ')) }}
    {%- endif -%}
    {%- set names, nulls = [], [] -%}
    {%- for column in column_list -%}
        {%- set name = adapter.quote(column) if quote_columns else column -%}
        {%- do names.append(name) -%}
        {%- do nulls.append(name ~ ' is null') -%}
    {%- endfor %}
    select {{ names | join(', ') }}, count(*) as n_records
    from {{ model }}
    where not ({{ nulls | join(joints[ignore_row_if]) }})
    {%- if row_condition %} and ({{ row_condition }}){% endif %}
    group by {{ names | join(', ') }}
    having count(*) > 1
{% endtest %}

{#- Rows of the future are errors of their own and do not count as recent. -#}
{% test expect_row_values_to_have_recent_data(model, column_name, datepart, interval, row_condition=none) %}
    {%- set moment = 'cast(' ~ column_name ~ ' as ' ~ dbt.type_timestamp() ~ ')' %}
    select newest
    from (
        select max({{ moment }}) as newest
        from {{ model }}
        where {{ moment }} <= {{ dbt_date.now() }}
        {%- if row_condition %} and {{ row_condition }}{% endif %}
    ) as found
    where newest is null or newest < {{ dbt.dateadd(datepart, -1 * interval, dbt_date.now()) }}
{% endtest %}
