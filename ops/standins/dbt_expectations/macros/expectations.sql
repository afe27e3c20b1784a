{#- What all tests here come to: the rows, or groups of rows, of which the condition is false. One
    of which it is null is not a failure. -#}
{% macro unmet(model, condition, row_condition=none, group_by=none) %}
    {%- set keys = group_by or [] %}
    select *
    from (
        select {% for key in keys %}{{ key }} as key_{{ loop.index }}, {% endfor %}{{ condition }} as is_met
        from {{ model }}
        {%- if row_condition %}
        where {{ row_condition }}
        {%- endif %}
        {%- if keys %}
        group by {{ keys | join(', ') }}
        {%- endif %}
    ) as judged
    where not is_met
{% endmacro %}

{#- The condition that a value is in a range, of which either end may be open. -#}
{% macro in_range(value, min_value, max_value, strictly) %}
    {%- if min_value is none and max_value is none -%}
        {{ exceptions.raise_compiler_error("give min_value, max_value or both") }}
    {%- endif -%}
    {%- set equal = '' if strictly else '=' -%}
    {%- set ends = [] -%}
    {%- if min_value is not none %}{% do ends.append(value ~ ' >' ~ equal ~ ' ' ~ min_value) %}{% endif -%}
    {%- if max_value is not none %}{% do ends.append(value ~ ' <' ~ equal ~ ' ' ~ max_value) %}{% endif -%}
    {{ return('(' ~ ends | join(' and ') ~ ')') }}
{% endmacro %}
