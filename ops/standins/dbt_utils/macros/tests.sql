{% test unique_combination_of_columns(model, combination_of_columns, quote_columns=false) %}
    {%- set names = [] -%}
    {%- for column in combination_of_columns -%}
        {%- do names.append(adapter.quote(column) if quote_columns else column) -%}
    {%- endfor %}
    select {{ names | join(', ') }}
    from {{ model }}
    group by {{ names | join(', ') }}
    having count(*) > 1
{% endtest %}

{#- With a column, the expression is what follows its name: `">= 0"`. -#}
{% test expression_is_true(model, expression, column_name=none) %}
    select {{ '*' if should_store_failures() else '1 as failed' }}
    from {{ model }}
    where not ({{ column_name ~ ' ' if column_name is not none else '' }}{{ expression }})
{% endtest %}
