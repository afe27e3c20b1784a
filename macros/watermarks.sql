{#- One select: one row per load, with the watermark that stands since then: the greatest event time of
    this load and all before it, less the lateness. No event of a later load is expected below it.

    versions  relation of all rows that raw has of finished loads, with `at` and _load_number
    at        column of the event time (UTC)
    lateness  how late an event may come and still be in time, as '3 days'
    built     the watermarks so far. Given, loads after those -#}
{% macro watermarks(versions, at, lateness, built=none) %}
    {%- set watermark -%}
        max(max({{ at }})) over (order by _load_number) - interval {{ seconds_in(lateness) }} seconds
    {%- endset %}
    select
        _load_number,
        count(*) as row_count,
        {% if built %}
        greatest({{ watermark }}, (select max(watermark_at) from {{ built }})) as watermark_at
        {% else %}
        {{ watermark }} as watermark_at
        {% endif %}
    from {{ versions }}
    {% if built %}
    where _load_number > (select coalesce(max(_load_number), 0) from {{ built }})
    {% endif %}
    group by _load_number
{% endmacro %}
