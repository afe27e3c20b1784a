{#- One row per `datepart` from `start_date` up to, but not including, `end_date`; the column is
    named `date_<datepart>`. Both dates are SQL expressions. -#}
{% macro date_spine(datepart, start_date, end_date) %}
    {{- return(adapter.dispatch('date_spine', 'dbt_utils')(datepart, start_date, end_date)) -}}
{% endmacro %}

{% macro default__date_spine(datepart, start_date, end_date) %}
    {%- set last = dbt.datediff(start_date, end_date, datepart) ~ ' - 1' %}
    select {{ dbt.dateadd(datepart, 'step', start_date) }} as date_{{ datepart }}
    from (select unnest(range(0, {{ last }} + 1)) as step) as steps
{% endmacro %}

{% macro spark__date_spine(datepart, start_date, end_date) %}
    {%- set last = dbt.datediff(start_date, end_date, datepart) ~ ' - 1' %}
    select {{ dbt.dateadd(datepart, 'step', start_date) }} as date_{{ datepart }}
    from (select explode(sequence(0, {{ last }})) as step) as steps
    where {{ last }} >= 0
{% endmacro %}

{#- A hash of the fields in their order; a null has a text of its own, so that it differs from ''. -#}
{% macro generate_surrogate_key(field_list) %}
    {%- set null_text = '' if var('surrogate_key_treat_nulls_as_empty_strings', false)
        else '_dbt_utils_surrogate_key_null_' -%}
    {%- set texts = [] -%}
    {%- for field in field_list -%}
        {%- do texts.append("coalesce(cast(" ~ field ~ " as " ~ dbt.type_string() ~ "), '" ~ null_text ~ "')") -%}
    {%- endfor -%}
    {{ return(dbt.hash(texts | join(" || '-' || "))) }}
{% endmacro %}

{#- The columns of a relation by name, without those of `except`. -#}
{% macro star(from, except=[]) %}
    {%- set left_out = except | map('lower') | list -%}
    {%- set names = [] -%}
    {%- if execute -%}
        {%- for column in adapter.get_columns_in_relation(from) if column.name | lower not in left_out -%}
            {%- do names.append(adapter.quote(column.name)) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(names | join(', ') or '*') }}
{% endmacro %}
