{#- The time in UTC, or in the zone given, without a zone of its own. -#}
{% macro now(tz=none) -%}
    cast(timezone('{{ tz or var("dbt_date:time_zone", "UTC") }}', current_timestamp) as {{ dbt.type_timestamp() }})
{%- endmacro %}
