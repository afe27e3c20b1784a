{#- One select: one row per event and event time that came late: its time is before the watermark that
    stood when the first load with it came. Told again, it stays as late or in time as it was.

    versions    as for watermarks, with the key as well
    key         list of columns that name an event
    at          column of the event time (UTC)
    watermarks  relation of watermarks
    built       the late events so far. Given, those of loads after theirs -#}
{% macro late_events(versions, key, at, watermarks, built=none) %}
    with stood as (
        select _load_number, lag(watermark_at) over (order by _load_number) as watermark_at
        from {{ watermarks }}
    ),

    late as (
        select {{ (key + [at]) | join(', ') }}, min(_load_number) as _load_number
        from {{ versions }}
        inner join stood using (_load_number)
        where
            {{ at }} < watermark_at
            {% if built %}
            and _load_number > (select coalesce(max(_load_number), 0) from {{ built }})
            {% endif %}
        group by {{ (key + [at]) | join(', ') }}
    )

    select late.*, stood.watermark_at
    from late
    inner join stood on late._load_number = stood._load_number
    anti join {{ versions }} as earlier
        on {% for column in key + [at] %}late.{{ column }} = earlier.{{ column }} and {% endfor -%}
        earlier._load_number < late._load_number
{% endmacro %}
