{#- Selects that the macros of windows share; what their arguments mean is said in sliding_windows. -#}

{#- The events that count, and of each whether it came late. -#}
{% macro window_events(events, key, at, late, where) %}
    select
        counted.*,
        late._load_number is not null as _is_late
    from (select * from {{ events }} where {{ where }}) as counted
    left join {{ late }} as late using ({{ (key + [at]) | join(', ') }})
{% endmacro %}

{#- Where the events stand that changed since the last build, and where any version of them stood: an
    event that was corrected is gone from the window that it was in. -#}
{% macro window_changes(events, versions, key, at, by, built) %}
    select distinct {{ (by + [at]) | join(', ') }}
    from {{ versions }}
    inner join (
        select {{ key | join(', ') }}
        from {{ events }}
        where _load_number > (select coalesce(max(_load_number), 0) from {{ built }})
    ) as changed using ({{ key | join(', ') }})
    where {{ at }} is not null
{% endmacro %}

{#- Windows as they are built that the watermark has passed since. -#}
{% macro windows_settling(by, watermarks, built) %}
    select {{ (by + ['window_start', 'window_end']) | join(', ') }}
    from {{ built }}
    where not is_settled and window_end <= (select max(watermark_at) from {{ watermarks }})
{% endmacro %}

{#- One row per window of `placed`, the events with the start of their window. With `built`, of
    `touched` only, and those alone that are not built just so. A window that lost its last event has
    a row with event_count 0. -#}
{% macro window_rows(by, window_end, aggregates, watermarks, built) %}
    {%- set window = (by + ['window_start']) | join(', ') %}
    select
        *,
        coalesce(window_end <= (select max(watermark_at) from {{ watermarks }}), false) as is_settled
    from (
        select
            {{ window }},
            {{ window_end }} as window_end,
            {%- for name, aggregate in aggregates.items() %}
            {{ aggregate }} as {{ name }},
            {%- endfor %}
            count(_is_late) as event_count,
            count(*) filter (where _is_late) as late_count,
            max(_load_number) as _load_number
        from placed
        {% if built %}right join touched using ({{ window }}){% endif %}
        group by {{ window }}
    ) as counted
    {% if built %}
    except
    select
        {{ window }}, window_end, {% for name in aggregates %}{{ name }}, {% endfor -%}
        event_count, late_count, _load_number, is_settled
    from {{ built }}
    {% endif %}
{% endmacro %}
