{#- The seconds of a duration that is written as in a declaration: `15 minutes`, `1 hour`, `10 days`. -#}
{% macro seconds_in(duration) %}
    {%- set units = {'second': 1, 'minute': 60, 'hour': 3600, 'day': 86400, 'week': 604800} -%}
    {%- set number, _, unit = (duration | string).strip().partition(' ') -%}
    {%- set unit = units.get(unit.strip().removesuffix('s')) -%}
    {%- if not unit or not number.isdigit() -%}
        {%- do exceptions.raise_compiler_error(
            "'" ~ duration ~ "' is no duration: write a number and a unit, like '15 minutes'"
        ) -%}
    {%- endif -%}
    {{ return((number | int) * unit) }}
{% endmacro %}
